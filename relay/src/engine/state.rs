//! What the engine keeps beside the coordinator: who is connected, what the active rounds run, and which signed
//! messages belong to which lease.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use libp2p::PeerId;
use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::{Refusal, RefusalCode, WorkReport},
    unit::CheckedUnit,
};
use tokio::sync::mpsc;

use super::command::{Outgoing, SessionId};
use crate::{context::Context, metrics::WorkerLabels};

/// A unit of an active round.
#[derive(Debug)]
pub(crate) struct ActiveUnit {
    pub(crate) unit: CheckedUnit,
    /// As stored and leased.
    pub(crate) bytes: Vec<u8>,
    /// Length of any right output, bytes.
    pub(crate) output_len: u64,
    /// Hash of an exact unit's right output and the seconds it took, once it was computed here.
    pub(crate) reference: OnceLock<(BlobId, f64)>,
}

impl ActiveUnit {
    pub(crate) fn new(unit: CheckedUnit, output_len: u64) -> Self {
        let bytes = unit.encode();
        Self { unit, bytes, output_len, reference: OnceLock::new() }
    }
}

/// The round of a job that is being computed.
#[derive(Debug)]
pub(super) struct ActiveRound {
    /// Workers that are paid for each unit.
    pub(super) replicas: u32,
    /// By index.
    pub(super) units: Vec<Arc<ActiveUnit>>,
    /// Leases that were given back.
    pub(super) returns: u32,
}

pub(super) type ActiveJobs = HashMap<JobId, ActiveRound>;

/// A lease that was granted, and what its worker signed about it.
#[derive(Debug)]
pub(super) struct LeaseRecord {
    pub(super) job: JobId,
    pub(super) worker: NodeId,
    pub(super) unit: Arc<ActiveUnit>,
    pub(super) commit: Option<Vec<u8>>,
    pub(super) result: Option<(WorkReport, Vec<u8>)>,
}

#[derive(Debug, Default)]
pub(super) struct Leases(HashMap<LeaseId, LeaseRecord>);

impl Leases {
    pub(super) fn insert(&mut self, lease: LeaseId, job: JobId, worker: NodeId, unit: Arc<ActiveUnit>) {
        self.0.insert(lease, LeaseRecord { job, worker, unit, commit: None, result: None });
    }

    pub(super) fn get(&self, lease: &LeaseId) -> Option<&LeaseRecord> {
        self.0.get(lease)
    }

    /// The record of a worker's own lease.
    pub(super) fn of(&mut self, worker: &NodeId, lease: &LeaseId) -> Option<&mut LeaseRecord> {
        self.0.get_mut(lease).filter(|record| record.worker == *worker)
    }

    pub(super) fn remove(&mut self, lease: &LeaseId) -> Option<LeaseRecord> {
        self.0.remove(lease)
    }

    pub(super) fn remove_job(&mut self, job: &JobId) {
        self.0.retain(|_, record| record.job != *job);
    }
}

/// A worker's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) peer: PeerId,
    pub(super) site: String,
    pub(super) labels: WorkerLabels,
    outgoing: mpsc::Sender<Outgoing>,
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        peer: PeerId,
        site: String,
        labels: WorkerLabels,
        outgoing: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self { id, peer, site, labels, outgoing }
    }
}

#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<NodeId, Session>);

impl Sessions {
    pub(super) fn get(&self, worker: &NodeId) -> Option<&Session> {
        self.0.get(worker)
    }

    pub(super) fn insert(&mut self, worker: NodeId, session: Session) {
        self.0.insert(worker, session);
    }

    /// Dropping the session's sender ends its task once everything queued was written.
    pub(super) fn remove(&mut self, worker: &NodeId) -> Option<Session> {
        self.0.remove(worker)
    }

    /// Queues a message. One that does not fit ends the session: the peer reads slower than it is served, and what it
    /// missed comes again when it reconnects.
    pub(super) fn send(&mut self, worker: &NodeId, outgoing: Outgoing) {
        let Some(session) = self.0.get(worker) else { return };
        if session.outgoing.try_send(outgoing).is_err() {
            tracing::debug!(worker = %worker.short(), "session does not take more messages");
            // The session's task notices and reports the end, which clears the rest.
            self.0.get_mut(worker).expect("looked up above").outgoing = mpsc::channel(1).0;
        }
    }

    /// Tells everybody that the relay stops.
    pub(super) fn refuse_all(&mut self, context: &Context) {
        let refusal = Refusal { code: RefusalCode::ShuttingDown as i32, detail: "the relay is stopping".to_owned() };
        let envelope = context.key.seal_bytes(&refusal);
        for session in self.0.values() {
            // A full queue belongs to a peer that does not read; the connection's end tells it.
            let _ = session.outgoing.try_send(Outgoing { envelope: envelope.clone(), receipt: None, last: true });
        }
        self.0.clear();
    }
}

//! What can happen in a simulation, and the queue that orders it.

use std::collections::BTreeMap;

use shoal_mesh::RefusalReason;
use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, UnitId},
    proto::Outcome,
};

/// From a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToRelay {
    Request { max_units: u32 },
    Commit { lease: LeaseId, commitment: [u8; 32] },
    Result { lease: LeaseId, output: BlobId },
    Return { lease: LeaseId },
}

/// To a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToWorker {
    Lease {
        lease: LeaseId,
        unit: UnitId,
    },
    NoWork,
    CommitAck {
        lease: LeaseId,
    },
    /// Accepted or confirmed.
    Acceptance {
        lease: LeaseId,
    },
    Rejection {
        lease: LeaseId,
    },
    Refusal {
        lease: LeaseId,
        reason: RefusalReason,
    },
}

/// One thing that happens. Messages carry the session they belong to: a session that ended delivers nothing more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A worker looks what to do.
    WorkerWakes { worker: usize },
    /// A worker comes or comes back.
    WorkerComes { worker: usize },
    /// A worker drops out without a word.
    WorkerDies { worker: usize, session: u32 },
    /// The relay notices that a session is over.
    SessionEnds { worker: usize, session: u32 },
    /// The relay hears of a new session.
    SessionBegins { worker: usize, session: u32 },
    /// A message reaches the relay.
    AtRelay { worker: usize, session: u32, message: ToRelay },
    /// A message reaches a worker.
    AtWorker { worker: usize, session: u32, message: ToWorker },
    /// The validator is done; `relay` is the run of the relay that asked.
    Judged { relay: u32, lease: LeaseId, outcome: Outcome },
    /// The aggregator is done; the next round can start.
    RoundStarts { relay: u32, job: JobId },
    /// The relay is killed and started again.
    RelayKilled,
}

/// Events by time; those of one instant in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at_ms: u64, event: Event) {
        self.made += 1;
        self.events.insert((at_ms, self.made), event);
    }

    pub(crate) fn next_at_ms(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }
}

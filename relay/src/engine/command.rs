//! What can be asked of the engine, and what it sends to sessions.

use libp2p::PeerId;
use shoal_mesh::{Strikes, WorkerProfile};
use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::WorkReport,
};
use tokio::sync::{mpsc, oneshot};

use super::judging::Judged;
use crate::{metrics::WorkerLabels, rounds::RoundOutcome, store::StoreError};

/// Numbers sessions, so that the end of an old one is not taken for the end of the worker's new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

/// Something that happened.
#[derive(Debug)]
pub enum Command {
    /// A worker's session began: its Hello was checked.
    Joined(SessionStart),
    /// A worker's session ended.
    Left(SessionEnd),
    /// A worker's message; its signature was checked.
    FromWorker {
        /// The session.
        session: SessionId,
        /// The worker.
        worker: NodeId,
        /// The message.
        message: WorkerMessage,
    },
    /// The store has an open round of this job.
    StartRound {
        /// The job.
        job: JobId,
    },
    /// The consumer wants a job ended.
    CancelJob {
        /// The job.
        job: JobId,
        /// Told whether it was running.
        done: oneshot::Sender<Result<bool, StoreError>>,
    },
    /// A verdict was reached.
    Judged(Judged),
    /// A job's unit cannot be computed by anybody.
    JobFailed {
        /// The job.
        job: JobId,
        /// Why, with values.
        reason: String,
    },
    /// A complete round was averaged, or cannot be.
    Averaged {
        /// The job.
        job: JobId,
        /// What came of it.
        outcome: RoundOutcome,
    },
    /// The relay stops.
    Shutdown {
        /// Told when all sessions were.
        done: oneshot::Sender<()>,
    },
}

/// A checked session.
#[derive(Debug)]
pub struct SessionStart {
    /// The session.
    pub session: SessionId,
    /// The worker.
    pub worker: NodeId,
    /// Its libp2p name.
    pub peer: PeerId,
    /// What it takes.
    pub profile: WorkerProfile,
    /// What it did wrong before.
    pub strikes: Strikes,
    /// For the metrics.
    pub labels: WorkerLabels,
    /// Origin of the embedding site, or empty.
    pub site: String,
    /// Where its messages go.
    pub outgoing: mpsc::Sender<Outgoing>,
}

/// The end of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnd {
    /// The session.
    pub session: SessionId,
    /// The worker.
    pub worker: NodeId,
}

/// A worker's message after Hello. Identifiers have the right length.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerMessage {
    /// Wants units.
    LeaseRequest {
        /// How many.
        max_units: u32,
    },
    /// Gives a lease back.
    LeaseReturn {
        /// The lease.
        lease: LeaseId,
        /// Why, in its words.
        reason: String,
    },
    /// Binds itself to an output.
    Commit {
        /// The lease.
        lease: LeaseId,
        /// The commitment.
        commitment: [u8; 32],
        /// The signed message, kept as proof.
        envelope: Vec<u8>,
    },
    /// Reveals its output.
    Result {
        /// The lease.
        lease: LeaseId,
        /// The output.
        output: BlobId,
        /// Its length, bytes.
        output_len: u64,
        /// What it says of itself.
        report: WorkReport,
        /// The signed message, kept as proof.
        envelope: Vec<u8>,
    },
}

/// A signed message on its way to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// For an acceptance: the lease whose receipt is delivered once this was written.
    pub receipt: Option<LeaseId>,
    /// Whether the session ends with it.
    pub last: bool,
}

/// Sends commands to the engine.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    sender: mpsc::Sender<Command>,
}

/// The engine has stopped; the relay is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the relay is shutting down")]
pub struct EngineStopped;

impl EngineHandle {
    pub(super) fn new(sender: mpsc::Sender<Command>) -> Self {
        Self { sender }
    }

    /// Sends a command, waiting while the engine is busy.
    ///
    /// # Errors
    /// [`EngineStopped`].
    pub async fn send(&self, command: Command) -> Result<(), EngineStopped> {
        self.sender.send(command).await.map_err(|_| EngineStopped)
    }

    /// Ends a job; tells whether it was running.
    ///
    /// # Errors
    /// [`EngineStopped`] outside, a store that fails inside.
    pub async fn cancel_job(&self, job: JobId) -> Result<Result<bool, StoreError>, EngineStopped> {
        let (done, cancelled) = oneshot::channel();
        self.send(Command::CancelJob { job, done }).await?;
        cancelled.await.map_err(|_| EngineStopped)
    }

    /// Tells all sessions that the relay stops, and stops the engine.
    pub async fn shut_down(&self) {
        let (done, told) = oneshot::channel();
        if self.send(Command::Shutdown { done }).await.is_ok() {
            // An error means that the engine has stopped already.
            let _ = told.await;
        }
    }
}

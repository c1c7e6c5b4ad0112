//! What a coordinator wants done.

use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId, UnitId},
    proto::Outcome,
};

use crate::{plan::AcceptedUnit, worker::Standing};

/// Everything a driver has to do or may want to record, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a lease.
    GrantLease {
        /// To whom.
        worker: NodeId,
        /// The single-use nonce.
        lease: LeaseId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// The unit.
        unit: UnitId,
        /// Which replica of the unit, from 0.
        replica: u32,
        /// Time until the lease ends without a commitment, milliseconds.
        duration_ms: u32,
    },
    /// Tell the worker that there is nothing for it now; its request stays queued.
    Queued {
        /// To whom.
        worker: NodeId,
        /// Why.
        reason: NoWorkReason,
    },
    /// Tell the worker that its commitment is held and that it may reveal. With replicas this waits until all live
    /// ones have committed.
    CommitAcked {
        /// To whom.
        worker: NodeId,
        /// The lease.
        lease: LeaseId,
    },
    /// Fetch the output, store it, judge it, store the verdict, then feed it as
    /// [`Input::Verdict`](crate::Input::Verdict). The output is the one committed to.
    NeedVerdict {
        /// The lease.
        lease: LeaseId,
        /// Whose result it is.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// The unit.
        unit: UnitId,
        /// The output to judge.
        output: BlobId,
        /// Its announced length, bytes.
        output_len: u64,
        /// Other replicas that revealed the same output.
        agreeing_replicas: u32,
    },
    /// The unit is accepted with this output, once and for all. Send the worker its receipt.
    Accepted {
        /// The lease.
        lease: LeaseId,
        /// Whose result was accepted.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// The unit.
        unit: UnitId,
        /// The accepted output.
        output: BlobId,
    },
    /// The result was judged right, but another replica's was accepted before it. It does not enter the round; whether
    /// it is paid is the driver's rule.
    Confirmed {
        /// The lease.
        lease: LeaseId,
        /// Whose result it is.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// The unit.
        unit: UnitId,
        /// The output judged right.
        output: BlobId,
    },
    /// The result was not accepted; the unit goes to another worker. Tell the worker.
    Rejected {
        /// The lease.
        lease: LeaseId,
        /// Whose result it was.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// The unit.
        unit: UnitId,
        /// The output, as revealed.
        output: BlobId,
        /// Why; [`Outcome::CommitmentMismatch`] is found here, every other outcome came with the verdict.
        outcome: Outcome,
    },
    /// A lease ended without a result; for logs and metrics.
    LeaseWithdrawn {
        /// The lease.
        lease: LeaseId,
        /// Who held it.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Index of the unit in the round.
        index: u32,
        /// Why.
        reason: WithdrawnReason,
    },
    /// A message had no effect; tell the worker.
    RefuseMessage {
        /// To whom.
        worker: NodeId,
        /// The lease it named.
        lease: LeaseId,
        /// Why.
        reason: RefusalReason,
    },
    /// The worker has reached a limit of strikes and gets fewer leases or none from now on. Given once when it
    /// happens and once when such a worker joins.
    RefuseWorker {
        /// The worker.
        worker: NodeId,
        /// What it still gets; never [`Standing::Good`].
        standing: Standing,
    },
    /// Every unit of the round is accepted and no verdict is outstanding. Aggregate by index and start the next round.
    RoundComplete {
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// Accepted outputs by unit index, one for each.
        outputs: Vec<AcceptedUnit>,
    },
    /// A verdict came for a lease that is not being judged: its job was cancelled meanwhile. Nothing was accepted.
    VerdictIgnored {
        /// The lease.
        lease: LeaseId,
    },
}

/// Why a worker's request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWorkReason {
    /// No job has an open unit.
    NothingOpen,
    /// Units are open, none that this worker can or may take now.
    NothingSuitable,
    /// The worker let leases lapse and rests.
    Resting,
    /// The worker holds as many leases as it may.
    EnoughLeases,
    /// The worker has too many strikes.
    Refused,
}

/// Why a lease ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawnReason {
    /// No commitment within the lease's duration. A late one still counts while nobody else has the unit.
    Expired,
    /// Committed, but did not reveal in time. A late reveal still counts while nobody else has the unit.
    NotRevealed,
    /// The worker left. It may rejoin and deliver while nobody else has the unit.
    WorkerLeft,
    /// The worker gave the lease back.
    Returned,
    /// The worker reached a limit of strikes.
    WorkerRefused,
    /// The job was cancelled.
    JobCancelled,
}

/// Why a worker's message had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The lease never was, is used up, or was withdrawn.
    UnknownLease,
    /// The lease is another worker's.
    NotYourLease,
    /// A second, different commitment for one lease.
    CommittedAlready,
    /// A commitment after other replicas of the unit have begun to reveal.
    TooLateToCommit,
    /// A result without a commitment.
    NotCommitted,
    /// A result before the commitment was acknowledged.
    RevealedTooEarly,
    /// A second, different result for one lease.
    RevealedAlready,
    /// A lease given back after its result was revealed.
    TooLateToReturn,
}

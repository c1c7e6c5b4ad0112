//! What can happen to a coordinator.

use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::Outcome,
};

use crate::{
    plan::{AcceptedUnit, RoundPlan},
    worker::{Strikes, WorkerProfile},
};

/// Everything a driver feeds. Messages from workers are fed after their signature was checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time passed; feed it when [`next_timeout`](crate::Coordinator::next_timeout) is reached. Every other input
    /// handles what is due as well.
    Tick,
    /// A worker's session began.
    WorkerJoined {
        /// The worker.
        worker: NodeId,
        /// What it takes and who owns it.
        profile: WorkerProfile,
        /// Strikes from the driver's store; the larger of these and the remembered ones hold.
        strikes: Strikes,
    },
    /// A worker's session ended. Its leases go to others; a result it delivers after rejoining still counts while
    /// nobody else has the unit.
    WorkerLeft {
        /// The worker.
        worker: NodeId,
    },
    /// A worker asks for units. Replaces its earlier request, so a repeated message asks for nothing more.
    LeaseRequest {
        /// The worker.
        worker: NodeId,
        /// Units it can take now; cut to the limits.
        max_units: u32,
    },
    /// A worker gives a lease back.
    LeaseReturn {
        /// The worker.
        worker: NodeId,
        /// The lease.
        lease: LeaseId,
    },
    /// A worker binds itself to an output.
    Commit {
        /// The worker.
        worker: NodeId,
        /// The lease.
        lease: LeaseId,
        /// `shoal_wire::commitment::commitment` of worker, lease and output.
        commitment: [u8; 32],
    },
    /// A worker reveals its output.
    Result {
        /// The worker.
        worker: NodeId,
        /// The lease.
        lease: LeaseId,
        /// The output.
        output: BlobId,
        /// Length of the output, bytes.
        output_len: u64,
    },
    /// The validator's verdict on a lease for which [`Output::NeedVerdict`](crate::Output::NeedVerdict) was given, and
    /// the only way to an acceptance. Fed after the driver stored it.
    Verdict {
        /// The lease.
        lease: LeaseId,
        /// `Unspecified` counts as [`Outcome::OutputUnavailable`]: nothing was judged.
        outcome: Outcome,
    },
    /// A round begins, or is taken up again after a restart with the units that the driver's store holds as accepted.
    StartRound {
        /// The plan.
        plan: RoundPlan,
        /// Units accepted earlier; empty for a new round.
        accepted: Vec<AcceptedUnit>,
    },
    /// A job ends before its round does; all its leases end.
    CancelJob {
        /// The job.
        job: JobId,
    },
}

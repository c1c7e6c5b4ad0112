//! Errors of the driver, never of a peer: an input that breaks the driving contract. What a peer does wrong becomes an
//! output that refuses it.

use shoal_wire::ids::{JobId, NodeId, UnitId};

use crate::time::TimeMs;

/// An input that was refused and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Contract 1: outputs of the last input were not drained.
    #[error("{pending} outputs of the last input are not drained")]
    OutputsPending {
        /// Outputs waiting.
        pending: usize,
    },
    /// Contract 2: time went backwards.
    #[error("time went back from {last} to {now}")]
    TimeWentBack {
        /// Time of the last input.
        last: TimeMs,
        /// Time of this one.
        now: TimeMs,
    },
    /// Contract 3: a message from a worker that has not joined or has left.
    #[error("{worker} is not joined")]
    NotJoined {
        /// The sender.
        worker: NodeId,
    },
    /// Contract 3: a worker joined twice without leaving.
    #[error("{worker} joined already")]
    AlreadyJoined {
        /// The worker.
        worker: NodeId,
    },
    /// Contract 4: a round of a job whose last round is still active.
    #[error("job {job} still has round {active} active, cannot start round {round}")]
    RoundActive {
        /// The job.
        job: JobId,
        /// Round in progress.
        active: u32,
        /// Round that was to start.
        round: u32,
    },
    /// Contract 4: no active round of that job.
    #[error("job {job} has no active round")]
    UnknownJob {
        /// The job.
        job: JobId,
    },
    /// A plan out of bounds.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// As many workers as the coordinator holds are connected; the driver turns the new one away.
    #[error("{limit} workers are connected, the most there may be")]
    TooManyWorkers {
        /// Allowed.
        limit: usize,
    },
    /// As many jobs as the coordinator holds are active; the driver keeps the new one queued.
    #[error("{limit} jobs are active, the most there may be")]
    TooManyJobs {
        /// Allowed.
        limit: usize,
    },
}

/// What is wrong with a round plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No unit, or too many.
    #[error("round has {units} units, allowed is 1 to {limit}")]
    UnitCount {
        /// In the plan.
        units: usize,
        /// Allowed.
        limit: u32,
    },
    /// No replica, or too many.
    #[error("units have {replicas} replicas, allowed is 1 to {limit}")]
    Replicas {
        /// In the plan.
        replicas: u32,
        /// Allowed.
        limit: u32,
    },
    /// Leases too short or too long.
    #[error("leases last {duration_ms} ms, allowed is {min_ms} to {max_ms}")]
    LeaseDuration {
        /// In the plan.
        duration_ms: u32,
        /// Shortest allowed.
        min_ms: u32,
        /// Longest allowed.
        max_ms: u32,
    },
    /// A share that is not in 1 to 1000 thousandths.
    #[error("largest share of a worker is {permille} thousandths, allowed is 1 to 1000")]
    WorkerShare {
        /// In the plan.
        permille: u32,
    },
    /// A unit without a determinism class.
    #[error("unit {index} has no determinism class")]
    UnspecifiedClass {
        /// Its index.
        index: u32,
    },
    /// One unit at two indices: it would be computed once and counted twice.
    #[error("unit {index} repeats {unit:?}")]
    DuplicateUnit {
        /// The second index.
        index: u32,
        /// The unit.
        unit: UnitId,
    },
    /// An accepted unit outside the round.
    #[error("accepted unit {index} is outside a round of {units} units")]
    AcceptedIndex {
        /// Its index.
        index: u32,
        /// Units in the round.
        units: usize,
    },
    /// One index accepted twice.
    #[error("unit {index} is in the list of accepted units twice")]
    AcceptedTwice {
        /// Its index.
        index: u32,
    },
}

//! Every bound and timeout of the coordinator, each with its reason. Limits that peers see are in `shoal_wire::limits`.

use shoal_wire::limits::{MAX_LEASES_PER_REQUEST, MAX_REPLICAS, MAX_SHARDS};

/// Most jobs with an active round at once. A relay's volunteers are shared out among them; beyond this a job waits in
/// the driver's queue.
pub const MAX_ACTIVE_JOBS: usize = 64;

/// Most workers connected at once: each costs about 200 bytes here and a stream in the driver.
pub const MAX_CONNECTED_WORKERS: usize = 10_000;

/// Most workers whose strikes are remembered while they are away. Only workers with strikes are kept; the one that
/// left first is forgotten first.
pub const MAX_REMEMBERED_WORKERS: usize = 10_000;

/// Most leases one worker may hold that it has not revealed a result for: one to compute, the others being fetched.
pub const MAX_LEASES_PER_WORKER: u32 = 16;

/// Wrong results of exact units after which a worker gets no more leases at all. Exact results of honest software
/// cannot differ; three allow for a bad memory cell and an interrupted write before we stop wasting verdicts.
pub const MAX_EXACT_STRIKES: u32 = 3;

/// Tolerant results out of bounds after which a worker gets no more tolerant units. Its exact units go on: a GPU that
/// disagrees says nothing about the CPU beside it.
pub const MAX_TOLERANT_STRIKES: u32 = 3;

/// Most owners kept out of one unit because their result for it was wrong. When that many were wrong the oldest may
/// try again: by then the reference is likelier at fault than the next worker.
pub const MAX_BARRED_PER_UNIT: usize = 64;

/// Most workers remembered per unit for having let a lease of it lapse; the oldest may try again.
pub const MAX_LAPSED_PER_UNIT: usize = 64;

/// Shortest lease, milliseconds: below it a round trip and the transfer of a few KiB do not fit.
pub const MIN_LEASE_DURATION_MS: u32 = 100;

/// Longest lease, milliseconds: how long a vanished worker that keeps its stream open may hold up one unit.
pub const MAX_LEASE_DURATION_MS: u32 = 3_600_000;

/// Time from the acknowledgement of a commitment to the announcement of the output, milliseconds. The output is ready
/// by then and the announcement is one small message, so this covers a stalled link and a tab throttled to one timer
/// a minute.
pub const REVEAL_TIMEOUT_MS: u64 = 90_000;

/// How long committed replicas wait for a missing one before they are asked to reveal without it, milliseconds. A
/// volunteer swarm may have nobody else for this unit; the verdict decides in any case, replicas make it cheaper.
pub const REPLICA_PATIENCE_MS: u64 = 30_000;

/// How long a connected worker that neither waits nor computes still counts as taking part, milliseconds. Between an
/// acceptance and its next request lies one round trip; without this, a worker at its share would take over-share
/// units in that gap.
pub const PARTICIPATION_GRACE_MS: u64 = 5_000;

/// Rest after a lease lapsed while its worker stayed connected, milliseconds; doubles with each lapse in a row. A
/// silent worker must not hold up one unit in every round.
pub const LAPSE_REST_MS: u64 = 5_000;

/// Most doublings of [`LAPSE_REST_MS`]: the longest rest is 5 s × 2^6, about five minutes, so that a laptop that was
/// asleep is not punished for a day.
pub const MAX_LAPSE_DOUBLINGS: u32 = 6;

const _: () = assert!(MAX_LEASES_PER_REQUEST <= MAX_LEASES_PER_WORKER, "one request must be grantable at once");
const _: () = assert!(MAX_REPLICAS as usize <= MAX_BARRED_PER_UNIT, "a whole wrong replica group must be remembered");
const _: () = assert!(MAX_SHARDS >= 1 && MAX_REPLICAS >= 1);
const _: () = assert!(MIN_LEASE_DURATION_MS < MAX_LEASE_DURATION_MS);

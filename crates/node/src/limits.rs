//! Bounds and times of the worker, each with its reason.

use std::{num::NonZeroU8, time::Duration};

/// Leases held that are not committed yet: one being computed, the next being fetched meanwhile.
pub const MAX_OPEN_LEASES: u32 = 2;

/// Longest stretch of computing before the event loop gets its turn. Well below a ping's timeout and a frame of video.
pub const COMPUTE_SLICE: Duration = Duration::from_millis(16);

/// Dialling a relay, handshakes included; ICE on a bad network takes up to ten seconds.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Addresses of the relay that are dialled, all at once; further ones are left out. Five ways on a few interfaces.
pub const MAX_DIALS: NonZeroU8 = NonZeroU8::new(32).expect("not zero");

/// From the open connection to the relay's welcome.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);

/// One attempt at a blob. It resumes afterwards, so this only bounds how long a silent sender is waited for.
pub const FETCH_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Attempts in a row without one new group before a blob is given up.
pub const MAX_FRUITLESS_ATTEMPTS: u32 = 4;

/// Pause before another attempt at a blob; doubles while attempts bring nothing.
pub const FETCH_RETRY: Duration = Duration::from_millis(250);

/// Streams of one blob at once. Half of what the relay takes from one peer, so that two sessions of a worker that has just
/// reconnected fit.
pub const FETCH_LANES: usize = 4;

/// Bytes of a blob that tell how fast a connection is: slow start and the first round trips are a small part of it.
pub const MIN_MEASURED_LEN: u64 = 4 * 1024 * 1024;

/// Unfinished downloads kept in memory, over lost sessions too: a unit has three inputs.
pub const MAX_KEPT_DOWNLOADS: usize = 4;

/// Smallest blob whose pieces are kept while it is unfinished, bytes: less is fetched again sooner than it is written.
pub const MIN_KEPT_LEN: u64 = 4 * 1024 * 1024;

/// How long an HTTPS source may keep a range waiting beyond what [`MIN_SOURCE_RATE`] takes.
pub const SOURCE_PATIENCE: Duration = Duration::from_secs(15);

/// Slowest HTTPS source that is worth it, bytes/s.
pub const MIN_SOURCE_RATE: u64 = 64 * 1024;

/// Passing failures in a row after which an HTTPS source is asked no more.
pub const MAX_SOURCE_FAULTS: u32 = 3;

/// One output being fetched by the relay.
pub const SERVE_TIMEOUT: Duration = Duration::from_secs(300);

/// Outputs kept for the relay to fetch, also after a reconnect. A worker has at most a handful in judgement.
pub const MAX_KEPT_OUTPUTS: usize = 8;

/// Results whose verdict is still out. Older ones are forgotten: their receipts then go unrecognised, not unpaid.
pub const MAX_PENDING_RESULTS: usize = 256;

/// Messages waiting to be written. A session sends a few per unit; a relay that reads none of these is gone.
pub const OUTBOX_LEN: usize = 64;

/// First pause before reconnecting; doubles up to [`MAX_RECONNECT_DELAY`], plus up to half of it by node id, so that a
/// restarted relay is not met by everybody at once.
pub const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Longest pause before reconnecting.
pub const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);

/// Pause after a unit was given back because of a fault here or in it; doubles with each in a row.
pub const RETURN_REST: Duration = Duration::from_secs(1);

/// Most doublings of [`RETURN_REST`].
pub const MAX_RETURN_DOUBLINGS: u32 = 6;

/// After a stop: how long results already committed are waited for.
pub const STOP_DRAIN: Duration = Duration::from_secs(5);

/// How often statistics are reported and timers looked at.
pub const TICK: Duration = Duration::from_secs(1);

/// Failed pings in a row before a connection counts as dead. One may fail on a machine that is busy or was asleep.
pub const MAX_PING_FAILURES: u32 = 2;

/// Bytes of blobs cached in memory unless configured otherwise: graph, shards and a few rounds of a small model.
pub const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of blobs kept in storage unless configured otherwise: several models of the size a tab can hold.
pub const DEFAULT_STORED_BYTES: u64 = 1024 * 1024 * 1024;

/// Memory budget of one unit unless configured otherwise.
pub const DEFAULT_MEMORY_BYTES: u64 = 512 * 1024 * 1024;

/// Operation budget of one unit unless configured otherwise: about a minute on one slow core.
pub const DEFAULT_MAX_UNIT_OPS: u64 = 200_000_000_000;

const _: () = assert!(2 * FETCH_LANES <= shoal_wire::limits::MAX_BLOB_STREAMS_PER_PEER);

//! Every bound of the protocol, each with its reason. Limits that depend on each other are tied by compile-time asserts.

/// Largest frame of the work protocol, bytes. Control messages name blobs by hash and carry none, so 64 KiB leaves room
/// for nested envelopes and keeps one peer from holding much memory.
pub const MAX_FRAME_LEN: usize = 64 * 1024;

/// Bao group, bytes: the unit of verification and of resuming a transfer.
pub const BLOB_GROUP_LEN: usize = 16 * 1024;

/// Most bytes of a bao slice in one `BlobReply.chunk`: fits a 16 KiB data-channel message several times over without
/// making a slow link wait long for one frame.
pub const MAX_BLOB_CHUNK: usize = 32 * 1024;

/// Credit a receiver grants at first, bytes: the bandwidth-delay product of 20 Mbit/s at 100 ms.
pub const INITIAL_BLOB_CREDIT: u64 = 256 * 1024;

/// Largest credit one transfer may hold, bytes; bounds what a sender may queue towards one receiver.
pub const MAX_BLOB_CREDIT: u64 = 4 * 1024 * 1024;

/// Largest blob of the first protocol version, bytes: a volunteer's tab must hold it in memory.
pub const MAX_BLOB_LEN: u64 = 256 * 1024 * 1024;

/// Concurrent blob transfers with one peer; a worker needs a handful (graph, parameters, shard, output).
pub const MAX_BLOB_STREAMS_PER_PEER: usize = 8;

/// Most HTTPS sources of one blob: a main one and a few mirrors.
pub const MAX_BLOB_SOURCES: usize = 4;

/// Longest URL of a source, bytes; those of model hubs and CDNs stay below.
pub const MAX_BLOB_SOURCE_LEN: usize = 512;

/// Most units one lease request may ask for.
pub const MAX_LEASES_PER_REQUEST: u32 = 16;

/// Longest `agent` string, bytes.
pub const MAX_AGENT_LEN: usize = 64;

/// Longest `adapter` string, bytes; real adapter descriptions stay below 128.
pub const MAX_ADAPTER_LEN: usize = 256;

/// Longest `site` string, bytes: an origin's host is at most 253.
pub const MAX_SITE_LEN: usize = 300;

/// Longest free-text reason or detail, bytes; longer ones are cut by the sender.
pub const MAX_REASON_LEN: usize = 512;

/// Longest network name, bytes.
pub const MAX_NETWORK_LEN: usize = 64;

/// Most layers in a submitted model; the deepest published convolutional nets stay below.
pub const MAX_LAYERS: usize = 1024;

/// Most rounds of one job.
pub const MAX_ROUNDS: u32 = 100_000;

/// Most work units in one round.
pub const MAX_UNITS_PER_ROUND: u32 = 10_000;

/// Most replicas of one unit.
pub const MAX_REPLICAS: u32 = 7;

/// Most local steps of one unit: at a millisecond each, a lease of minutes.
pub const MAX_LOCAL_STEPS: u32 = 100_000;

/// Largest mini-batch, samples.
pub const MAX_BATCH: u32 = 65_536;

/// Most graphs of a map job: one for each length that texts are padded to, or size of an image, with room.
pub const MAX_MAP_GRAPHS: usize = 64;

/// Most shards of a map job, each a unit: the document takes a hundred bytes a shard, and all are in the coordinator's
/// memory.
pub const MAX_SHARDS: u32 = 65_536;

/// Most rows of a shard of a map job: what a blob of [`MAX_BLOB_LEN`] holds of a few hundred bytes each.
pub const MAX_SHARD_ROWS: u32 = 1 << 20;

/// Largest job document, bytes: it names data by hash and holds none; the hashes of [`MAX_SHARDS`] shards take seven.
pub const MAX_JOB_SPEC_LEN: usize = 8 * 1024 * 1024;

/// Longest job name, bytes.
pub const MAX_JOB_NAME_LEN: usize = 128;

const _: () = assert!(MAX_BLOB_CHUNK < MAX_FRAME_LEN, "a blob chunk must fit a frame with its field tags");
const _: () = assert!(MAX_BLOB_SOURCES * (MAX_BLOB_SOURCE_LEN + 3) + 16 < MAX_FRAME_LEN, "a header must fit a frame");
const _: () = assert!(INITIAL_BLOB_CREDIT <= MAX_BLOB_CREDIT);
const _: () = assert!(INITIAL_BLOB_CREDIT as usize >= 4 * MAX_BLOB_CHUNK, "a transfer must be able to pipeline");
const _: () = assert!(MAX_BLOB_LEN.is_multiple_of(BLOB_GROUP_LEN as u64));

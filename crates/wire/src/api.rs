//! Bodies of the relay's HTTP API that both the relay and its clients read and write.

use serde::{Deserialize, Serialize};

use crate::ids::{BlobId, JobId, NodeId};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Rounds are being computed.
    Running,
    /// The last round is averaged; the model can be fetched.
    Finished,
    /// Cancelled by the consumer; accepted units stay paid.
    Cancelled,
    /// Cannot go on; `JobStatus.failure` says why.
    Failed,
}

/// A job as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStatus {
    /// Identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: JobId,
    /// Name from the job document.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Rounds averaged so far.
    pub rounds_done: u32,
    /// Rounds planned.
    pub rounds: u32,
    /// Units accepted in the current round.
    pub round_accepted: u32,
    /// Units of a round.
    pub units_per_round: u32,
    /// Accuracy on the held-out samples after the last averaged round, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<f64>,
    /// Parameters after the last averaged round, safetensors; absent for a map job.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<BlobId>,
    /// Rows of a map job; absent for a training job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowProgress>,
    /// Reference operations of all accepted units.
    pub verified_ops: u64,
    /// Native time spent checking over native-equivalent time of the work checked: 1.0 means every unit was computed
    /// once more. Absent until a unit was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_overhead: Option<f64>,
    /// Who contributed to this job.
    pub workers: Vec<WorkerRow>,
}

/// Rows of a map job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowProgress {
    /// Rows of accepted shards.
    pub done: u64,
    /// All rows.
    pub total: u64,
}

/// The accepted output of one shard of a map job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MapOutput {
    /// Position in the job's `shards`.
    pub shard: u32,
    /// Its rows.
    pub rows: u32,
    /// Safetensors with `[rows, …]` for each output of the graph.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub blob: BlobId,
}

/// A worker's part in a job, or in all jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerRow {
    /// Node id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub node: NodeId,
    /// `browser`, `native` or `node`.
    pub kind: String,
    /// `cpu` or `webgpu`.
    pub backend: String,
    /// WebGPU adapter, if any.
    pub adapter: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Reference operations of its accepted units.
    pub verified_ops: u64,
    /// Accepted units.
    pub accepted_units: u64,
    /// Rejected units.
    pub rejected_units: u64,
    /// WebGPU dispatches it reported for accepted units.
    pub gpu_dispatches: u64,
    /// Payout address, `0x…`, if it bound one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_address: Option<String>,
}

/// A connection as it is now. Bytes are those of its streams, as both ends count them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionRow {
    /// Node id of the other end; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub node: Option<NodeId>,
    /// Whether it holds a worker's session.
    pub joined: bool,
    /// `webrtc`, `websocket`, `quic` or `tcp`.
    pub transport: String,
    /// Multiaddress of the other end.
    pub address: String,
    /// How long it has stood, milliseconds.
    pub age_ms: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received a second, over the last seconds.
    pub received_bytes_per_second: u64,
    /// Bytes sent a second, over the last seconds.
    pub sent_bytes_per_second: u64,
    /// What the last ping took, milliseconds: path, queues and the other end's attention. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// What the transport's own acknowledgements take, milliseconds, smoothed: the path, and how long the other end holds an
    /// acknowledgement back. Absent where the transport hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_round_trip_ms: Option<f64>,
    /// Pieces of data that the transport sent once more. Absent where the transport hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retransmissions: Option<u64>,
}

/// Answer to a submitted job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobCreated {
    /// Identifier of the new job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: JobId,
}

/// Answer to an uploaded blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlobCreated {
    /// Content address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
}

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// Stable machine-readable code, for example `job_malformed`.
    pub code: String,
    /// What is wrong, with the value and the limit.
    pub message: String,
}

/// How to join this relay: what the volunteer page and `shoal work` need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinInfo {
    /// Network name that signatures cover.
    pub network: String,
    /// The relay's node id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub relay: NodeId,
    /// Multiaddresses, each ending in `/p2p/<peer id>`: webrtc-direct for tabs, TCP for native workers.
    pub addresses: Vec<String>,
    /// Whether a join secret is needed.
    pub private: bool,
    /// Where rewards are recorded, if a chain is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainInfo>,
}

/// The chain that a relay posts epochs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainInfo {
    /// EVM chain id.
    pub chain_id: u64,
    /// JSON-RPC URL.
    pub rpc_url: String,
    /// Reward token contract, `0x…`.
    pub token: String,
    /// Distributor contract, `0x…`.
    pub distributor: String,
}

/// What nodes have earned, and the claims that pay it. Amounts are base units of the token as decimal text: JSON numbers
/// lose digits above 2^53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RewardsInfo {
    /// Epoch in force on chain that the claims belong to, 0 before the first.
    pub epoch: u64,
    /// Its Merkle root, `0x…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Everything earned that has an address to be paid at, posted or not.
    pub payable: String,
    /// Earned by nodes that have no payout address yet.
    pub held: String,
    /// Claims against the epoch in force.
    pub claims: Vec<RewardClaim>,
    /// Where to claim, if a chain is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainInfo>,
}

/// One claim; the JSON of `shoal_ledger::Claim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RewardClaim {
    /// Epoch whose root the proof leads to.
    pub epoch: u64,
    /// Keccak-256 of the node id, `0x…`.
    pub node_hash: String,
    /// Where it is paid, `0x…`.
    pub payout: String,
    /// Everything earned there since the beginning, paid or not, base units.
    pub cumulative: String,
    /// Siblings from the leaf up, `0x…` each.
    pub proof: Vec<String>,
}

/// What `shoal-relay --ready-file` writes once everything listens: for whoever started the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayReady {
    /// How to join.
    pub join: JoinInfo,
    /// URL of the HTTP side, with the port it really has, such as `http://127.0.0.1:7040`.
    pub http: String,
    /// File that holds a private swarm's secret, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_secret_file: Option<String>,
    /// File that holds the operator's bearer token, which is asked for when HTTP is not bound to loopback.
    pub api_token_file: String,
}

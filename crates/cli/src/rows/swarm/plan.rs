//! From rows to a job's document. Shards are uploaded as they are made: none but the current one is in memory.

use std::collections::{BTreeMap, HashSet};

use shoal_dataset::{ResultRow, ResultWriter, Step};
use shoal_wire::{
    ids::BlobId,
    job::{MapGraphSpec, MapKind, MapShard, MapSpec, SchedulingSpec},
    limits::{MAX_BLOB_LEN, MAX_JOB_NAME_LEN, MAX_SHARDS},
};

use super::super::{Done, Rows, RowsError, graphs::Ready, results::Results, tensors};
use crate::{error::CliError, model::file::model_error, output::Output, relay_api::RelayApi};

/// Rate at which a lease lasts for its unit: a slow phone that does something else too.
const SLOWEST_OPS_PER_MS: u64 = 1_000_000;
/// Longest lease, milliseconds: a worker that has left is missed within minutes.
const MAX_LEASE_MS: u32 = 600_000;

/// A job, and what is needed to make rows of its outputs.
pub(super) struct Plan {
    pub(super) spec: MapSpec,
    /// Hash of the document and of what becomes of the outputs.
    pub(super) document: BlobId,
    pub(super) results: Results,
    /// Rows of each shard, by their index in the input.
    pub(super) shard_rows: Vec<Vec<u64>>,
    /// Rows that could not be read or prepared.
    pub(super) failed: BTreeMap<u64, String>,
    /// All rows.
    pub(super) rows: u64,
}

/// What has been uploaded, or would have been.
struct Uploads<'a> {
    /// None if everything is there already.
    relay: Option<&'a RelayApi>,
    seen: HashSet<BlobId>,
}

impl Plan {
    /// Reads all rows; uploads what the job needs, if a relay is given.
    pub(super) async fn make(
        mut rows: Rows,
        name: &str,
        relay: Option<&RelayApi>,
        output: &Output,
    ) -> Result<Self, CliError> {
        let mut uploads = Uploads { relay, seen: HashSet::new() };
        let (mut shards, mut shard_rows, mut failed) = (Vec::new(), Vec::new(), BTreeMap::new());
        // Graphs of the job, in the order of their first shards.
        let mut used: Vec<usize> = Vec::new();
        while let Some(step) = rows.shards.next_step()? {
            let shard = match step {
                Step::Failed(error) => {
                    failed.insert(error.index, error.to_string());
                    continue;
                }
                Step::Shard(shard) => shard,
            };
            let graph = rows.graphs.of(&shard)?;
            let bytes = tensors(&shard, &rows.graphs.ready(graph).inputs).to_bytes();
            let blob = uploads.add("a shard", bytes).await?;
            let position = used.iter().position(|own| *own == graph).unwrap_or_else(|| {
                used.push(graph);
                used.len() - 1
            });
            shards.push(MapShard { blob, rows: shard.rows.len() as u32, graph: position as u32 });
            if shards.len() > MAX_SHARDS as usize {
                return Err(RowsError::Units { units: shards.len(), limit: MAX_SHARDS }.into());
            }
            shard_rows.push(shard.rows);
        }
        let batch = rows.graphs.batch();
        let mut graphs = Vec::new();
        let mut parameters_seen = HashSet::new();
        for (number, index) in used.iter().enumerate() {
            let ready = rows.graphs.ready(*index);
            let graph = uploads.add("a graph", ready.graph.bytes().to_vec()).await?;
            let bytes = parameters(ready)?;
            let len = bytes.len();
            let parameters = uploads.add("the model's parameters", bytes).await?;
            if parameters_seen.insert(parameters) && number > 0 {
                output.text(format!("graph {number} has constants of its own: {len} bytes more of parameters"));
            }
            graphs.push(MapGraphSpec { graph, parameters, batch });
        }
        let largest = shards.iter().map(|shard| {
            let runs = u64::from(shard.rows.div_ceil(batch));
            rows.graphs.ready(used[shard.graph as usize]).graph.reference_ops().saturating_mul(runs)
        });
        let spec = MapSpec {
            kind: MapKind::Map,
            name: short(name),
            scheduling: scheduling(largest.max().unwrap_or(0)),
            graphs,
            shards,
        };
        let document = document(&spec, &rows.results);
        let (all, results) = (rows.shards.rows_read(), rows.results);
        Ok(Self { spec, document, results, shard_rows, failed, rows: all })
    }

    /// Writes an output of rows that all failed: there is nothing to compute.
    pub(super) fn write_failed(self, mut writer: ResultWriter) -> Result<Done, CliError> {
        let failed_rows = self.failed.len() as u64;
        for (row, reason) in self.failed {
            writer.write(&ResultRow { row, values: Err(reason) })?;
        }
        writer.finish()?;
        Ok(Done { rows: self.rows, failed_rows })
    }
}

impl Uploads<'_> {
    async fn add(&mut self, what: &'static str, bytes: Vec<u8>) -> Result<BlobId, CliError> {
        if bytes.len() as u64 > MAX_BLOB_LEN {
            return Err(RowsError::Blob { what, bytes: bytes.len() as u64, limit: MAX_BLOB_LEN }.into());
        }
        let id = BlobId::of(&bytes);
        match self.relay {
            Some(relay) if self.seen.insert(id) => relay.upload(bytes).await,
            _ => Ok(id),
        }
    }
}

fn parameters(ready: &Ready) -> Result<Vec<u8>, CliError> {
    let weights = ready.weights.iter().map(|(name, weight)| (name.as_str(), weight));
    shoal_onnx::write_safetensors(weights).map_err(|source| model_error("parameters".as_ref(), source))
}

/// A lease outlasts the largest unit on a slow machine.
fn scheduling(ops: u64) -> SchedulingSpec {
    let usual = SchedulingSpec::default();
    let needed = u32::try_from(ops / SLOWEST_OPS_PER_MS).unwrap_or(u32::MAX);
    SchedulingSpec { lease_ms: needed.clamp(usual.lease_ms, MAX_LEASE_MS), ..usual }
}

fn document(spec: &MapSpec, results: &Results) -> BlobId {
    let spec = serde_json::to_value(spec).expect("plain data");
    BlobId::of(serde_json::json!([spec, results.description()]).to_string().as_bytes())
}

fn short(name: &str) -> String {
    let mut end = name.len().min(MAX_JOB_NAME_LEN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

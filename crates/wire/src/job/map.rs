//! A map job: graphs over many rows. The rows come in shards, a unit each, and each shard names the graph that takes its
//! rows: texts of different lengths need graphs of different sizes. The outputs stay in the order of the shards.

use serde::{Deserialize, Serialize};

use super::{JobError, SchedulingSpec, length};
use crate::{
    ids::BlobId,
    limits::{MAX_BATCH, MAX_JOB_NAME_LEN, MAX_MAP_GRAPHS, MAX_SHARD_ROWS, MAX_SHARDS},
};

/// Says that a document is a map job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MapKind {
    /// The only one.
    #[default]
    Map,
}

/// A map job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MapSpec {
    /// `map`.
    pub kind: MapKind,
    /// A name for people, 1 to 128 bytes.
    pub name: String,
    /// What shards may run, 1 to 64.
    pub graphs: Vec<MapGraphSpec>,
    /// The rows, in order.
    pub shards: Vec<MapShard>,
    /// How to spread the work over workers.
    #[serde(default)]
    pub scheduling: SchedulingSpec,
}

/// A graph with its parameters. Equal blobs are stored and read once, however many graphs name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MapGraphSpec {
    /// Blob of the graph. Each output, and each input that the parameters do not hold, is `[batch, …]`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub graph: BlobId,
    /// Blob of the model's parameters: safetensors under the names of the graph's inputs.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub parameters: BlobId,
    /// Rows of one run of the graph.
    pub batch: u32,
}

/// Some rows: the work of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MapShard {
    /// Safetensors with `[rows, …]` for each input of the graph that the parameters do not hold.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub blob: BlobId,
    /// How many.
    pub rows: u32,
    /// Position in `graphs` of the graph that takes them.
    #[serde(default)]
    pub graph: u32,
}

impl MapSpec {
    /// Parses and checks a JSON document.
    pub fn from_json(document: &[u8]) -> Result<Self, JobError> {
        let spec: Self = serde_json::from_slice(document).map_err(|error| JobError::Malformed(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    /// Checks every field that can be checked without the blobs.
    pub fn check(&self) -> Result<(), JobError> {
        length("name", self.name.len(), 1, MAX_JOB_NAME_LEN)?;
        length("graphs", self.graphs.len(), 1, MAX_MAP_GRAPHS)?;
        for (item, graph) in self.graphs.iter().enumerate() {
            item_range("graphs", item, "batch", graph.batch, 1, MAX_BATCH)?;
        }
        length("shards", self.shards.len(), 1, MAX_SHARDS as usize)?;
        let last_graph = self.graphs.len() as u32 - 1;
        for (item, shard) in self.shards.iter().enumerate() {
            item_range("shards", item, "rows", shard.rows, 1, MAX_SHARD_ROWS)?;
            item_range("shards", item, "graph", shard.graph, 0, last_graph)?;
        }
        self.scheduling.check()
    }

    /// Rows of all shards.
    pub fn rows(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(shard.rows)).sum()
    }

    /// The graph of a shard of a checked document.
    pub fn graph_of(&self, shard: &MapShard) -> &MapGraphSpec {
        &self.graphs[shard.graph as usize]
    }
}

fn item_range(
    list: &'static str,
    item: usize,
    field: &'static str,
    value: u32,
    min: u32,
    max: u32,
) -> Result<(), JobError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(JobError::ItemOutOfRange { list, item, field, value, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::super::JobDocument;
    use super::*;

    fn check(edit: impl Fn(&mut serde_json::Value)) -> Result<JobDocument, JobError> {
        let id = "00".repeat(32);
        let mut value = serde_json::json!({
            "kind": "map", "name": "sentences",
            "graphs": [{"graph": id, "parameters": id, "batch": 8}, {"graph": id, "parameters": id, "batch": 4}],
            "shards": [{"blob": id, "rows": 20}, {"blob": id, "rows": 3, "graph": 1}],
        });
        edit(&mut value);
        JobDocument::from_json(value.to_string().as_bytes())
    }

    fn refused(edit: impl Fn(&mut serde_json::Value)) -> String {
        check(edit).unwrap_err().to_string()
    }

    #[test]
    fn a_good_job_parses_with_its_defaults() {
        let JobDocument::Map(spec) = check(|_| ()).unwrap() else { panic!("the kind is map") };
        assert_eq!((spec.rows(), &spec.scheduling), (23, &SchedulingSpec::default()));
        assert_eq!(spec.shards.iter().map(|shard| spec.graph_of(shard).batch).collect::<Vec<_>>(), [8, 4]);
        let again = serde_json::to_vec(&spec).unwrap();
        assert_eq!(JobDocument::from_json(&again).unwrap(), JobDocument::Map(spec), "it is written as it is read");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_limit() {
        assert!(refused(|v| v["kind"] = "reduce".into()).contains("unknown variant `reduce`, expected `map`"));
        assert!(refused(|v| v["bach"] = 1.into()).contains("bach"));
        assert_eq!(refused(|v| v["shards"] = serde_json::json!([])), "shards has length 0, allowed is 1 to 65536");
        assert_eq!(refused(|v| v["graphs"] = serde_json::json!([])), "graphs has length 0, allowed is 1 to 64");
        let batch = refused(|v| v["graphs"][1]["batch"] = 0.into());
        assert_eq!(batch, "graphs[1].batch is 0, allowed is 1 to 65536");
        let graph = refused(|v| v["shards"][0]["graph"] = 2.into());
        assert_eq!(graph, "shards[0].graph is 2, allowed is 0 to 1");
        let rows = refused(|v| v["shards"][1]["rows"] = 0.into());
        assert_eq!(rows, "shards[1].rows is 0, allowed is 1 to 1048576");
        assert!(refused(|v| v["scheduling"] = serde_json::json!({"replicas": 8})).contains("scheduling.replicas is 8"));
    }

    #[test]
    fn the_largest_document_fits_its_limit() {
        let blob = BlobId([255; 32]);
        let shard = MapShard { blob, rows: MAX_SHARD_ROWS, graph: MAX_MAP_GRAPHS as u32 - 1 };
        let graph = MapGraphSpec { graph: blob, parameters: blob, batch: MAX_BATCH };
        let spec = MapSpec {
            kind: MapKind::Map,
            name: "n".repeat(MAX_JOB_NAME_LEN),
            graphs: vec![graph; MAX_MAP_GRAPHS],
            shards: vec![shard; MAX_SHARDS as usize],
            scheduling: SchedulingSpec::default(),
        };
        let document = serde_json::to_vec(&spec).unwrap();
        assert!(document.len() <= crate::limits::MAX_JOB_SPEC_LEN, "{} bytes", document.len());
        assert!(JobDocument::from_json(&document).is_ok());
    }
}

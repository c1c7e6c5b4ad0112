//! A map job: one graph over many rows. The rows come in shards, a unit each; the outputs stay in the order of the shards.

use serde::{Deserialize, Serialize};

use super::{JobError, SchedulingSpec, length, range};
use crate::{
    ids::BlobId,
    limits::{MAX_BATCH, MAX_JOB_NAME_LEN, MAX_SHARD_ROWS, MAX_SHARDS},
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
    /// Blob of the graph. Each output, and each input that the parameters do not hold, is `[batch, …]`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub graph: BlobId,
    /// Blob of the model's parameters: safetensors under the names of the graph's inputs.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub parameters: BlobId,
    /// Rows of one run of the graph.
    pub batch: u32,
    /// The rows, in order.
    pub shards: Vec<MapShard>,
    /// How to spread the work over workers.
    #[serde(default)]
    pub scheduling: SchedulingSpec,
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
        range("batch", self.batch, 1, MAX_BATCH)?;
        length("shards", self.shards.len(), 1, MAX_SHARDS as usize)?;
        for (shard, MapShard { rows, .. }) in self.shards.iter().enumerate() {
            if !(1..=MAX_SHARD_ROWS).contains(rows) {
                return Err(JobError::ShardRows { shard, rows: *rows, max: MAX_SHARD_ROWS });
            }
        }
        self.scheduling.check()
    }

    /// Rows of all shards.
    pub fn rows(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(shard.rows)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::JobDocument;
    use super::*;

    fn check(edit: impl Fn(&mut serde_json::Value)) -> Result<JobDocument, JobError> {
        let id = "00".repeat(32);
        let mut value = serde_json::json!({
            "kind": "map", "name": "sentences", "graph": id, "parameters": id, "batch": 8,
            "shards": [{"blob": id, "rows": 20}, {"blob": id, "rows": 3}],
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
        let again = serde_json::to_vec(&spec).unwrap();
        assert_eq!(JobDocument::from_json(&again).unwrap(), JobDocument::Map(spec), "it is written as it is read");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_limit() {
        assert!(refused(|v| v["kind"] = "reduce".into()).contains("unknown variant `reduce`, expected `map`"));
        assert!(refused(|v| v["bach"] = 1.into()).contains("bach"));
        assert_eq!(refused(|v| v["shards"] = serde_json::json!([])), "shards has length 0, allowed is 1 to 65536");
        assert_eq!(refused(|v| v["batch"] = 0.into()), "batch is 0, allowed is 1 to 65536");
        let rows = refused(|v| v["shards"][1]["rows"] = 0.into());
        assert_eq!(rows, "shards[1].rows is 0, allowed is 1 to 1048576");
        assert!(refused(|v| v["scheduling"] = serde_json::json!({"replicas": 8})).contains("scheduling.replicas is 8"));
    }

    #[test]
    fn the_largest_document_fits_its_limit() {
        let shard = MapShard { blob: BlobId([255; 32]), rows: MAX_SHARD_ROWS };
        let spec = MapSpec {
            kind: MapKind::Map,
            name: "n".repeat(MAX_JOB_NAME_LEN),
            graph: shard.blob,
            parameters: shard.blob,
            batch: MAX_BATCH,
            shards: vec![shard; MAX_SHARDS as usize],
            scheduling: SchedulingSpec::default(),
        };
        let document = serde_json::to_vec(&spec).unwrap();
        assert!(document.len() <= crate::limits::MAX_JOB_SPEC_LEN, "{} bytes", document.len());
        assert!(JobDocument::from_json(&document).is_ok());
    }
}

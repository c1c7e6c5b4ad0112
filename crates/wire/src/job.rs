//! What a consumer submits: a training job (a model, data named by hash, how to train) or a map job ([`map`]), and how to
//! spread the work.
//!
//! The document is JSON. Unknown fields and unknown operations are refused by name, so that a misspelling never
//! becomes a silent default. [`JobSpec::check`] and [`MapSpec::check`] are the whole of the checks that need no blob.

mod map;

use serde::{Deserialize, Serialize};

use crate::{
    ids::BlobId,
    limits::{MAX_BATCH, MAX_JOB_NAME_LEN, MAX_LAYERS, MAX_LOCAL_STEPS, MAX_REPLICAS, MAX_ROUNDS, MAX_UNITS_PER_ROUND},
};

pub use map::{MapGraphSpec, MapKind, MapShard, MapSpec};

/// A document of either kind: one without a `kind` is a training job.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum JobDocument {
    /// Trains a model.
    Training(JobSpec),
    /// Runs graphs over rows.
    Map(MapSpec),
}

impl JobDocument {
    /// Parses and checks a JSON document.
    pub fn from_json(document: &[u8]) -> Result<Self, JobError> {
        #[derive(Deserialize)]
        struct Head {
            kind: Option<String>,
        }
        let malformed = |error: serde_json::Error| JobError::Malformed(error.to_string());
        let head: Head = serde_json::from_slice(document).map_err(malformed)?;
        match head.kind {
            None => JobSpec::from_json(document).map(Self::Training),
            Some(_) => MapSpec::from_json(document).map(Self::Map),
        }
    }

    /// Name for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Training(spec) => &spec.name,
            Self::Map(spec) => &spec.name,
        }
    }

    /// How to spread the work.
    pub fn scheduling(&self) -> &SchedulingSpec {
        match self {
            Self::Training(spec) => &spec.scheduling,
            Self::Map(spec) => &spec.scheduling,
        }
    }
}

/// A training job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// A name for people, 1 to 128 bytes.
    pub name: String,
    /// The model, layer by layer.
    pub model: ModelSpec,
    /// Data, already uploaded as blobs.
    pub data: DataSpec,
    /// How to train.
    pub training: TrainingSpec,
    /// How to spread the work over workers.
    #[serde(default)]
    pub scheduling: SchedulingSpec,
}

/// A feed-forward model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Shape of one sample: `[channels, height, width]` or `[features]`.
    pub input: Vec<u32>,
    /// Layers in order; the last one's output is the logits.
    pub layers: Vec<LayerSpec>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// 2-D convolution with bias, NCHW by OIHW.
    Conv2d {
        /// Output channels.
        out_channels: u32,
        /// Kernel height and width.
        kernel: u32,
        /// Step in both directions.
        #[serde(default = "one")]
        stride: u32,
        /// Zero padding on each side.
        #[serde(default)]
        padding: u32,
    },
    /// max(x, 0).
    Relu,
    /// Maximum over non-overlapping squares.
    MaxPool2d {
        /// Window and step.
        size: u32,
    },
    /// `[n, c, h, w]` to `[n, c·h·w]`.
    Flatten,
    /// Affine map of `[n, in]` to `[n, units]`.
    Dense {
        /// Output features.
        units: u32,
    },
}

/// Where the data are: safetensors blobs with `x` f32 `[n, …sample]` and `y` i32 `[n]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Training samples; partitioned over the units of a round.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub train: BlobId,
    /// Held-out samples, only ever evaluated; accuracy is reported after each round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub held_out: Option<BlobId>,
}

/// Federated averaging: each round, each unit starts from the same parameters; the relay averages by unit index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Rounds of averaging.
    pub rounds: u32,
    /// Work units in a round; the training data are cut into as many shards.
    pub units_per_round: u32,
    /// How many of them (the last by index) are single gradients of class `tolerant`, fit for a GPU; the others train
    /// locally in class `exact`.
    #[serde(default)]
    pub gradient_units_per_round: u32,
    /// Mini-batch steps of a local-training unit.
    pub local_steps: u32,
    /// Samples in a mini-batch.
    pub batch: u32,
    /// SGD learning rate of local training.
    pub learning_rate: f32,
    /// SGD momentum of local training; velocities start at zero in each unit.
    #[serde(default)]
    pub momentum: f32,
    /// Samples in a gradient unit's batch.
    #[serde(default = "one")]
    pub gradient_batch: u32,
    /// Learning rate applied to a gradient unit's gradient.
    #[serde(default)]
    pub gradient_learning_rate: f32,
    /// Seed of the initial parameters and of the partition.
    #[serde(default)]
    pub seed: u64,
}

/// How work is spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SchedulingSpec {
    /// Workers that compute each unit independently.
    pub replicas: u32,
    /// Most of a round that one worker may take while others wait, 0 to 1.
    pub max_worker_share: f64,
    /// How long a lease lasts, milliseconds.
    pub lease_ms: u32,
}

impl Default for SchedulingSpec {
    fn default() -> Self {
        // A lease of half a minute outlives any unit of the sizes a tab takes and a brief network loss.
        Self { replicas: 1, max_worker_share: 0.5, lease_ms: 30_000 }
    }
}

fn one() -> u32 {
    1
}

/// A job document that cannot be run. Each variant names the field, the value and what is allowed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JobError {
    /// Not JSON of this shape; names the field or operation.
    #[error("job document: {0}")]
    Malformed(String),
    /// A number out of range.
    #[error("{field} is {value}, allowed is {min} to {max}")]
    OutOfRange {
        /// Path of the field.
        field: &'static str,
        /// The value given.
        value: f64,
        /// Least allowed.
        min: f64,
        /// Most allowed.
        max: f64,
    },
    /// A number of an item of a list out of range.
    #[error("{list}[{item}].{field} is {value}, allowed is {min} to {max}")]
    ItemOutOfRange {
        /// The list.
        list: &'static str,
        /// Position in it.
        item: usize,
        /// Field of the item.
        field: &'static str,
        /// The value given.
        value: u32,
        /// Least allowed.
        min: u32,
        /// Most allowed.
        max: u32,
    },
    /// A list or text of the wrong length.
    #[error("{field} has length {len}, allowed is {min} to {max}")]
    Length {
        /// Path of the field.
        field: &'static str,
        /// The length given.
        len: usize,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
}

impl JobSpec {
    /// Parses and checks a JSON document.
    pub fn from_json(document: &[u8]) -> Result<Self, JobError> {
        let spec: Self = serde_json::from_slice(document).map_err(|error| JobError::Malformed(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    /// Checks every field that can be checked without the blobs.
    pub fn check(&self) -> Result<(), JobError> {
        length("name", self.name.len(), 1, MAX_JOB_NAME_LEN)?;
        length("model.layers", self.model.layers.len(), 1, MAX_LAYERS)?;
        length("model.input", self.model.input.len(), 1, 3)?;
        let training = &self.training;
        range("training.rounds", training.rounds, 1, MAX_ROUNDS)?;
        range("training.units_per_round", training.units_per_round, 1, MAX_UNITS_PER_ROUND)?;
        range("training.gradient_units_per_round", training.gradient_units_per_round, 0, training.units_per_round)?;
        range("training.local_steps", training.local_steps, 1, MAX_LOCAL_STEPS)?;
        range("training.batch", training.batch, 1, MAX_BATCH)?;
        range("training.gradient_batch", training.gradient_batch, 1, MAX_BATCH)?;
        real("training.learning_rate", f64::from(training.learning_rate), 0.0, 1e6)?;
        real("training.gradient_learning_rate", f64::from(training.gradient_learning_rate), 0.0, 1e6)?;
        real("training.momentum", f64::from(training.momentum), 0.0, 1.0)?;
        self.scheduling.check()
    }
}

impl SchedulingSpec {
    fn check(&self) -> Result<(), JobError> {
        range("scheduling.replicas", self.replicas, 1, MAX_REPLICAS)?;
        real("scheduling.max_worker_share", self.max_worker_share, 0.01, 1.0)?;
        range("scheduling.lease_ms", self.lease_ms, 100, 3_600_000)
    }
}

fn range(field: &'static str, value: u32, min: u32, max: u32) -> Result<(), JobError> {
    real(field, f64::from(value), f64::from(min), f64::from(max))
}

fn real(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), JobError> {
    // Written so that NaN is refused.
    if value >= min && value <= max { Ok(()) } else { Err(JobError::OutOfRange { field, value, min, max }) }
}

fn length(field: &'static str, len: usize, min: usize, max: usize) -> Result<(), JobError> {
    if (min..=max).contains(&len) { Ok(()) } else { Err(JobError::Length { field, len, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> serde_json::Value {
        serde_json::json!({
            "name": "digits",
            "model": {"input": [1, 8, 8], "layers": [
                {"op": "conv2d", "out_channels": 8, "kernel": 3, "padding": 1}, {"op": "relu"},
                {"op": "max_pool2d", "size": 2}, {"op": "flatten"}, {"op": "dense", "units": 10}]},
            "data": {"train": "00".repeat(32)},
            "training": {"rounds": 2, "units_per_round": 4, "local_steps": 3, "batch": 8, "learning_rate": 0.1},
        })
    }

    fn check(edit: impl Fn(&mut serde_json::Value)) -> Result<JobSpec, JobError> {
        let mut value = document();
        edit(&mut value);
        JobSpec::from_json(value.to_string().as_bytes())
    }

    #[test]
    fn a_good_job_parses_with_its_defaults() {
        let spec = check(|_| ()).unwrap();
        assert_eq!(spec.scheduling, SchedulingSpec::default());
        let kernel3 = LayerSpec::Conv2d { out_channels: 8, kernel: 3, stride: 1, padding: 1 };
        assert_eq!(spec.model.layers[0], kernel3);
    }

    #[test]
    fn an_unknown_operation_is_named() {
        let error = check(|v| v["model"]["layers"][1]["op"] = "lstm".into()).unwrap_err().to_string();
        assert!(error.contains("lstm") && error.contains("conv2d"), "{error}");
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = check(|v| v["training"]["learnig_rate"] = 1.into()).unwrap_err().to_string();
        assert!(error.contains("learnig_rate"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_name_value_and_limit() {
        let error = check(|v| v["training"]["rounds"] = 0.into()).unwrap_err();
        assert_eq!(error.to_string(), "training.rounds is 0, allowed is 1 to 100000");
        let error = check(|v| v["training"]["gradient_units_per_round"] = 5.into()).unwrap_err();
        assert_eq!(error.to_string(), "training.gradient_units_per_round is 5, allowed is 0 to 4");
        assert!(check(|v| v["name"] = "x".repeat(129).into()).is_err());
        assert!(check(|v| v["scheduling"]["max_worker_share"] = 0.into()).is_err());
    }
}

//! Jobs that cannot be planned, each with the value and what is allowed.

use shoal_compute::ComputeError;
use shoal_graph::GraphError;
use shoal_wire::unit::UnitError;

/// Why a job was refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The layers do not make a model.
    #[error("model: {0}")]
    Model(#[from] GraphError),
    /// The initial parameters could not be drawn.
    #[error("model: {0}")]
    Parameters(ComputeError),
    /// The last layer's output is no row of logits.
    #[error("model: the last layer makes {shape:?} for each sample, a row of logits is needed")]
    NoLogits {
        /// What it makes, without the batch.
        shape: Vec<u32>,
    },
    /// Bytes that are no safetensors file of f32 and i32 tensors.
    #[error("{field}: {source}")]
    Tensors {
        /// Path of the field that names the blob.
        field: &'static str,
        /// What is wrong.
        source: ComputeError,
    },
    /// A tensor that is needed is not there.
    #[error("{field} has no tensor {name:?}")]
    MissingTensor {
        /// Path of the field.
        field: &'static str,
        /// Tensor that is needed.
        name: &'static str,
    },
    /// A tensor that means nothing.
    #[error("{field} has a tensor {name:?}, only \"x\" and \"y\" are read")]
    UnknownTensor {
        /// Path of the field.
        field: &'static str,
        /// Its name.
        name: String,
    },
    /// A tensor of the wrong type or shape.
    #[error("{field}: tensor {name:?} is {found}, needed is {needed}")]
    WrongTensor {
        /// Path of the field.
        field: &'static str,
        /// The tensor.
        name: &'static str,
        /// Its type and shape.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// A label outside the classes.
    #[error("{field}: label {label} of sample {sample} is not in 0..{classes}")]
    Label {
        /// Path of the field.
        field: &'static str,
        /// The label.
        label: i32,
        /// Which sample.
        sample: usize,
        /// Classes that the model tells apart.
        classes: u32,
    },
    /// A sample that would poison every sum.
    #[error("{field}: element {element} of \"x\" is {value}")]
    NonFinite {
        /// Path of the field.
        field: &'static str,
        /// Position in row-major order.
        element: usize,
        /// Infinity or not a number.
        value: f32,
    },
    /// Not one sample for each unit.
    #[error("data.train has {samples} samples for {units} units in a round")]
    TooFewSamples {
        /// Samples there are.
        samples: u32,
        /// Units that each need one.
        units: u32,
    },
    /// A unit that is too large to be computed or checked.
    #[error("a unit needs {needed} {what}, allowed is {limit}")]
    UnitTooLarge {
        /// Reference operations or bytes of memory.
        what: &'static str,
        /// What it needs.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// A map job's graph and its parameters do not go together.
    #[error("graphs[{graph}].{field}: {source}")]
    Map {
        /// Position in `graphs`.
        graph: usize,
        /// Which of its fields.
        field: &'static str,
        /// What is wrong.
        source: ComputeError,
    },
    /// A map job's shard does not fit its graph or its number of rows.
    #[error("shards[{shard}]: {source}")]
    Shard {
        /// Position in `shards`.
        shard: u32,
        /// What is wrong.
        source: ComputeError,
    },
    /// A unit whose output no blob can hold.
    #[error("shards[{shard}]: the output has {bytes} bytes, allowed is {limit}; make shards of fewer rows")]
    OutputTooLarge {
        /// Position in `shards`.
        shard: u32,
        /// Bytes of the output.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The unit's message does not pass its own checks.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

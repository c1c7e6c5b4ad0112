//! Why a unit could not be computed. Everything here is the fault of the unit's sender or of the device, never a bug
//! of this crate: bugs panic.

use shoal_graph::{DType, GraphError};

/// A run that failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ComputeError {
    /// The graph is refused.
    #[error("graph: {0}")]
    Graph(#[from] GraphError),
    /// A blob is not the one that the unit names.
    #[error("the {blob} blob hashes to {found}, the unit names {named}")]
    WrongBlob {
        /// Which blob: graph, parameters or data.
        blob: &'static str,
        /// Hash in the unit, hexadecimal.
        named: String,
        /// Hash of the bytes given, hexadecimal.
        found: String,
    },
    /// Bytes that are no safetensors file of f32, i32, i8 and u8 tensors.
    #[error("tensors of {bytes} bytes do not decode: {reason}")]
    BadTensors {
        /// Length of what was given.
        bytes: usize,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that the graph needs and nobody gave.
    #[error("tensor {name:?} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that the graph does not know.
    #[error("tensor {name:?} is not an input of the graph")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A tensor of the wrong type or shape.
    #[error("tensor {name:?} is {found:?} {found_shape:?}, the graph takes {expected:?} {expected_shape:?}")]
    WrongTensor {
        /// Its name.
        name: String,
        /// Element type it has.
        found: DType,
        /// Shape it has.
        found_shape: Vec<u32>,
        /// Element type that is needed.
        expected: DType,
        /// Shape that is needed.
        expected_shape: Vec<u32>,
    },
    /// A label outside the classes.
    #[error("label {label} of sample {sample} is not in 0..{classes}")]
    LabelOutOfRange {
        /// The label.
        label: i32,
        /// Index in the batch.
        sample: usize,
        /// Number of classes.
        classes: usize,
    },
    /// An index outside the tensor.
    #[error("index {index} at position {position} is not in 0..{extent}")]
    IndexOutOfRange {
        /// The index.
        index: i32,
        /// Its position among the indices.
        position: usize,
        /// Extent of the axis.
        extent: usize,
    },
    /// The graph computes for another batch size than the unit asks for.
    #[error("the graph takes batches of {graph}, the unit asks for {unit}")]
    WrongBatch {
        /// Batch size of the graph.
        graph: u32,
        /// Batch size of the unit.
        unit: u32,
    },
    /// An input or output that a map unit would split into rows is a scalar.
    #[error("tensor {name:?} is a scalar and has no rows")]
    NoRows {
        /// Its name.
        name: String,
    },
    /// The unit claims another cost than the graph has.
    #[error("the unit claims {what} of {claimed}, the graph counts {counted}")]
    CostMismatch {
        /// Reference operations or peak memory.
        what: &'static str,
        /// In the unit.
        claimed: u64,
        /// Counted from the graph.
        counted: u64,
    },
    /// More than this machine agreed to.
    #[error("the unit needs {needed} {what}, the budget is {budget}")]
    OverBudget {
        /// Reference operations or bytes of memory.
        what: &'static str,
        /// What it needs.
        needed: u64,
        /// What was agreed to.
        budget: u64,
    },
    /// NaN or infinity in a training unit's result: parameters made of it would be worth nothing.
    #[error("element {index} of output {name:?} is not finite")]
    NonFinite {
        /// Name of the output.
        name: String,
        /// Position of the first such element.
        index: usize,
    },
    /// An exact unit was given to a backend that cannot be exact.
    #[error("an exact unit cannot run on the {backend} backend")]
    BackendNotExact {
        /// The backend.
        backend: &'static str,
    },
    /// The backend has no kernel for an operation.
    #[error("the {backend} backend cannot run {op}")]
    UnsupportedOp {
        /// The backend.
        backend: &'static str,
        /// The operation.
        op: &'static str,
    },
    /// No usable GPU.
    #[error("no WebGPU device: {reason}")]
    NoDevice {
        /// What the browser says.
        reason: String,
    },
    /// The GPU went away; the backend must be made anew or the CPU used.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// What the browser says.
        reason: String,
    },
    /// The GPU has not enough memory for a unit within budget.
    #[error("the GPU is out of memory for a run of {needed_bytes} bytes")]
    OutOfMemory {
        /// Bytes that the run asked for.
        needed_bytes: u64,
    },
    /// A tensor larger than one GPU buffer may be.
    #[error("a tensor of {bytes} bytes is larger than the GPU's buffers ({limit})")]
    TensorTooLargeForDevice {
        /// Its size.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// The GPU refused a command: a fault of a kernel or a driver.
    #[error("the GPU refused a command: {reason}")]
    DeviceFault {
        /// What the browser says.
        reason: String,
    },
}

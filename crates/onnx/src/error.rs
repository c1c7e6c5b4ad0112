//! What can be wrong with a model, by layer: [`OnnxError`] for the file as a whole, [`NodeError`] for one node of it.

use shoal_graph::GraphError;

use crate::element::Element;

/// A model that is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are no protobuf message of type ModelProto.
    #[error("model of {bytes} bytes does not decode: {reason}")]
    Malformed {
        /// Length of what was given.
        bytes: usize,
        /// The decoder's description.
        reason: String,
    },
    /// Something is larger than its limit.
    #[error("{what} is {found}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// Something that every model has is missing.
    #[error("the model has no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A format version outside [`crate::limits::IR_VERSIONS`].
    #[error("format version {found} is not read, {oldest} to {newest} are")]
    IrVersion {
        /// Version of the file.
        found: i64,
        /// The oldest that is read.
        oldest: i64,
        /// The newest that is read.
        newest: i64,
    },
    /// An operator set that is not read.
    #[error("operator set {found} is not read, {oldest} to {newest} are")]
    Opset {
        /// Version of the file.
        found: i64,
        /// The oldest that is read.
        oldest: i64,
        /// The newest that is read.
        newest: i64,
    },
    /// Operators that have no lowering, all of them.
    #[error("no lowering for {}", list(ops))]
    Unsupported {
        /// Each operator once.
        ops: Vec<UnsupportedOp>,
    },
    /// A tensor whose bytes lie in a file that was not given.
    #[error("tensor {tensor:?} lies in the file {location:?}, which was not given")]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
        /// Name of the file.
        location: String,
    },
    /// A tensor that contradicts itself.
    #[error("tensor {tensor:?} is refused: {reason}")]
    BadTensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: TensorError,
    },
    /// An input without a known element type and rank.
    #[error("input {input:?} is no tensor of a known type")]
    BadInput {
        /// Name of the input.
        input: String,
    },
    /// A dimension that neither the model nor the caller gives.
    #[error("dimension {axis} of input {input:?} ({symbol:?}) has no size")]
    UnknownSize {
        /// Name of the input.
        input: String,
        /// Which dimension.
        axis: usize,
        /// Its symbol, empty if it has none.
        symbol: String,
    },
    /// A shape or a constant given for an input that contradicts the model.
    #[error("input {input:?} is declared {declared}, {given:?} is given")]
    WrongSize {
        /// Name of the input.
        input: String,
        /// As in the model.
        declared: String,
        /// As given.
        given: Vec<u32>,
    },
    /// A name that the model does not have.
    #[error("the model has no {what} {name:?}")]
    NoSuchName {
        /// What kind of name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A node that cannot be lowered.
    #[error("node {node:?} ({op}, version {version}): {error}")]
    Node {
        /// Name of the node, or of its first output.
        node: String,
        /// Its operator.
        op: String,
        /// Version of the operator set.
        version: i64,
        /// What is wrong.
        error: Box<NodeError>,
    },
    /// The graph as a whole is refused.
    #[error("the lowered graph is refused: {0}")]
    Graph(#[from] GraphError),
    /// An operation that has no counterpart in ONNX.
    #[error("{op} has no counterpart in ONNX")]
    NotExported {
        /// The operation.
        op: &'static str,
    },
    /// An output with the name of another value: in ONNX both would be one.
    #[error("output {name:?} has the name of an input that is another value")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Weights that do not fit what is to take them.
    #[error("weight {name:?} is {given}, {expected} expected")]
    WrongWeight {
        /// Its name.
        name: String,
        /// As given.
        given: String,
        /// As expected.
        expected: String,
    },
    /// Bytes that are no safetensors file.
    #[error("the bytes are no safetensors file: {reason}")]
    BadSafetensors {
        /// The decoder's description.
        reason: String,
    },
}

/// An operator that has no lowering.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnsupportedOp {
    /// Its domain, empty for ONNX's own.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// Nodes that use it.
    pub count: usize,
}

/// What is wrong with a tensor's bytes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TensorError {
    /// An element type that is not read: strings, complex numbers, 8-bit floats.
    #[error("element type {0} is not read")]
    Element(i32),
    /// A dimension that is negative or beyond u32, or too many of them.
    #[error("its dimensions {0:?} are out of range")]
    Shape(Vec<i64>),
    /// Another number of bytes or elements than the shape has.
    #[error("its shape has {expected} elements, {found} are there")]
    Length {
        /// Elements of the shape.
        expected: u64,
        /// Elements given.
        found: u64,
    },
    /// An integer that a graph's 32 bits do not hold.
    #[error("{0} does not fit in 32 bits")]
    Range(i64),
    /// A part of an external file that the file does not have.
    #[error("it lies at {offset}, {length} bytes long, of {bytes} bytes")]
    Place {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        length: u64,
        /// How long the file is.
        bytes: u64,
    },
}

/// A node that cannot be lowered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NodeError {
    /// The operation that it lowers to is refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A tensor in an attribute is refused.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An input that nothing makes, or that is left out.
    #[error("input {index} ({name:?}) is missing")]
    MissingInput {
        /// Which input.
        index: usize,
        /// Its name, empty if it is left out.
        name: String,
    },
    /// An attribute that the operator needs.
    #[error("attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// An attribute whose value is not lowered.
    #[error("attribute {name} is {found}: {reason}")]
    BadAttribute {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// Why not.
        reason: &'static str,
    },
    /// An input whose value decides shapes, and is not known while lowering.
    #[error("input {index} ({name:?}) must be known while lowering: give its value with the sizes")]
    NotConstant {
        /// Which input.
        index: usize,
        /// Its name.
        name: String,
    },
    /// Inputs whose shapes do not go together.
    #[error("input {index} has shape {shape:?}, which does not go with {other:?}: {reason}")]
    Shapes {
        /// Which input.
        index: usize,
        /// Its shape.
        shape: Vec<u32>,
        /// What it meets: another input's shape, or a parameter.
        other: Vec<i64>,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// An axis that the input does not have.
    #[error("axis {axis} of a tensor of shape {shape:?}")]
    Axis {
        /// The axis.
        axis: i64,
        /// Shape of the input.
        shape: Vec<u32>,
    },
    /// An input of an element type that the operator is not lowered for.
    #[error("input {index} has element type {found:?}")]
    WrongElement {
        /// Which input.
        index: usize,
        /// Its element type.
        found: Element,
    },
    /// More elements or nodes than a limit allows.
    #[error("{what} is {found}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The bound.
        limit: u64,
    },
    /// A use of the operator that has no lowering.
    #[error("not lowered: {0}")]
    Unsupported(&'static str),
    /// An operator of a subgraph or function that has no lowering.
    #[error("{0}")]
    Inner(Box<OnnxError>),
}

fn list(ops: &[UnsupportedOp]) -> String {
    let each = |op: &UnsupportedOp| {
        let colon = if op.domain.is_empty() { "" } else { ":" };
        format!("{}{colon}{} ({})", op.domain, op.name, op.count)
    };
    ops.iter().map(each).collect::<Vec<_>>().join(", ")
}

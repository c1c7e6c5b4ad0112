//! What can be wrong with a graph. Each error names the operation, the value and the limit, so that whoever sent the
//! graph can be told what to change.

use crate::op::DType;

/// A graph that is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// The bytes are no protobuf message of type Graph.
    #[error("graph of {bytes} bytes does not decode: {reason}")]
    Malformed {
        /// Length of what was given.
        bytes: usize,
        /// The decoder's description.
        reason: String,
    },
    /// The bytes decode but encode differently: unknown fields, an odd field order or padded integers.
    #[error("graph is not in canonical encoding: {given} bytes given, {canonical} when re-encoded")]
    NotCanonical {
        /// Length of what was given.
        given: usize,
        /// Length of the canonical encoding.
        canonical: usize,
    },
    /// A version this code does not know.
    #[error("graph version {found} is unknown, {known} is supported")]
    UnknownVersion {
        /// Version in the graph.
        found: u32,
        /// The only supported version.
        known: u32,
    },
    /// A node whose operation this code does not know.
    #[error("node {node} has no known operation")]
    UnknownOp {
        /// Index of the node.
        node: usize,
    },
    /// A value without a known element type.
    #[error("value {value} has unknown element type {found}")]
    UnknownDType {
        /// Id of the value.
        value: u32,
        /// The number found.
        found: i32,
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
    /// A dimension, stride, kernel or window of zero.
    #[error("{what} must be at least 1")]
    Zero {
        /// What is zero.
        what: &'static str,
    },
    /// A value id that does not exist.
    #[error("value {value} does not exist, the graph has {values}")]
    NoSuchValue {
        /// The id.
        value: u32,
        /// How many values there are.
        values: usize,
    },
    /// A value that a node reads before anything makes it.
    #[error("node {node} reads value {value} before it is made")]
    UsedBeforeMade {
        /// Index of the node.
        node: usize,
        /// Id of the value.
        value: u32,
    },
    /// A value that is made twice.
    #[error("value {value} is made more than once")]
    MadeTwice {
        /// Id of the value.
        value: u32,
    },
    /// A value that nothing makes.
    #[error("value {value} is neither an input nor made by a node")]
    NeverMade {
        /// Id of the value.
        value: u32,
    },
    /// A name that is missing, too long, used twice, or given to an inner value.
    #[error("name {name:?} is refused: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A range that is empty, or that its type does not hold.
    #[error("{what} is refused: from {low} to {high}")]
    BadRange {
        /// What it is.
        what: &'static str,
        /// Its lower end.
        low: i64,
        /// Its upper end.
        high: i64,
    },
    /// A node with the wrong number of inputs or outputs.
    #[error("{op} takes {expected} {what}, {found} given")]
    Arity {
        /// The operation.
        op: &'static str,
        /// Inputs or outputs.
        what: &'static str,
        /// How many it takes.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An operand of the wrong element type.
    #[error("{op} takes {expected:?} as input {input}, {found:?} given")]
    WrongDType {
        /// The operation.
        op: &'static str,
        /// Index of the operand.
        input: usize,
        /// What it takes.
        expected: DType,
        /// What it got.
        found: DType,
    },
    /// Operands whose shapes do not go together.
    #[error("{op} does not take shapes {shapes:?}: {reason}")]
    ShapeMismatch {
        /// The operation.
        op: &'static str,
        /// Shapes of the operands.
        shapes: Vec<Vec<u32>>,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// A declared value that differs from what its node makes.
    #[error("{op} makes {made_shape:?} {made:?}, value {value} is declared {declared_shape:?} {declared:?}")]
    DeclaredOtherwise {
        /// The operation.
        op: &'static str,
        /// Id of the value.
        value: u32,
        /// Element type that the operation makes.
        made: DType,
        /// Shape that the operation makes.
        made_shape: Vec<u32>,
        /// Declared element type.
        declared: DType,
        /// Declared shape.
        declared_shape: Vec<u32>,
    },
    /// An attribute that is NaN or infinite.
    #[error("{op} has the non-finite attribute {value}")]
    NonFiniteAttribute {
        /// The operation.
        op: &'static str,
        /// The attribute.
        value: f32,
    },
    /// A constant whose bytes are not its shape's.
    #[error("constant of shape {shape:?} has {found} bytes, {expected} expected")]
    LiteralLength {
        /// Its shape.
        shape: Vec<u32>,
        /// Bytes of that shape.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
    /// A graph without outputs.
    #[error("the graph has no outputs")]
    NoOutputs,
    /// A derivative was asked of an operation that has none here.
    #[error("{op} has no derivative")]
    NotDifferentiable {
        /// The operation.
        op: &'static str,
    },
    /// A derivative was asked of something that is no scalar.
    #[error("the loss must be an f32 scalar, it has shape {shape:?}")]
    LossNotScalar {
        /// Its shape.
        shape: Vec<u32>,
    },
    /// A rank that a weight's adapter cannot have.
    #[error("rank {rank} of an adapter of {name:?}, a matrix of shape {shape:?}, is not from 1 to {limit}")]
    AdapterRank {
        /// The weight.
        name: String,
        /// Its shape as a matrix.
        shape: Vec<u32>,
        /// The rank.
        rank: u32,
        /// The matrix's lesser dimension.
        limit: u32,
    },
    /// A weight that cannot be adapted.
    #[error("weight {name:?} of shape {shape:?} cannot be adapted: {reason}")]
    NotAdaptable {
        /// The weight.
        name: String,
        /// Its shape.
        shape: Vec<u32>,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// A model layer that cannot follow what is before it.
    #[error("layer {layer} ({kind}) does not fit a sample of shape {shape:?}: {reason}")]
    BadLayer {
        /// Index of the layer.
        layer: usize,
        /// Its kind.
        kind: &'static str,
        /// Shape of one sample before it.
        shape: Vec<u32>,
        /// The rule that is broken.
        reason: &'static str,
    },
}

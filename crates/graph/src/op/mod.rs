//! The closed set of operations. Each is primitive: what layers, losses and optimisers are made of is composed from
//! them (`compose.rs`), so that a backend, the gradient and an importer have each one thing to know once.
//! Semantics and order of arithmetic are in `docs/exact.md`; this module knows types and shapes.

mod elementwise;
mod geometry;
mod infer;
mod literal;

pub use elementwise::{Binary, Unary};
pub use geometry::{Axis2d, Window2d};
pub use literal::Literal;

use crate::{
    error::GraphError,
    limits::{MAX_ELEMENTS, MAX_RANK},
};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// Signed 32-bit integer. Truth values are 0 and 1 of this type.
    I32,
    /// Signed 8-bit integer: operand of [`Op::MatMulInteger`] and [`Op::Conv2dInteger`].
    I8,
    /// Unsigned 8-bit integer: left operand of the same.
    U8,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::I8 | DType::U8 => 1,
        }
    }
}

/// Element type and shape of a value. The empty shape is a scalar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first, each at least 1.
    pub shape: Vec<u32>,
}

impl TensorType {
    /// A tensor of the given type.
    pub fn new(dtype: DType, shape: impl Into<Vec<u32>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// An f32 tensor.
    pub fn f32(shape: impl Into<Vec<u32>>) -> Self {
        Self::new(DType::F32, shape)
    }

    /// An i32 tensor.
    pub fn i32(shape: impl Into<Vec<u32>>) -> Self {
        Self::new(DType::I32, shape)
    }

    /// Checks rank, dimensions and element count against the limits.
    pub fn check(&self) -> Result<(), GraphError> {
        check_shape(&self.shape)
    }

    /// Number of elements; within [`MAX_ELEMENTS`] once checked.
    pub fn elements(&self) -> u64 {
        elements(&self.shape)
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.dtype.bytes())
    }
}

/// Product of the dimensions, saturating.
pub(crate) fn elements(shape: &[u32]) -> u64 {
    shape.iter().fold(1u64, |product, dim| product.saturating_mul(u64::from(*dim)))
}

pub(crate) fn check_shape(shape: &[u32]) -> Result<(), GraphError> {
    if shape.len() > MAX_RANK {
        return Err(too_large("rank of a tensor", shape.len() as u64, MAX_RANK as u64));
    }
    if shape.contains(&0) {
        return Err(GraphError::Zero { what: "a dimension" });
    }
    match elements(shape) {
        n if n > MAX_ELEMENTS => Err(too_large("element count of a tensor", n, MAX_ELEMENTS)),
        _ => Ok(()),
    }
}

fn too_large(what: &'static str, found: u64, limit: u64) -> GraphError {
    GraphError::TooLarge { what, found, limit }
}

/// How [`Op::Reduce`] combines elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// From +0.
    Sum,
    /// From 1.
    Product,
    /// Greatest; the first of equals.
    Max,
    /// Least; the first of equals.
    Min,
}

/// One operation. Operand order and shapes are those of `graph.proto`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // fields are named and described in graph.proto
pub enum Op {
    Constant(Literal),
    Iota { axis: u32, shape: Vec<u32> },
    Unary(Unary),
    Binary(Binary),
    Where,
    Cast { to: DType },
    Reshape { shape: Vec<u32> },
    Transpose { axes: Vec<u32> },
    Broadcast { shape: Vec<u32> },
    Slice { starts: Vec<u32>, steps: Vec<i32>, shape: Vec<u32> },
    Pad { low: Vec<u32>, high: Vec<u32>, interior: Vec<u32>, value: f32 },
    Concat { axis: u32 },
    Gather { axis: u32 },
    ScatterAdd { axis: u32, size: u32 },
    Reduce { reduction: Reduction, axes: Vec<u32> },
    ArgMax { axis: u32 },
    MatMul { trans_a: bool, trans_b: bool },
    MatMulInteger { trans_b: bool },
    Conv2dInteger { window: Window2d, groups: u32 },
    Requantize { shift: u32, low: i32, high: i32, to: DType },
    Conv2d { window: Window2d, groups: u32 },
    Conv2dGradInput { window: Window2d, groups: u32, height: u32, width: u32 },
    Conv2dGradWeight { window: Window2d, groups: u32, kernel_height: u32, kernel_width: u32 },
    MaxPool2d { window: Window2d, kernel_height: u32, kernel_width: u32 },
    MaxPool2dGrad { window: Window2d, kernel_height: u32, kernel_width: u32 },
    SumPool2d { window: Window2d, kernel_height: u32, kernel_width: u32 },
    SumPool2dGrad { window: Window2d, kernel_height: u32, kernel_width: u32, height: u32, width: u32 },
    Softmax,
    SoftmaxGrad,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyGrad,
}

impl Op {
    /// Name for messages, as in `graph.proto`.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Constant(_) => "constant",
            Op::Iota { .. } => "iota",
            Op::Unary(unary) => unary.name(),
            Op::Binary(binary) => binary.name(),
            Op::Where => "where",
            Op::Cast { .. } => "cast",
            Op::Reshape { .. } => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Broadcast { .. } => "broadcast",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Concat { .. } => "concat",
            Op::Gather { .. } => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
            Op::Reduce { reduction: Reduction::Sum, .. } => "reduce_sum",
            Op::Reduce { reduction: Reduction::Product, .. } => "reduce_product",
            Op::Reduce { reduction: Reduction::Max, .. } => "reduce_max",
            Op::Reduce { reduction: Reduction::Min, .. } => "reduce_min",
            Op::ArgMax { .. } => "arg_max",
            Op::MatMul { .. } => "mat_mul",
            Op::MatMulInteger { .. } => "mat_mul_integer",
            Op::Conv2dInteger { .. } => "conv2d_integer",
            Op::Requantize { .. } => "requantize",
            Op::Conv2d { .. } => "conv2d",
            Op::Conv2dGradInput { .. } => "conv2d_grad_input",
            Op::Conv2dGradWeight { .. } => "conv2d_grad_weight",
            Op::MaxPool2d { .. } => "max_pool2d",
            Op::MaxPool2dGrad { .. } => "max_pool2d_grad",
            Op::SumPool2d { .. } => "sum_pool2d",
            Op::SumPool2dGrad { .. } => "sum_pool2d_grad",
            Op::Softmax => "softmax",
            Op::SoftmaxGrad => "softmax_grad",
            Op::SoftmaxCrossEntropy => "softmax_cross_entropy",
            Op::SoftmaxCrossEntropyGrad => "softmax_cross_entropy_grad",
        }
    }

    /// Whether each element of the result depends on one element of each operand alone (after broadcasting): what a
    /// backend may run in one pass with its neighbours.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Where | Op::Cast { .. } | Op::Requantize { .. })
    }
}

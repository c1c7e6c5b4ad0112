//! The closed set of operations, and what each makes of its operands' types and shapes. Semantics and order of
//! arithmetic are in `docs/exact.md`; this module only knows shapes.

use crate::{
    error::GraphError,
    limits::{MAX_ELEMENTS, MAX_RANK, MAX_WINDOW},
};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// Signed 32-bit integer.
    I32,
}

/// Element type and shape of a value. The empty shape is a scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first, each at least 1.
    pub shape: Vec<u32>,
}

impl TensorType {
    /// An f32 tensor.
    pub fn f32(shape: impl Into<Vec<u32>>) -> Self {
        Self { dtype: DType::F32, shape: shape.into() }
    }

    /// An i32 tensor.
    pub fn i32(shape: impl Into<Vec<u32>>) -> Self {
        Self { dtype: DType::I32, shape: shape.into() }
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
        self.elements().saturating_mul(4)
    }
}

/// Product of the dimensions, saturating.
pub(crate) fn elements(shape: &[u32]) -> u64 {
    shape.iter().fold(1u64, |product, dim| product.saturating_mul(u64::from(*dim)))
}

fn check_shape(shape: &[u32]) -> Result<(), GraphError> {
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

/// Stride and zero padding of a convolution, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Step between windows, at least 1.
    pub stride: u32,
    /// Zeros on each side.
    pub padding: u32,
}

impl ConvGeometry {
    fn check(self) -> Result<(), GraphError> {
        if self.stride == 0 {
            return Err(GraphError::Zero { what: "a stride" });
        }
        match self.stride.max(self.padding) {
            n if n > MAX_WINDOW => Err(too_large("stride or padding", n.into(), MAX_WINDOW.into())),
            _ => Ok(()),
        }
    }

    /// Output extent for an input extent and a kernel extent; `None` where the kernel does not fit.
    pub fn output(self, input: u32, kernel: u32) -> Option<u32> {
        let padded = u64::from(input) + 2 * u64::from(self.padding);
        let room = padded.checked_sub(u64::from(kernel))?;
        u32::try_from(room / u64::from(self.stride) + 1).ok()
    }
}

/// One operation. Operand order and shapes are those of `graph.proto`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // fields are named and described in graph.proto
pub enum Op {
    MatMul { trans_a: bool, trans_b: bool },
    AddBias,
    Conv2d(ConvGeometry),
    Conv2dGradInput { geometry: ConvGeometry, height: u32, width: u32 },
    Conv2dGradWeight { geometry: ConvGeometry, kernel_height: u32, kernel_width: u32 },
    Relu,
    ReluGrad,
    MaxPool2d { size: u32 },
    MaxPool2dGrad { size: u32 },
    Reshape { shape: Vec<u32> },
    SumChannels,
    Softmax,
    SoftmaxGrad,
    SoftmaxCrossEntropy,
    SoftmaxCrossEntropyGrad,
    Add,
    Scale { factor: f32 },
    Constant { value: f32, shape: Vec<u32> },
    SgdMomentum,
}

impl Op {
    /// Name for messages, as in `graph.proto`.
    pub fn name(&self) -> &'static str {
        match self {
            Op::MatMul { .. } => "mat_mul",
            Op::AddBias => "add_bias",
            Op::Conv2d(_) => "conv2d",
            Op::Conv2dGradInput { .. } => "conv2d_grad_input",
            Op::Conv2dGradWeight { .. } => "conv2d_grad_weight",
            Op::Relu => "relu",
            Op::ReluGrad => "relu_grad",
            Op::MaxPool2d { .. } => "max_pool2d",
            Op::MaxPool2dGrad { .. } => "max_pool2d_grad",
            Op::Reshape { .. } => "reshape",
            Op::SumChannels => "sum_channels",
            Op::Softmax => "softmax",
            Op::SoftmaxGrad => "softmax_grad",
            Op::SoftmaxCrossEntropy => "softmax_cross_entropy",
            Op::SoftmaxCrossEntropyGrad => "softmax_cross_entropy_grad",
            Op::Add => "add",
            Op::Scale { .. } => "scale",
            Op::Constant { .. } => "constant",
            Op::SgdMomentum => "sgd_momentum",
        }
    }

    fn arity(&self) -> usize {
        match self {
            Op::Constant { .. } => 0,
            Op::Relu | Op::MaxPool2d { .. } | Op::Reshape { .. } | Op::SumChannels | Op::Softmax | Op::Scale { .. } => {
                1
            }
            Op::SoftmaxCrossEntropyGrad => 3,
            Op::SgdMomentum => 5,
            _ => 2,
        }
    }

    /// Types of what the operation makes of operands of these types.
    pub fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, GraphError> {
        if inputs.len() != self.arity() {
            return Err(GraphError::Arity {
                op: self.name(),
                what: "inputs",
                expected: self.arity(),
                found: inputs.len(),
            });
        }
        for (input, given) in inputs.iter().enumerate() {
            let labels = matches!(self, Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad) && input == 1;
            let expected = if labels { DType::I32 } else { DType::F32 };
            if given.dtype != expected {
                return Err(GraphError::WrongDType { op: self.name(), input, expected, found: given.dtype });
            }
        }
        let shapes: Vec<&[u32]> = inputs.iter().map(|t| t.shape.as_slice()).collect();
        let made = self.infer_shapes(&shapes)?;
        made.iter().try_for_each(|shape| check_shape(shape))?;
        Ok(made.into_iter().map(TensorType::f32).collect())
    }

    fn infer_shapes(&self, shapes: &[&[u32]]) -> Result<Vec<Vec<u32>>, GraphError> {
        let mismatch = |reason| GraphError::ShapeMismatch {
            op: self.name(),
            shapes: shapes.iter().map(|s| s.to_vec()).collect(),
            reason,
        };
        let window = |size: u32| match size {
            0 => Err(GraphError::Zero { what: "a kernel or window" }),
            n if n > MAX_WINDOW => Err(too_large("kernel or window", n.into(), MAX_WINDOW.into())),
            _ => Ok(()),
        };
        let made = match (self, shapes) {
            (Op::MatMul { trans_a, trans_b }, [[a0, a1], [b0, b1]]) => {
                let (m, k) = if *trans_a { (a1, a0) } else { (a0, a1) };
                let (k2, n) = if *trans_b { (b1, b0) } else { (b0, b1) };
                if k != k2 {
                    return Err(mismatch("inner dimensions differ"));
                }
                vec![vec![*m, *n]]
            }
            (Op::AddBias, [x, [c]]) if x.len() >= 2 && x[1] == *c => vec![x.to_vec()],
            (Op::Conv2d(geometry), [[n, c, h, w], [o, c2, kh, kw]]) if c == c2 => {
                geometry.check()?;
                window(*kh)?;
                window(*kw)?;
                let oh = geometry.output(*h, *kh).ok_or_else(|| mismatch("kernel is larger than the padded image"))?;
                let ow = geometry.output(*w, *kw).ok_or_else(|| mismatch("kernel is larger than the padded image"))?;
                vec![vec![*n, *o, oh, ow]]
            }
            (Op::Conv2dGradInput { geometry, height, width }, [[o, c, kh, kw], [n, o2, oh, ow]]) if o == o2 => {
                geometry.check()?;
                window(*kh)?;
                window(*kw)?;
                check_shape(&[*n, *c, *height, *width])?;
                if geometry.output(*height, *kh) != Some(*oh) || geometry.output(*width, *kw) != Some(*ow) {
                    return Err(mismatch("no convolution of that geometry makes dy of that size"));
                }
                vec![vec![*n, *c, *height, *width]]
            }
            (Op::Conv2dGradWeight { geometry, kernel_height, kernel_width }, [[n, c, h, w], [n2, o, oh, ow]])
                if n == n2 =>
            {
                geometry.check()?;
                window(*kernel_height)?;
                window(*kernel_width)?;
                if geometry.output(*h, *kernel_height) != Some(*oh) || geometry.output(*w, *kernel_width) != Some(*ow) {
                    return Err(mismatch("no convolution of that geometry makes dy of that size"));
                }
                vec![vec![*o, *c, *kernel_height, *kernel_width]]
            }
            (Op::Relu | Op::Scale { .. }, [x]) => {
                if let Op::Scale { factor } = self {
                    self.finite(*factor)?;
                }
                vec![x.to_vec()]
            }
            (Op::ReluGrad | Op::Add, [a, b]) if a == b => vec![a.to_vec()],
            (Op::MaxPool2d { size }, [[n, c, h, w]]) => {
                window(*size)?;
                if h < size || w < size {
                    return Err(mismatch("window is larger than the image"));
                }
                vec![vec![*n, *c, h / size, w / size]]
            }
            (Op::MaxPool2dGrad { size }, [[n, c, h, w], [n2, c2, oh, ow]]) => {
                window(*size)?;
                if (n, c, h / size, w / size) != (n2, c2, *oh, *ow) {
                    return Err(mismatch("no pooling of that window makes dy of that size"));
                }
                vec![vec![*n, *c, *h, *w]]
            }
            (Op::Reshape { shape }, [x]) => {
                check_shape(shape)?;
                if elements(shape) != elements(x) {
                    return Err(mismatch("the new shape has another element count"));
                }
                vec![shape.clone()]
            }
            (Op::SumChannels, [x]) if x.len() >= 2 => vec![vec![x[1]]],
            (Op::Softmax, [x]) if x.len() == 2 => vec![x.to_vec()],
            (Op::SoftmaxGrad, [y, dy]) if y.len() == 2 && y == dy => vec![y.to_vec()],
            (Op::SoftmaxCrossEntropy, [[n, _], [labels]]) if n == labels => vec![vec![]],
            (Op::SoftmaxCrossEntropyGrad, [[n, c], [labels], []]) if n == labels => vec![vec![*n, *c]],
            (Op::Constant { value, shape }, []) => {
                self.finite(*value)?;
                vec![shape.clone()]
            }
            (Op::SgdMomentum, [p, v, g, [], []]) if p == v && p == g => vec![p.to_vec(), p.to_vec()],
            _ => return Err(mismatch("see graph.proto for the shapes it takes")),
        };
        Ok(made)
    }

    fn finite(&self, value: f32) -> Result<(), GraphError> {
        if value.is_finite() { Ok(()) } else { Err(GraphError::NonFiniteAttribute { op: self.name(), value }) }
    }
}

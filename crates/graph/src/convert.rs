//! Between operations and their protobuf messages.

use shoal_wire::proto::{self, node};

use crate::op::{Axis2d, Binary, DType, Literal, Op, Reduction, TensorType, Unary, Window2d};

/// `None` for an enumeration's number that is not known, and for windows that are missing or overflow.
pub(crate) fn op_from_proto(op: node::Op) -> Option<Op> {
    use node::Op as P;
    Some(match op {
        P::Constant(m) => {
            Op::Constant(Literal::from_bytes(TensorType::new(dtype_from_proto(m.dtype)?, m.shape), m.data))
        }
        P::Iota(m) => Op::Iota { axis: m.axis, shape: m.shape },
        P::Unary(kind) => Op::Unary(from_number(&Unary::ALL, kind)?),
        P::Binary(kind) => Op::Binary(from_number(&Binary::ALL, kind)?),
        P::Where(_) => Op::Where,
        P::Cast(dtype) => Op::Cast { to: dtype_from_proto(dtype)? },
        P::Reshape(m) => Op::Reshape { shape: m.dims },
        P::Transpose(m) => Op::Transpose { axes: m.axes },
        P::Broadcast(m) => Op::Broadcast { shape: m.dims },
        P::Slice(m) => Op::Slice { starts: m.starts, steps: m.steps, shape: m.shape },
        P::Pad(m) => Op::Pad { low: m.low, high: m.high, interior: m.interior, value: m.value },
        P::Concat(m) => Op::Concat { axis: m.axis },
        P::Gather(m) => Op::Gather { axis: m.axis },
        P::ScatterAdd(m) => Op::ScatterAdd { axis: m.axis, size: m.size },
        P::Reduce(m) => Op::Reduce { reduction: from_number(&REDUCTIONS, m.reduction)?, axes: m.axes },
        P::ArgMax(m) => Op::ArgMax { axis: m.axis },
        P::MatMul(m) => Op::MatMul { trans_a: m.trans_a, trans_b: m.trans_b },
        P::MatMulInteger(m) => Op::MatMulInteger { trans_b: m.trans_b },
        P::Conv2dInteger(m) => Op::Conv2dInteger { window: window_from_proto(m.window)?, groups: m.groups },
        P::Requantize(m) => Op::Requantize { shift: m.shift, low: m.low, high: m.high, to: dtype_from_proto(m.dtype)? },
        P::Conv2d(m) => Op::Conv2d { window: window_from_proto(m.window)?, groups: m.groups },
        P::Conv2dGradInput(m) => Op::Conv2dGradInput {
            window: window_from_proto(m.window)?,
            groups: m.groups,
            height: m.height,
            width: m.width,
        },
        P::Conv2dGradWeight(m) => Op::Conv2dGradWeight {
            window: window_from_proto(m.window)?,
            groups: m.groups,
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
        },
        P::MaxPool2d(m) => Op::MaxPool2d {
            window: window_from_proto(m.window)?,
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
        },
        P::MaxPool2dGrad(m) => Op::MaxPool2dGrad {
            window: window_from_proto(m.window)?,
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
        },
        P::SumPool2d(m) => Op::SumPool2d {
            window: window_from_proto(m.window)?,
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
        },
        P::SumPool2dGrad(m) => Op::SumPool2dGrad {
            window: window_from_proto(m.window)?,
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
            height: m.height,
            width: m.width,
        },
        P::Softmax(_) => Op::Softmax,
        P::SoftmaxGrad(_) => Op::SoftmaxGrad,
        P::SoftmaxCrossEntropy(_) => Op::SoftmaxCrossEntropy,
        P::SoftmaxCrossEntropyGrad(_) => Op::SoftmaxCrossEntropyGrad,
    })
}

pub(crate) fn op_to_proto(op: &Op) -> node::Op {
    use node::Op as P;
    let pool = |window: &Window2d, kernel_height: u32, kernel_width: u32| proto::Pool2d {
        window: Some(window_to_proto(window)),
        kernel_height,
        kernel_width,
    };
    match op {
        Op::Constant(literal) => P::Constant(proto::Constant {
            dtype: dtype_to_proto(literal.tensor_type.dtype),
            shape: literal.tensor_type.shape.clone(),
            data: literal.bytes.clone(),
        }),
        Op::Iota { axis, shape } => P::Iota(proto::Iota { axis: *axis, shape: shape.clone() }),
        Op::Unary(unary) => P::Unary(number(&Unary::ALL, unary)),
        Op::Binary(binary) => P::Binary(number(&Binary::ALL, binary)),
        Op::Where => P::Where(proto::Where {}),
        Op::Cast { to } => P::Cast(dtype_to_proto(*to)),
        Op::Reshape { shape } => P::Reshape(proto::Shape { dims: shape.clone() }),
        Op::Transpose { axes } => P::Transpose(proto::Axes { axes: axes.clone() }),
        Op::Broadcast { shape } => P::Broadcast(proto::Shape { dims: shape.clone() }),
        Op::Slice { starts, steps, shape } => {
            P::Slice(proto::Slice { starts: starts.clone(), steps: steps.clone(), shape: shape.clone() })
        }
        Op::Pad { low, high, interior, value } => {
            P::Pad(proto::Pad { low: low.clone(), high: high.clone(), interior: interior.clone(), value: *value })
        }
        Op::Concat { axis } => P::Concat(proto::Concat { axis: *axis }),
        Op::Gather { axis } => P::Gather(proto::Gather { axis: *axis }),
        Op::ScatterAdd { axis, size } => P::ScatterAdd(proto::ScatterAdd { axis: *axis, size: *size }),
        Op::Reduce { reduction, axes } => {
            P::Reduce(proto::Reduce { reduction: number(&REDUCTIONS, reduction), axes: axes.clone() })
        }
        Op::ArgMax { axis } => P::ArgMax(proto::ArgMax { axis: *axis }),
        Op::MatMul { trans_a, trans_b } => P::MatMul(proto::MatMul { trans_a: *trans_a, trans_b: *trans_b }),
        Op::MatMulInteger { trans_b } => P::MatMulInteger(proto::MatMulInteger { trans_b: *trans_b }),
        Op::Conv2dInteger { window, groups } => {
            P::Conv2dInteger(proto::Conv2d { window: Some(window_to_proto(window)), groups: *groups })
        }
        Op::Requantize { shift, low, high, to } => {
            P::Requantize(proto::Requantize { shift: *shift, low: *low, high: *high, dtype: dtype_to_proto(*to) })
        }
        Op::Conv2d { window, groups } => {
            P::Conv2d(proto::Conv2d { window: Some(window_to_proto(window)), groups: *groups })
        }
        Op::Conv2dGradInput { window, groups, height, width } => P::Conv2dGradInput(proto::Conv2dGradInput {
            window: Some(window_to_proto(window)),
            groups: *groups,
            height: *height,
            width: *width,
        }),
        Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width } => {
            P::Conv2dGradWeight(proto::Conv2dGradWeight {
                window: Some(window_to_proto(window)),
                groups: *groups,
                kernel_height: *kernel_height,
                kernel_width: *kernel_width,
            })
        }
        Op::MaxPool2d { window, kernel_height, kernel_width } => {
            P::MaxPool2d(pool(window, *kernel_height, *kernel_width))
        }
        Op::MaxPool2dGrad { window, kernel_height, kernel_width } => {
            P::MaxPool2dGrad(pool(window, *kernel_height, *kernel_width))
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            P::SumPool2d(pool(window, *kernel_height, *kernel_width))
        }
        Op::SumPool2dGrad { window, kernel_height, kernel_width, height, width } => {
            P::SumPool2dGrad(proto::SumPool2dGrad {
                window: Some(window_to_proto(window)),
                kernel_height: *kernel_height,
                kernel_width: *kernel_width,
                height: *height,
                width: *width,
            })
        }
        Op::Softmax => P::Softmax(proto::Softmax {}),
        Op::SoftmaxGrad => P::SoftmaxGrad(proto::SoftmaxGrad {}),
        Op::SoftmaxCrossEntropy => P::SoftmaxCrossEntropy(proto::SoftmaxCrossEntropy {}),
        Op::SoftmaxCrossEntropyGrad => P::SoftmaxCrossEntropyGrad(proto::SoftmaxCrossEntropyGrad {}),
    }
}

/// In the order of their wire numbers from 1.
const REDUCTIONS: [Reduction; 4] = [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min];

fn from_number<T: Copy>(all: &[T], number: i32) -> Option<T> {
    all.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

fn number<T: PartialEq>(all: &[T], one: &T) -> i32 {
    all.iter().position(|other| other == one).map_or(0, |at| at as i32 + 1)
}

fn window_from_proto(window: Option<proto::Window2d>) -> Option<Window2d> {
    let axis = |axis: Option<proto::WindowAxis>| {
        axis.map(|axis| Axis2d { stride: axis.stride, dilation: axis.dilation, low: axis.low, high: axis.high })
    };
    let window = window?;
    Some(Window2d { height: axis(window.height)?, width: axis(window.width)? })
}

fn window_to_proto(window: &Window2d) -> proto::Window2d {
    let axis = |axis: Axis2d| {
        Some(proto::WindowAxis { stride: axis.stride, dilation: axis.dilation, low: axis.low, high: axis.high })
    };
    proto::Window2d { height: axis(window.height), width: axis(window.width) }
}

pub(crate) fn dtype_from_proto(dtype: i32) -> Option<DType> {
    match proto::DType::try_from(dtype) {
        Ok(proto::DType::F32) => Some(DType::F32),
        Ok(proto::DType::I32) => Some(DType::I32),
        Ok(proto::DType::I8) => Some(DType::I8),
        Ok(proto::DType::U8) => Some(DType::U8),
        Ok(proto::DType::Unspecified) | Err(_) => None,
    }
}

pub(crate) fn dtype_to_proto(dtype: DType) -> i32 {
    (match dtype {
        DType::F32 => proto::DType::F32,
        DType::I32 => proto::DType::I32,
        DType::I8 => proto::DType::I8,
        DType::U8 => proto::DType::U8,
    }) as i32
}

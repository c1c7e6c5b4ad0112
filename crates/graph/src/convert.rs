//! Between operations and their protobuf messages.

use shoal_wire::proto::{self, node};

use crate::op::{ConvGeometry, DType, Op};

pub(crate) fn op_from_proto(op: node::Op) -> Op {
    use node::Op as P;
    match op {
        P::MatMul(m) => Op::MatMul { trans_a: m.trans_a, trans_b: m.trans_b },
        P::AddBias(_) => Op::AddBias,
        P::Conv2d(m) => Op::Conv2d(ConvGeometry { stride: m.stride, padding: m.padding }),
        P::Conv2dGradInput(m) => Op::Conv2dGradInput {
            geometry: ConvGeometry { stride: m.stride, padding: m.padding },
            height: m.height,
            width: m.width,
        },
        P::Conv2dGradWeight(m) => Op::Conv2dGradWeight {
            geometry: ConvGeometry { stride: m.stride, padding: m.padding },
            kernel_height: m.kernel_height,
            kernel_width: m.kernel_width,
        },
        P::Relu(_) => Op::Relu,
        P::ReluGrad(_) => Op::ReluGrad,
        P::MaxPool2d(m) => Op::MaxPool2d { size: m.size },
        P::MaxPool2dGrad(m) => Op::MaxPool2dGrad { size: m.size },
        P::Reshape(m) => Op::Reshape { shape: m.shape },
        P::SumChannels(_) => Op::SumChannels,
        P::Softmax(_) => Op::Softmax,
        P::SoftmaxGrad(_) => Op::SoftmaxGrad,
        P::SoftmaxCrossEntropy(_) => Op::SoftmaxCrossEntropy,
        P::SoftmaxCrossEntropyGrad(_) => Op::SoftmaxCrossEntropyGrad,
        P::Add(_) => Op::Add,
        P::Scale(m) => Op::Scale { factor: m.factor },
        P::Constant(m) => Op::Constant { value: m.value, shape: m.shape },
        P::SgdMomentum(_) => Op::SgdMomentum,
    }
}

pub(crate) fn op_to_proto(op: &Op) -> node::Op {
    use node::Op as P;
    match op {
        Op::MatMul { trans_a, trans_b } => P::MatMul(proto::MatMul { trans_a: *trans_a, trans_b: *trans_b }),
        Op::AddBias => P::AddBias(proto::AddBias {}),
        Op::Conv2d(g) => P::Conv2d(proto::Conv2d { stride: g.stride, padding: g.padding }),
        Op::Conv2dGradInput { geometry: g, height, width } => P::Conv2dGradInput(proto::Conv2dGradInput {
            stride: g.stride,
            padding: g.padding,
            height: *height,
            width: *width,
        }),
        Op::Conv2dGradWeight { geometry: g, kernel_height, kernel_width } => {
            P::Conv2dGradWeight(proto::Conv2dGradWeight {
                stride: g.stride,
                padding: g.padding,
                kernel_height: *kernel_height,
                kernel_width: *kernel_width,
            })
        }
        Op::Relu => P::Relu(proto::Relu {}),
        Op::ReluGrad => P::ReluGrad(proto::ReluGrad {}),
        Op::MaxPool2d { size } => P::MaxPool2d(proto::MaxPool2d { size: *size }),
        Op::MaxPool2dGrad { size } => P::MaxPool2dGrad(proto::MaxPool2dGrad { size: *size }),
        Op::Reshape { shape } => P::Reshape(proto::Reshape { shape: shape.clone() }),
        Op::SumChannels => P::SumChannels(proto::SumChannels {}),
        Op::Softmax => P::Softmax(proto::Softmax {}),
        Op::SoftmaxGrad => P::SoftmaxGrad(proto::SoftmaxGrad {}),
        Op::SoftmaxCrossEntropy => P::SoftmaxCrossEntropy(proto::SoftmaxCrossEntropy {}),
        Op::SoftmaxCrossEntropyGrad => P::SoftmaxCrossEntropyGrad(proto::SoftmaxCrossEntropyGrad {}),
        Op::Add => P::Add(proto::Add {}),
        Op::Scale { factor } => P::Scale(proto::Scale { factor: *factor }),
        Op::Constant { value, shape } => P::Constant(proto::Constant { value: *value, shape: shape.clone() }),
        Op::SgdMomentum => P::SgdMomentum(proto::SgdMomentum {}),
    }
}

pub(crate) fn dtype_from_proto(dtype: i32) -> Option<DType> {
    match proto::DType::try_from(dtype) {
        Ok(proto::DType::F32) => Some(DType::F32),
        Ok(proto::DType::I32) => Some(DType::I32),
        Ok(proto::DType::Unspecified) | Err(_) => None,
    }
}

pub(crate) fn dtype_to_proto(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => proto::DType::F32 as i32,
        DType::I32 => proto::DType::I32 as i32,
    }
}

//! Turns a node into dispatches: which kernels, with which parameters, over which values. Most nodes are one dispatch;
//! sums over samples are two, partial sums and their total, so that they do not run on a handful of invocations.

use shoal_graph::{ConvGeometry, Graph, Node, Op, ValueId};

use super::kernel::{Kernel, PARAMETER_WORDS, TILE};
use crate::{
    backend::BackendKind,
    cpu::{conv_sizes, inner_len},
    error::ComputeError,
    kernels::conv::Conv,
};

/// What a dispatch reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// A value of the graph.
    Value(ValueId),
    /// The node's temporary.
    Scratch,
}

/// One dispatch.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) kernel: Kernel,
    pub(super) parameters: [u32; PARAMETER_WORDS],
    pub(super) result: Operand,
    pub(super) operands: Vec<Operand>,
    pub(super) invocations: u64,
}

/// The dispatches of one node, and the elements of its temporary.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) scratch_elements: u64,
}

/// Most chunks that a weight gradient is split into: enough to fill a GPU together with the weights, few enough that the
/// partial sums stay small.
const MAX_CHUNKS: usize = 32;

/// Plans a node. A reshape has no dispatches: its result is its operand's buffer.
pub(super) fn plan(graph: &Graph, node: &Node) -> Result<Plan, ComputeError> {
    let result = Operand::Value(node.outputs[0]);
    let operands: Vec<Operand> = node.inputs.iter().map(|value| Operand::Value(*value)).collect();
    let shape = |i: usize| graph.value_type(node.inputs[i]).shape.as_slice();
    let made = graph.value_type(node.outputs[0]);
    let len = made.elements();
    let elementwise = |kernel, value: f32, channels: u32, inner: usize| {
        one(kernel, &[len as u32, channels, inner as u32, 0, value.to_bits()], result, &operands, len)
    };
    let rows = |kernel| {
        let shape = shape(0);
        one(kernel, &[shape[0], shape[1]], result, &operands, shape[0].into())
    };
    Ok(match &node.op {
        Op::MatMul { trans_a, trans_b } => {
            let (m, n) = (made.shape[0], made.shape[1]);
            let k = shape(0)[usize::from(!trans_a)];
            let strides = |columns: u32, transposed: bool| if transposed { [1, columns] } else { [columns, 1] };
            let ([a_row, a_column], [b_row, b_column]) =
                (strides(shape(0)[1], *trans_a), strides(shape(1)[1], *trans_b));
            let tiles = tiles(m.into()) * tiles(n.into());
            one(Kernel::MatMul, &[m, n, k, a_row, a_column, b_row, b_column], result, &operands, tiles)
        }
        Op::Conv2d(geometry) => {
            let conv = conv_sizes(*geometry, shape(0), shape(1), &made.shape);
            let columns = conv.samples * conv.out_height * conv.out_width;
            let tiles = tiles(conv.out_channels as u64) * tiles(columns as u64);
            one(Kernel::Conv2d, &conv_parameters(&conv, *geometry), result, &operands, tiles)
        }
        Op::Conv2dGradInput { geometry, .. } => {
            let conv = conv_sizes(*geometry, &made.shape, shape(0), shape(1));
            let columns = conv.samples * conv.height * conv.width;
            let tiles = tiles(conv.channels as u64) * tiles(columns as u64);
            one(Kernel::Conv2dGradInput, &conv_parameters(&conv, *geometry), result, &operands, tiles)
        }
        Op::Conv2dGradWeight { geometry, .. } => {
            let conv = conv_sizes(*geometry, shape(0), &made.shape, shape(1));
            grad_weight(&conv, *geometry, result, &operands, len)
        }
        Op::AddBias => elementwise(Kernel::AddBias, 0.0, shape(0)[1], inner_len(shape(0))),
        Op::Relu => elementwise(Kernel::Relu, 0.0, 0, 0),
        Op::ReluGrad => elementwise(Kernel::ReluGrad, 0.0, 0, 0),
        Op::Add => elementwise(Kernel::Add, 0.0, 0, 0),
        Op::Scale { factor } => elementwise(Kernel::Scale, *factor, 0, 0),
        Op::Constant { value, .. } => elementwise(Kernel::Fill, *value, 0, 0),
        Op::MaxPool2d { size } => {
            let parameters = [len as u32, shape(0)[2], shape(0)[3], made.shape[2], made.shape[3], *size];
            one(Kernel::MaxPool, &parameters, result, &operands, len)
        }
        Op::MaxPool2dGrad { size } => {
            let parameters = [len as u32, shape(0)[2], shape(0)[3], shape(1)[2], shape(1)[3], *size];
            one(Kernel::MaxPoolGrad, &parameters, result, &operands, len)
        }
        Op::Reshape { .. } => Plan::default(),
        Op::SumChannels => {
            let (samples, channels) = (u64::from(shape(0)[0]), u64::from(shape(0)[1]));
            let partial = samples * channels;
            let first = [partial as u32, 0, inner_len(shape(0)) as u32];
            let mut plan = one(Kernel::SumInner, &first, Operand::Scratch, &operands, partial);
            plan.dispatches.push(total(channels, samples, 1.0, result));
            plan.scratch_elements = partial;
            plan
        }
        Op::Softmax => rows(Kernel::Softmax),
        Op::SoftmaxGrad => rows(Kernel::SoftmaxGrad),
        Op::SoftmaxCrossEntropy => {
            let samples = u64::from(shape(0)[0]);
            let parameters = [shape(0)[0], shape(0)[1]];
            let mut plan = one(Kernel::CrossEntropy, &parameters, Operand::Scratch, &operands, samples);
            plan.dispatches.push(total(1, samples, 1.0 / samples as f32, result));
            plan.scratch_elements = samples;
            plan
        }
        Op::SoftmaxCrossEntropyGrad => rows(Kernel::CrossEntropyGrad),
        Op::SgdMomentum => {
            return Err(ComputeError::UnsupportedOp { backend: BackendKind::WebGpu.name(), op: node.op.name() });
        }
    })
}

fn one(kernel: Kernel, words: &[u32], result: Operand, operands: &[Operand], invocations: u64) -> Plan {
    let dispatch = Dispatch { kernel, parameters: parameters(words), result, operands: operands.to_vec(), invocations };
    Plan { dispatches: vec![dispatch], scratch_elements: 0 }
}

/// Adds `count` rows of `len` partial sums in the scratch.
fn total(len: u64, count: u64, factor: f32, result: Operand) -> Dispatch {
    Dispatch {
        kernel: Kernel::SumRows,
        parameters: parameters(&[len as u32, 0, 0, count as u32, factor.to_bits()]),
        result,
        operands: vec![Operand::Scratch],
        invocations: len,
    }
}

fn grad_weight(conv: &Conv, geometry: ConvGeometry, result: Operand, operands: &[Operand], len: u64) -> Plan {
    let samples_per_chunk = conv.samples.div_ceil(MAX_CHUNKS);
    let chunks = conv.samples.div_ceil(samples_per_chunk);
    let mut words = conv_parameters(conv, geometry).to_vec();
    words.extend([samples_per_chunk as u32, chunks as u32]);
    let depth = conv.channels * conv.kernel_height * conv.kernel_width;
    let invocations = chunks as u64 * tiles(conv.out_channels as u64) * tiles(depth as u64);
    let mut plan = one(Kernel::Conv2dGradWeight, &words, Operand::Scratch, operands, invocations);
    plan.dispatches.push(total(len, chunks as u64, 1.0, result));
    plan.scratch_elements = chunks as u64 * len;
    plan
}

fn conv_parameters(conv: &Conv, geometry: ConvGeometry) -> [u32; 11] {
    let word = |size: usize| size as u32;
    [
        word(conv.samples),
        word(conv.channels),
        word(conv.height),
        word(conv.width),
        word(conv.out_channels),
        word(conv.kernel_height),
        word(conv.kernel_width),
        word(conv.out_height),
        word(conv.out_width),
        geometry.stride,
        geometry.padding,
    ]
}

fn tiles(extent: u64) -> u64 {
    extent.div_ceil(TILE)
}

fn parameters(words: &[u32]) -> [u32; PARAMETER_WORDS] {
    let mut parameters = [0; PARAMETER_WORDS];
    parameters[..words.len()].copy_from_slice(words);
    parameters
}

//! What a run costs, counted before it from the shapes alone. Reference operations are what work is paid by, so they
//! must be a function of the graph and nothing else; peak memory is what a volunteer's budget is checked against.
//!
//! Weights, in reference operations:
//!
//! | operation | count |
//! |---|---|
//! | `mat_mul`, `mat_mul_integer` | 2·m·n·k a matrix |
//! | `conv2d_integer` | 2·n·o·oh·ow·(c/groups)·kh·kw |
//! | `requantize` | 4 per element: a product, a rounding, a shift, a bound |
//! | `conv2d` and both its gradients | 2·n·o·oh·ow·(c/groups)·kh·kw, or the elements of all padded planes if these are more |
//! | what computes or moves an element | 1 per element made |
//! | exp, log, sin, cos, tanh, erf, sigmoid, pow | 16 per element (an exponential is about 14 operations) |
//! | `max_pool2d`, `sum_pool2d` | kh·kw per window |
//! | gradients of pools | kh·kw per window, and 1 per element made |
//! | `reduce_…`, `arg_max` | 1 per element of the operand |
//! | `scatter_add` | 1 per element of the first operand, and 1 per element made |
//! | `softmax`, `softmax_cross_entropy` and their gradients | 16 per element |
//! | `reshape` | 0: no arithmetic, no copy needed |

use crate::{
    error::GraphError,
    graph::{Node, ValueId},
    limits::MAX_MEMORY_BYTES,
    op::{Axis2d, Binary, Op, Reduction, TensorType, Window2d, elements},
};

/// Reference operations an element of a function that is a polynomial or more.
pub const TRANSCENDENTAL_WEIGHT: u64 = 16;
/// Reference operations an element of a requantisation.
const REQUANTIZE_WEIGHT: u64 = 4;
/// Upper bound on one graph's reference operations: a day at 100 TFLOP/s, far from overflow when summed over units.
pub const MAX_REFERENCE_OPS: u64 = 1 << 53;

/// Channels of a convolution with as many groups as channels in and out whose planes are held at once.
pub const DEPTHWISE_BLOCK: u64 = 16;
/// Channels from which on such a convolution runs in blocks.
pub const MIN_DEPTHWISE_CHANNELS: u32 = 8;

/// Cost of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) reference_ops: u64,
    pub(crate) peak_memory_bytes: u64,
}

pub(crate) fn count(
    types: &[TensorType],
    inputs: &[(String, ValueId)],
    nodes: &[Node],
    outputs: &[(String, ValueId)],
) -> Result<Cost, GraphError> {
    let mut reference_ops = 0u64;
    for node in nodes {
        reference_ops = reference_ops.saturating_add(node_ops(node, types));
    }
    if reference_ops > MAX_REFERENCE_OPS {
        return Err(GraphError::TooLarge {
            what: "reference operation count",
            found: reference_ops,
            limit: MAX_REFERENCE_OPS,
        });
    }
    let peak_memory_bytes = peak_memory(types, inputs, nodes, outputs);
    if peak_memory_bytes > MAX_MEMORY_BYTES {
        return Err(GraphError::TooLarge {
            what: "peak memory in bytes",
            found: peak_memory_bytes,
            limit: MAX_MEMORY_BYTES,
        });
    }
    Ok(Cost { reference_ops, peak_memory_bytes })
}

/// Reference operations of one node.
pub fn node_ops(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    let made = types[node.output.index()].elements();
    let products = || made.saturating_mul(product_depth(node, types)).saturating_mul(2);
    match &node.op {
        Op::Reshape { .. } => 0,
        Op::MatMul { .. } | Op::MatMulInteger { .. } | Op::Conv2dInteger { .. } => products(),
        Op::Requantize { .. } => REQUANTIZE_WEIGHT.saturating_mul(made),
        Op::Conv2d { .. } | Op::Conv2dGradWeight { .. } => products().max(plane_elements(node, types)),
        // The same products as the forward convolution: each element of dy with each weight of its output channel.
        Op::Conv2dGradInput { .. } => {
            let products = elements(input(1)).saturating_mul(elements(&input(0)[1..])).saturating_mul(2);
            products.max(plane_elements(node, types))
        }
        Op::MaxPool2d { kernel_height, kernel_width, .. } | Op::SumPool2d { kernel_height, kernel_width, .. } => {
            made.saturating_mul(kernel_len(*kernel_height, *kernel_width))
        }
        Op::MaxPool2dGrad { kernel_height, kernel_width, .. } => {
            elements(input(1)).saturating_mul(kernel_len(*kernel_height, *kernel_width)).saturating_add(made)
        }
        Op::SumPool2dGrad { kernel_height, kernel_width, .. } => {
            elements(input(0)).saturating_mul(kernel_len(*kernel_height, *kernel_width)).saturating_add(made)
        }
        Op::Softmax | Op::SoftmaxGrad | Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad => {
            TRANSCENDENTAL_WEIGHT.saturating_mul(elements(input(0)))
        }
        Op::Unary(unary) if unary.is_transcendental() => TRANSCENDENTAL_WEIGHT.saturating_mul(made),
        Op::Binary(Binary::Pow) => TRANSCENDENTAL_WEIGHT.saturating_mul(made),
        Op::Reduce { .. } | Op::ArgMax { .. } => elements(input(0)),
        Op::ScatterAdd { .. } => elements(input(0)).saturating_add(made),
        Op::Constant(_)
        | Op::Iota { .. }
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Cast { .. }
        | Op::Transpose { .. }
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. } => made,
    }
}

fn kernel_len(height: u32, width: u32) -> u64 {
    u64::from(height) * u64::from(width)
}

/// K: how many products or elements one output element of the node sums, 1 for operations that sum nothing.
pub fn product_depth(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    match &node.op {
        Op::MatMul { trans_a, .. } => {
            let a = input(0);
            u64::from(a[a.len() - if *trans_a { 2 } else { 1 }])
        }
        Op::MatMulInteger { .. } => input(0).last().copied().map_or(1, u64::from),
        Op::Conv2d { .. } | Op::Conv2dInteger { .. } => elements(&input(1)[1..]),
        Op::Conv2dGradInput { groups, .. } => u64::from(input(0)[0] / groups).saturating_mul(elements(&input(0)[2..])),
        Op::Conv2dGradWeight { .. } => u64::from(input(1)[0]).saturating_mul(elements(&input(1)[2..])),
        Op::SumPool2d { kernel_height, kernel_width, .. } | Op::SumPool2dGrad { kernel_height, kernel_width, .. } => {
            kernel_len(*kernel_height, *kernel_width)
        }
        Op::Reduce { reduction: Reduction::Sum | Reduction::Product, .. } => {
            elements(input(0)) / types[node.output.index()].elements()
        }
        Op::ScatterAdd { .. } => elements(input(1)),
        Op::Constant(_)
        | Op::Iota { .. }
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Cast { .. }
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::Requantize { .. }
        | Op::MaxPool2d { .. }
        | Op::MaxPool2dGrad { .. }
        | Op::Softmax
        | Op::SoftmaxGrad
        | Op::SoftmaxCrossEntropy
        | Op::SoftmaxCrossEntropyGrad => 1,
    }
}

/// Scratch bytes of a node beyond fixed sizes. A convolution counts the greater of the unfolded image of one sample and of
/// what its kernels hold: padded planes, however far apart windows and padding push them, and the weights in another order.
/// No kernel unfolds images any longer; their size stays here, because the count is part of a unit's hash.
fn scratch_bytes(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    let made = types[node.output.index()].shape.as_slice();
    let plane = plane(node, types);
    let (unfolded, held) = match &node.op {
        Op::Conv2d { .. } => {
            let weight = input(1);
            let unfolded = elements(&weight[1..]).saturating_mul(elements(&made[2..]));
            (unfolded, plane.saturating_add(elements(weight)))
        }
        Op::Conv2dGradInput { .. } => {
            let weight = elements(input(0));
            let unfolded = product_depth(node, types).saturating_mul(elements(&made[2..]));
            (unfolded.saturating_add(weight), plane.saturating_add(weight.saturating_mul(2)))
        }
        Op::Conv2dGradWeight { .. } => {
            let unfolded = elements(&made[1..]).saturating_mul(elements(&input(1)[2..]));
            (unfolded, plane.saturating_mul(u64::from(made[1])).saturating_add(elements(made)))
        }
        // The unfolded image of one sample, in bytes.
        Op::Conv2dInteger { .. } => {
            return elements(&input(1)[1..]).saturating_mul(elements(&made[2..]));
        }
        _ => return 0,
    };
    let held = depthwise_block(node, types, plane).unwrap_or(held);
    unfolded.max(held).saturating_mul(4)
}

/// What a convolution of single channels holds: planes and weights of a block of channels, and a line of results.
fn depthwise_block(node: &Node, types: &[TensorType], plane: u64) -> Option<u64> {
    let shape = |value: ValueId| types[value.index()].shape.as_slice();
    let (image, weight, result) = match &node.op {
        Op::Conv2d { .. } => (node.inputs[0], node.inputs[1], node.output),
        Op::Conv2dGradInput { .. } => (node.output, node.inputs[0], node.output),
        Op::Conv2dGradWeight { .. } => (node.inputs[0], node.output, node.inputs[1]),
        _ => return None,
    };
    let (image, weight, result) = (shape(image), shape(weight), shape(result));
    let is_depthwise = weight[1] == 1 && image[1] == weight[0] && image[1] >= MIN_DEPTHWISE_CHANNELS;
    let kernel = elements(&weight[2..]);
    let each = plane.saturating_add(kernel).saturating_add(u64::from(result[3])).saturating_add(1);
    // And where each weight reads a plane, in 8 bytes.
    is_depthwise.then(|| each.saturating_mul(DEPTHWISE_BLOCK).saturating_add(kernel.saturating_mul(2)))
}

/// Elements of all planes that a convolution writes: one for each channel of each image that its windows lie over.
fn plane_elements(node: &Node, types: &[TensorType]) -> u64 {
    let images =
        types[node.inputs[usize::from(matches!(node.op, Op::Conv2dGradInput { .. }))].index()].shape.as_slice();
    plane(node, types).saturating_mul(elements(&images[..2]))
}

/// Elements of one padded plane of a convolution; 0 for other operations.
fn plane(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    let made = types[node.output.index()].shape.as_slice();
    match &node.op {
        Op::Conv2d { window, .. } => padded_plane(*window, [input(1)[2], input(1)[3]], [made[2], made[3]]),
        Op::Conv2dGradInput { window, .. } => u64::from(made[2])
            .saturating_add(window.height.extent(input(0)[2]))
            .saturating_mul(u64::from(made[3]).saturating_add(window.width.extent(input(0)[3]))),
        Op::Conv2dGradWeight { window, .. } => padded_plane(*window, [made[2], made[3]], [input(1)[2], input(1)[3]]),
        _ => 0,
    }
}

/// Elements of one plane of an image with the padding that its windows reach, a column for each phase of the stride.
fn padded_plane(window: Window2d, kernel: [u32; 2], out: [u32; 2]) -> u64 {
    let along = |axis: Axis2d, kernel: u32, out: u32| {
        u64::from(out).saturating_mul(u64::from(axis.stride)).saturating_add(axis.extent(kernel))
    };
    along(window.height, kernel[0], out[0]).saturating_mul(along(window.width, kernel[1], out[1]))
}

/// Position of the last node that reads each value; values that leave the graph are read at the end.
pub fn last_uses(values: usize, nodes: &[Node], outputs: &[(String, ValueId)]) -> Vec<usize> {
    let mut last = vec![0; values];
    for (index, node) in nodes.iter().enumerate() {
        for value in node.inputs.iter().chain([&node.output]) {
            last[value.index()] = index;
        }
    }
    for (_, value) in outputs {
        last[value.index()] = nodes.len();
    }
    last
}

fn peak_memory(
    types: &[TensorType],
    inputs: &[(String, ValueId)],
    nodes: &[Node],
    outputs: &[(String, ValueId)],
) -> u64 {
    let last = last_uses(types.len(), nodes, outputs);
    let mut frees: Vec<Vec<u64>> = vec![Vec::new(); nodes.len() + 1];
    for (value, at) in last.iter().enumerate() {
        frees[*at].push(types[value].bytes());
    }
    let mut live = inputs.iter().fold(0u64, |sum, (_, value)| sum.saturating_add(types[value.index()].bytes()));
    let mut peak = live;
    for (index, node) in nodes.iter().enumerate() {
        live = live.saturating_add(types[node.output.index()].bytes());
        peak = peak.max(live.saturating_add(scratch_bytes(node, types)));
        live = frees[index].iter().fold(live, |live, bytes| live.saturating_sub(*bytes));
    }
    peak
}

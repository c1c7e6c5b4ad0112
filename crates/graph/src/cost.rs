//! What a run costs, counted before it from the shapes alone. Reference operations are what work is paid by, so they
//! must be a function of the graph and nothing else; peak memory is what a volunteer's budget is checked against.
//!
//! Weights, in reference operations:
//!
//! | operation | count |
//! |---|---|
//! | `mat_mul` | 2·m·n·k |
//! | `conv2d` and both its gradients | 2·n·o·oh·ow·c·kh·kw |
//! | memory-bound: `add_bias`, `relu`, `relu_grad`, `add`, `scale`, `constant` | 1 per element made |
//! | `max_pool2d`, `max_pool2d_grad`, `sum_channels` | 1 per element of x |
//! | `softmax`, `softmax_cross_entropy` and their gradients | 16 per element (an exponential is about 14 operations) |
//! | `sgd_momentum` | 4 per element |
//! | `reshape` | 0: no arithmetic, no copy needed |

use crate::{
    error::GraphError,
    graph::{Node, ValueId},
    limits::MAX_MEMORY_BYTES,
    op::{Op, TensorType, elements},
};

/// Reference operations an element of a softmax-like operation.
pub const SOFTMAX_WEIGHT: u64 = 16;
/// Reference operations an element of an SGD update.
pub const SGD_WEIGHT: u64 = 4;
/// Upper bound on one graph's reference operations: a day at 100 TFLOP/s, far from overflow when summed over units.
pub const MAX_REFERENCE_OPS: u64 = 1 << 53;

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
pub(crate) fn node_ops(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    let made = elements(&types[node.outputs[0].index()].shape);
    match &node.op {
        Op::MatMul { .. } => 2u64.saturating_mul(made).saturating_mul(product_depth(node, types)),
        Op::Conv2d(_) => 2u64.saturating_mul(made).saturating_mul(product_depth(node, types)),
        // The same products as the forward convolution: each element of dy with each weight of its output channel.
        Op::Conv2dGradInput { .. } => {
            let per_dy = elements(&input(0)[1..]);
            2u64.saturating_mul(elements(input(1))).saturating_mul(per_dy)
        }
        Op::Conv2dGradWeight { .. } => 2u64.saturating_mul(made).saturating_mul(product_depth(node, types)),
        Op::AddBias | Op::Relu | Op::ReluGrad | Op::Add | Op::Scale { .. } | Op::Constant { .. } => made,
        Op::MaxPool2d { .. } | Op::MaxPool2dGrad { .. } | Op::SumChannels => elements(input(0)),
        Op::Softmax | Op::SoftmaxGrad | Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad => {
            SOFTMAX_WEIGHT.saturating_mul(elements(input(0)))
        }
        Op::SgdMomentum => SGD_WEIGHT.saturating_mul(made),
        Op::Reshape { .. } => 0,
    }
}

/// K: how many products one output element of the node sums, 1 for operations that are no products.
pub fn product_depth(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    match &node.op {
        Op::MatMul { trans_a, .. } => u64::from(input(0)[usize::from(!trans_a)]),
        Op::Conv2d(_) => elements(&input(1)[1..]),
        Op::Conv2dGradInput { .. } => u64::from(input(0)[0]) * elements(&input(0)[2..]),
        Op::Conv2dGradWeight { .. } => u64::from(input(1)[0]) * elements(&input(1)[2..]),
        Op::SumChannels => elements(input(0)) / u64::from(input(0)[1]),
        _ => 1,
    }
}

/// Scratch bytes of a node: the unfolded image of one sample (im2col) and, for an input gradient, the weights in another
/// order. Other temporaries are of fixed size.
fn scratch_bytes(node: &Node, types: &[TensorType]) -> u64 {
    let input = |i: usize| types[node.inputs[i].index()].shape.as_slice();
    let made = types[node.outputs[0].index()].shape.as_slice();
    let elements = match &node.op {
        Op::Conv2d(_) => product_depth(node, types).saturating_mul(elements(&made[2..])),
        Op::Conv2dGradInput { .. } => {
            product_depth(node, types).saturating_mul(elements(&made[2..])).saturating_add(elements(input(0)))
        }
        Op::Conv2dGradWeight { .. } => elements(&made[1..]).saturating_mul(elements(&input(1)[2..])),
        _ => 0,
    };
    elements.saturating_mul(4)
}

/// Position of the last node that reads each value; values that leave the graph are read at the end.
pub fn last_uses(values: usize, nodes: &[Node], outputs: &[(String, ValueId)]) -> Vec<usize> {
    let mut last = vec![0; values];
    for (index, node) in nodes.iter().enumerate() {
        for value in node.inputs.iter().chain(&node.outputs) {
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
        for value in &node.outputs {
            live = live.saturating_add(types[value.index()].bytes());
        }
        peak = peak.max(live.saturating_add(scratch_bytes(node, types)));
        live = frees[index].iter().fold(live, |live, bytes| live.saturating_sub(*bytes));
    }
    peak
}

//! The derivative of each operation, as nodes. Where a function has no slope, or has two, the gradient is one that JAX
//! gives too: what ties for the greatest or the least shares it, a product with zeros has that of the other factors, and an
//! infinite slope (√x, ln x, 1/x and powers at 0) is infinite. Two differ: |x| at 0 has slope 0, not 1, and x⁰ has slope 0
//! in x at 0 as everywhere, not NaN.

mod elementwise;
mod reductions;

use self::reductions::sum_to;
use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Node, ValueId},
    op::{DType, Op, Window2d},
};

/// Gradient of the node's operand at `position`, when the gradient of its result is `dy`; `None` where it is zero
/// everywhere, as for a rounding.
pub(super) fn operand_gradient(
    b: &mut GraphBuilder,
    node: &Node,
    position: usize,
    dy: ValueId,
) -> Result<Option<ValueId>, GraphError> {
    let operand = |i: usize| node.inputs[i];
    let x = operand(position);
    let shape = b.shape(x).to_vec();
    let made = match &node.op {
        Op::Constant(_)
        | Op::Iota { .. }
        | Op::ArgMax { .. }
        | Op::MatMulInteger { .. }
        | Op::Conv2dInteger { .. }
        | Op::Requantize { .. } => return Ok(None),
        Op::Cast { to: DType::F32 } if b.value_type(x).dtype == DType::F32 => dy,
        Op::Cast { .. } => return Ok(None),
        Op::Unary(unary) => return elementwise::unary(b, *unary, x, node.output, dy),
        Op::Binary(binary) => {
            let Some(dx) = elementwise::binary(b, *binary, node, position, dy)? else { return Ok(None) };
            sum_to(b, dx, &shape)?
        }
        Op::Where => {
            let zero = b.scalar(0.0)?;
            let passed = if position == 1 { b.select(operand(0), dy, zero)? } else { b.select(operand(0), zero, dy)? };
            sum_to(b, passed, &shape)?
        }
        Op::Reshape { .. } => b.reshape(dy, &shape)?,
        Op::Transpose { axes } => {
            let mut inverse = vec![0; axes.len()];
            for (at, axis) in axes.iter().enumerate() {
                inverse[*axis as usize] = at as u32;
            }
            b.transpose(dy, &inverse)?
        }
        Op::Broadcast { .. } => sum_to(b, dy, &shape)?,
        Op::Slice { starts, steps, .. } => slice_gradient(b, starts, steps, &shape, dy)?,
        Op::Pad { low, interior, .. } => {
            // A single element has no neighbour, and what lies between could be beyond the limits.
            let step = |(dim, between): (&u32, &u32)| if *dim == 1 { 1 } else { (between + 1) as i32 };
            let steps = shape.iter().zip(interior).map(step).collect();
            b.apply(Op::Slice { starts: low.clone(), steps, shape }, &[dy])?
        }
        Op::Concat { axis } => {
            let before = node.inputs[..position].iter().map(|other| b.shape(*other)[*axis as usize]).sum();
            b.slice(dy, *axis, before, shape[*axis as usize])?
        }
        Op::Gather { axis } => {
            let size = shape[*axis as usize];
            b.apply(Op::ScatterAdd { axis: *axis, size }, &[dy, operand(1)])?
        }
        Op::ScatterAdd { axis, .. } => b.apply(Op::Gather { axis: *axis }, &[dy, operand(1)])?,
        Op::Reduce { reduction, axes } => reductions::gradient(b, *reduction, axes, x, node.output, dy)?,
        Op::MatMul { trans_a, trans_b } => {
            // With A' = op(a), B' = op(b): dA' = dy·B'ᵀ and dB' = A'ᵀ·dy, each transposed back where stored so.
            let other = operand(1 - position);
            let (left, right, trans_left, trans_right) = match (position, *trans_a, *trans_b) {
                (0, false, trans_b) => (dy, other, false, !trans_b),
                (0, true, trans_b) => (other, dy, trans_b, true),
                (_, trans_a, false) => (other, dy, !trans_a, false),
                (_, trans_a, true) => (dy, other, true, trans_a),
            };
            b.apply(Op::MatMul { trans_a: trans_left, trans_b: trans_right }, &[left, right])?
        }
        Op::Conv2d { window, groups } => match position {
            0 => conv_grad_input(b, *window, *groups, &shape, operand(1), dy)?,
            _ => conv_grad_weight(b, *window, *groups, &shape, operand(0), dy)?,
        },
        Op::Conv2dGradInput { window, groups, .. } => match position {
            0 => conv_grad_weight(b, *window, *groups, &shape, dy, operand(1))?,
            _ => b.apply(Op::Conv2d { window: *window, groups: *groups }, &[dy, operand(0)])?,
        },
        Op::Conv2dGradWeight { window, groups, .. } => match position {
            0 => conv_grad_input(b, *window, *groups, &shape, dy, operand(1))?,
            _ => b.apply(Op::Conv2d { window: *window, groups: *groups }, &[operand(0), dy])?,
        },
        Op::MaxPool2d { window, kernel_height, kernel_width } => {
            let (window, kernel_height, kernel_width) = (*window, *kernel_height, *kernel_width);
            b.apply(Op::MaxPool2dGrad { window, kernel_height, kernel_width }, &[x, dy])?
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            let (window, kernel_height, kernel_width) = (*window, *kernel_height, *kernel_width);
            let (height, width) = (shape[2], shape[3]);
            b.apply(Op::SumPool2dGrad { window, kernel_height, kernel_width, height, width }, &[dy])?
        }
        Op::SumPool2dGrad { window, kernel_height, kernel_width, .. } => {
            let (window, kernel_height, kernel_width) = (*window, *kernel_height, *kernel_width);
            b.apply(Op::SumPool2d { window, kernel_height, kernel_width }, &[dy])?
        }
        Op::Softmax => b.apply(Op::SoftmaxGrad, &[node.output, dy])?,
        Op::SoftmaxCrossEntropy => b.apply(Op::SoftmaxCrossEntropyGrad, &[x, operand(1), dy])?,
        Op::MaxPool2dGrad { .. } | Op::SoftmaxGrad | Op::SoftmaxCrossEntropyGrad => {
            return Err(GraphError::NotDifferentiable { op: node.op.name() });
        }
    };
    Ok(Some(made))
}

/// Puts what was cut out back in its place; axes that were read backwards are turned first.
fn slice_gradient(
    b: &mut GraphBuilder,
    starts: &[u32],
    steps: &[i32],
    shape: &[u32],
    dy: ValueId,
) -> Result<ValueId, GraphError> {
    let len = b.shape(dy).to_vec();
    let dy = match steps.iter().any(|step| *step < 0) {
        false => dy,
        true => {
            let starts = (0..len.len()).map(|axis| if steps[axis] < 0 { len[axis] - 1 } else { 0 }).collect();
            let turned = steps.iter().map(|step| step.signum()).collect();
            b.apply(Op::Slice { starts, steps: turned, shape: len.clone() }, &[dy])?
        }
    };
    let (mut low, mut high, mut interior) = (Vec::new(), Vec::new(), Vec::new());
    for axis in 0..shape.len() {
        let step = steps[axis].unsigned_abs();
        let reach = (len[axis] - 1) * step;
        let first = if steps[axis] < 0 { starts[axis] - reach } else { starts[axis] };
        low.push(first);
        high.push(shape[axis] - first - reach - 1);
        // A single element has no neighbour, and a step without meaning could be beyond the limits.
        interior.push(if len[axis] == 1 { 0 } else { step - 1 });
    }
    b.apply(Op::Pad { low, high, interior, value: 0.0 }, &[dy])
}

fn conv_grad_input(
    b: &mut GraphBuilder,
    window: Window2d,
    groups: u32,
    image: &[u32],
    weight: ValueId,
    dy: ValueId,
) -> Result<ValueId, GraphError> {
    let (height, width) = (image[2], image[3]);
    b.apply(Op::Conv2dGradInput { window, groups, height, width }, &[weight, dy])
}

fn conv_grad_weight(
    b: &mut GraphBuilder,
    window: Window2d,
    groups: u32,
    weight: &[u32],
    x: ValueId,
    dy: ValueId,
) -> Result<ValueId, GraphError> {
    let (kernel_height, kernel_width) = (weight[2], weight[3]);
    b.apply(Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width }, &[x, dy])
}

//! The derivative of each operation, as nodes.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Node, ValueId},
    op::{Binary, DType, Op, Reduction, Unary, Window2d},
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
        Op::Constant(_) | Op::Iota { .. } | Op::ArgMax { .. } | Op::MatMulInteger { .. } => return Ok(None),
        Op::Cast { to: DType::F32 } if b.value_type(x).dtype == DType::F32 => dy,
        Op::Cast { .. } => return Ok(None),
        Op::Unary(unary) => return unary_gradient(b, *unary, x, node.output, dy),
        Op::Binary(binary) => {
            let Some(dx) = binary_gradient(b, *binary, node, position, dy)? else { return Ok(None) };
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
        Op::Reduce { reduction, axes } => reduce_gradient(b, *reduction, axes, x, node.output, dy)?,
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

fn unary_gradient(
    b: &mut GraphBuilder,
    unary: Unary,
    x: ValueId,
    y: ValueId,
    dy: ValueId,
) -> Result<Option<ValueId>, GraphError> {
    let made = match unary {
        Unary::Neg => b.unary(Unary::Neg, dy)?,
        Unary::Abs => {
            let sign = b.unary(Unary::Sign, x)?;
            b.mul(dy, sign)?
        }
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => return Ok(None),
        Unary::Sqrt => {
            let half = b.scale(dy, 0.5)?;
            b.div(half, y)?
        }
        Unary::Reciprocal => {
            let square = b.mul(y, y)?;
            let product = b.mul(dy, square)?;
            b.unary(Unary::Neg, product)?
        }
        Unary::Exp => b.mul(dy, y)?,
        Unary::Log => b.div(dy, x)?,
        Unary::Sin => {
            let cos = b.unary(Unary::Cos, x)?;
            b.mul(dy, cos)?
        }
        Unary::Cos => {
            let sin = b.unary(Unary::Sin, x)?;
            let product = b.mul(dy, sin)?;
            b.unary(Unary::Neg, product)?
        }
        Unary::Tanh => {
            let square = b.mul(y, y)?;
            let one = b.scalar(1.0)?;
            let slope = b.sub(one, square)?;
            b.mul(dy, slope)?
        }
        Unary::Erf => {
            // 2/√π·e^−x².
            let square = b.mul(x, x)?;
            let negative = b.unary(Unary::Neg, square)?;
            let bell = b.unary(Unary::Exp, negative)?;
            let slope = b.scale(bell, std::f32::consts::FRAC_2_SQRT_PI)?;
            b.mul(dy, slope)?
        }
        Unary::Sigmoid => {
            let one = b.scalar(1.0)?;
            let rest = b.sub(one, y)?;
            let slope = b.mul(y, rest)?;
            b.mul(dy, slope)?
        }
        Unary::Relu => {
            let zero = b.scalar(0.0)?;
            let is_positive = b.binary(Binary::Less, zero, x)?;
            b.select(is_positive, dy, zero)?
        }
    };
    Ok(Some(made))
}

/// The gradient before it is summed over what was broadcast.
fn binary_gradient(
    b: &mut GraphBuilder,
    binary: Binary,
    node: &Node,
    position: usize,
    dy: ValueId,
) -> Result<Option<ValueId>, GraphError> {
    let (left, right) = (node.inputs[0], node.inputs[1]);
    let is_left = position == 0;
    let made = match binary {
        Binary::Add => dy,
        Binary::Sub if is_left => dy,
        Binary::Sub => b.unary(Unary::Neg, dy)?,
        Binary::Mul => b.mul(dy, if is_left { right } else { left })?,
        Binary::Div if is_left => b.div(dy, right)?,
        Binary::Div => {
            let quotient = b.div(node.output, right)?;
            let product = b.mul(dy, quotient)?;
            b.unary(Unary::Neg, product)?
        }
        Binary::Max | Binary::Min => {
            // A tie goes to the left operand, which is the result then.
            let (lesser, greater) = if binary == Binary::Max { (left, right) } else { (right, left) };
            let is_right = b.binary(Binary::Less, lesser, greater)?;
            let zero = b.scalar(0.0)?;
            if is_left { b.select(is_right, zero, dy)? } else { b.select(is_right, dy, zero)? }
        }
        Binary::Pow if is_left => {
            let one_less = b.add_scalar(right, -1.0)?;
            let power = b.binary(Binary::Pow, left, one_less)?;
            let slope = b.mul(right, power)?;
            b.mul(dy, slope)?
        }
        Binary::Pow => {
            let log = b.unary(Unary::Log, left)?;
            let slope = b.mul(node.output, log)?;
            b.mul(dy, slope)?
        }
        Binary::Less | Binary::LessEqual | Binary::Equal | Binary::And | Binary::Or | Binary::Xor => return Ok(None),
    };
    Ok(Some(made))
}

/// Sums a gradient over the axes along which a tensor of that shape was stretched.
fn sum_to(b: &mut GraphBuilder, dy: ValueId, shape: &[u32]) -> Result<ValueId, GraphError> {
    let stretched = b.shape(dy).to_vec();
    let added = stretched.len() - shape.len();
    let axes: Vec<u32> = (0..stretched.len())
        .filter(|axis| *axis < added || (shape[axis - added] == 1 && stretched[*axis] > 1))
        .map(|axis| axis as u32)
        .collect();
    let summed = if axes.is_empty() { dy } else { b.apply(Op::Reduce { reduction: Reduction::Sum, axes }, &[dy])? };
    b.reshape(summed, shape)
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

fn reduce_gradient(
    b: &mut GraphBuilder,
    reduction: Reduction,
    axes: &[u32],
    x: ValueId,
    y: ValueId,
    dy: ValueId,
) -> Result<ValueId, GraphError> {
    let shape = b.shape(x).to_vec();
    let mut kept = shape.clone();
    for axis in axes {
        kept[*axis as usize] = 1;
    }
    let dy = b.reshape(dy, &kept)?;
    match reduction {
        Reduction::Sum => b.broadcast(dy, &shape),
        Reduction::Product => {
            let y = b.reshape(y, &kept)?;
            let product = b.mul(dy, y)?;
            b.div(product, x)
        }
        // Equals share the gradient.
        Reduction::Max | Reduction::Min => {
            let y = b.reshape(y, &kept)?;
            let is_it = b.binary(Binary::Equal, x, y)?;
            let is_it = b.cast(is_it, DType::F32)?;
            let count = b.reduce(Reduction::Sum, is_it, axes)?;
            let share = b.div(dy, count)?;
            b.mul(is_it, share)
        }
    }
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

//! Derivatives of reductions, and sums over what was broadcast.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::ValueId,
    op::{Binary, DType, Op, Reduction},
};

/// The gradient of a reduction's operand.
pub(super) fn gradient(
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
            // Of the other factors: the product of those that are not 0, by x; at the only 0 that product; beside another 0
            // nothing.
            let (zero, one) = (b.scalar(0.0)?, b.scalar(1.0)?);
            let is_zero = b.binary(Binary::Equal, x, zero)?;
            let counted = b.cast(is_zero, DType::F32)?;
            let zeros = b.reduce(Reduction::Sum, counted, axes)?;
            let factors = b.select(is_zero, one, x)?;
            let product = b.reduce(Reduction::Product, factors, axes)?;
            let others = b.div(product, factors)?;
            let other_zeros = b.sub(zeros, counted)?;
            let is_whole = b.binary(Binary::Equal, other_zeros, zero)?;
            let slope = b.select(is_whole, others, zero)?;
            b.mul(dy, slope)
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

/// Sums a gradient over the axes along which a tensor of that shape was stretched.
pub(super) fn sum_to(b: &mut GraphBuilder, dy: ValueId, shape: &[u32]) -> Result<ValueId, GraphError> {
    let stretched = b.shape(dy).to_vec();
    let added = stretched.len() - shape.len();
    let axes: Vec<u32> = (0..stretched.len())
        .filter(|axis| *axis < added || (shape[axis - added] == 1 && stretched[*axis] > 1))
        .map(|axis| axis as u32)
        .collect();
    let summed = if axes.is_empty() { dy } else { b.apply(Op::Reduce { reduction: Reduction::Sum, axes }, &[dy])? };
    b.reshape(summed, shape)
}

//! Derivatives of functions of single elements.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Node, ValueId},
    op::{Binary, Unary},
};

/// The gradient of a function's operand; `None` where it is zero everywhere.
pub(super) fn unary(
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

/// The gradient of an operand, before it is summed over what was broadcast; `None` where it is zero everywhere.
pub(super) fn binary(
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
            let (own, other) = if is_left { (left, right) } else { (right, left) };
            let (lesser, greater) = if binary == Binary::Max { (other, own) } else { (own, other) };
            let is_it = b.binary(Binary::Less, lesser, greater)?;
            let is_tie = b.binary(Binary::Equal, own, other)?;
            let (half, zero) = (b.scale(dy, 0.5)?, b.scalar(0.0)?);
            let shared = b.select(is_tie, half, zero)?;
            b.select(is_it, dy, shared)?
        }
        Binary::Pow if is_left => {
            let one_less = b.add_scalar(right, -1.0)?;
            let power = b.binary(Binary::Pow, left, one_less)?;
            let slope = b.mul(right, power)?;
            // 0·0⁻¹ would be NaN.
            let zero = b.scalar(0.0)?;
            let is_flat = b.binary(Binary::Equal, right, zero)?;
            let slope = b.select(is_flat, zero, slope)?;
            b.mul(dy, slope)?
        }
        Binary::Pow => {
            // 0ʸ·ln 0 would be NaN.
            let (zero, one) = (b.scalar(0.0)?, b.scalar(1.0)?);
            let is_zero = b.binary(Binary::Equal, left, zero)?;
            let base = b.select(is_zero, one, left)?;
            let log = b.unary(Unary::Log, base)?;
            let slope = b.mul(node.output, log)?;
            b.mul(dy, slope)?
        }
        Binary::Less | Binary::LessEqual | Binary::Equal | Binary::And | Binary::Or | Binary::Xor => return Ok(None),
    };
    Ok(Some(made))
}

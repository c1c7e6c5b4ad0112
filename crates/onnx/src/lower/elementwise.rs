//! Arithmetic, comparisons and logic on single elements, and conversions of element types.

use shoal_graph::{Binary, Unary};

use super::{
    call::{Call, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError};

/// Operators that are one primitive.
pub(super) fn unary(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let unary = match call.op() {
        "Neg" => Unary::Neg,
        "Abs" => Unary::Abs,
        "Sign" => Unary::Sign,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Exp" => Unary::Exp,
        "Log" => Unary::Log,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Tanh" => Unary::Tanh,
        "Erf" => Unary::Erf,
        "Sigmoid" => Unary::Sigmoid,
        other => unreachable!("{other} is no function of one element"),
    };
    let x = if unary.takes_i32() { call.input(0)? } else { call.floats(0)? };
    one(low.unary(unary, x))
}

pub(super) fn binary(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (a, b) = pair(call)?;
    one(match call.op() {
        "Add" => low.add(a, b),
        "Sub" => low.sub(a, b),
        "Mul" => low.mul(a, b),
        "Div" => low.div(a, b),
        "Equal" => low.binary(Binary::Equal, a, b),
        "Less" => low.less(a, b),
        "LessOrEqual" => low.binary(Binary::LessEqual, a, b),
        "Greater" => low.less(b, a),
        "GreaterOrEqual" => low.binary(Binary::LessEqual, b, a),
        "And" | "BitwiseAnd" => low.binary(Binary::And, a, b),
        "Or" | "BitwiseOr" => low.binary(Binary::Or, a, b),
        "Xor" | "BitwiseXor" => low.binary(Binary::Xor, a, b),
        other => unreachable!("{other} is no function of two elements"),
    })
}

fn pair<'a>(call: &'a Call<'_>) -> Result<(&'a Value, &'a Value), NodeError> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.element.is_float() != b.element.is_float() {
        return Err(NodeError::WrongElement { index: 1, found: b.element });
    }
    Ok((a, b))
}

pub(super) fn variadic(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let binary = match call.op() {
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Sum" | "Mean" => Binary::Add,
        other => unreachable!("{other} does not take any number of operands"),
    };
    let mut made = call.input(0)?.clone();
    for index in 1..call.inputs.len() {
        made = low.binary(binary, &made, call.input(index)?)?;
    }
    if call.op() == "Mean" {
        made = low.with(Binary::Div, &made, call.inputs.len() as f64)?;
    }
    Ok(vec![made])
}

pub(super) fn not(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    one(low.not(call.input(0)?))
}

pub(super) fn bitwise_not(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    if matches!(x.element, Element::U32 | Element::U64) {
        return Err(NodeError::WrongElement { index: 0, found: x.element });
    }
    let made = low.with(Binary::Xor, x, -1.0)?;
    one(low.wrap(&made, x.element))
}

/// By the bits of the distance: each that is set shifts by its power of two.
pub(super) fn bit_shift(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, distance) = pair(call)?;
    let binary = if call.text("direction", "") == "LEFT" { Binary::Mul } else { Binary::Div };
    let mut made = x.clone();
    for bit in 0..5 {
        let shifted = low.with(binary, &made, (1u64 << (1 << bit)).min(1 << 30) as f64)?;
        let is_set = low.with(Binary::And, distance, f64::from(1 << bit))?;
        made = low.select(&is_set, &shifted, &made)?;
    }
    Ok(vec![made])
}

pub(super) fn pow(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let made = match y.uniform() {
        // Squares and roots are exact, and cheaper.
        Some(2.0) if y.rank() == 0 => return one(low.mul(x, x)),
        Some(0.5) if y.rank() == 0 && x.element.is_float() => return one(low.unary(Unary::Sqrt, x)),
        _ => {
            let (x, y) = (low.float(x)?, low.float(y)?);
            low.binary(Binary::Pow, &x, &y)?
        }
    };
    if x.element.is_float() {
        return Ok(vec![made]);
    }
    // A power of integers is one, but for its rounding.
    let made = low.unary(Unary::Round, &made)?;
    one(low.cast(&made, x.element))
}

/// The remainder with the sign of b (`fmod` 0), or of a.
pub(super) fn modulo(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (a, b) = pair(call)?;
    let quotient = low.div(a, b)?;
    let whole = low.truncate(&quotient)?;
    let product = low.mul(&whole, b)?;
    let rest = low.sub(a, &product)?;
    if call.int("fmod", 0) == 1 {
        return Ok(vec![rest]);
    }
    let (sign, wanted) = (low.unary(Unary::Sign, &rest)?, low.unary(Unary::Sign, b)?);
    let product = low.mul(&sign, &wanted)?;
    let differs = low.with(Binary::Less, &product, 0.0)?;
    let other = low.add(&rest, b)?;
    one(low.select(&differs, &other, &rest))
}

pub(super) fn select(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    one(low.select(call.input(0)?, call.input(1)?, call.input(2)?))
}

pub(super) fn is_nan(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let is_number = low.binary(Binary::Equal, x, x)?;
    one(low.not(&is_number))
}

pub(super) fn is_inf(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    one(match (call.int("detect_negative", 1), call.int("detect_positive", 1)) {
        (0, 0) => low.less(x, x),
        (0, _) => low.with(Binary::Equal, x, f64::INFINITY),
        (_, 0) => low.with(Binary::Equal, x, f64::NEG_INFINITY),
        _ => {
            let size = low.unary(Unary::Abs, x)?;
            low.with(Binary::Equal, &size, f64::INFINITY)
        }
    })
}

pub(super) fn cast(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    one(low.cast(call.input(0)?, Element::from_number(call.int("to", 0) as i32)?))
}

pub(super) fn cast_like(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    one(low.cast(call.input(0)?, call.input(1)?.element))
}

pub(super) fn identity(_: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    Ok(vec![call.input(0)?.clone()])
}

/// Inference drops nothing.
pub(super) fn dropout(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let ratio = call.optional(1).map_or(Some(call.float("ratio", 0.5)), Value::uniform);
    if call.optional(2).is_some_and(|training| training.uniform() != Some(0.0)) && ratio != Some(0.0) {
        return Err(NodeError::Unsupported("dropout in training"));
    }
    let kept = Value::scalar(Element::Bool, 1.0);
    Ok(vec![x.clone(), low.broadcast(&kept, &x.shape)?])
}

/// Between `min` and `max`, either of which may be left out; attributes before version 11.
pub(super) fn clip(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let mut made = call.input(0)?.clone();
    let bounds = [("min", 1, Binary::Max), ("max", 2, Binary::Min)];
    for (name, index, binary) in bounds {
        let attribute = call.attribute(name).map(|_| Value::scalar(made.element, call.float(name, 0.0)));
        if let Some(bound) = call.optional(index).or(attribute.as_ref()) {
            made = low.binary(binary, &made, bound)?;
        }
    }
    Ok(vec![made])
}

impl Lowering<'_> {
    /// Towards zero; integers as they are.
    pub(super) fn truncate(&mut self, x: &Value) -> Made {
        if !x.element.is_float() {
            return Ok(x.clone());
        }
        let size = self.unary(Unary::Abs, x)?;
        let (floor, sign) = (self.unary(Unary::Floor, &size)?, self.unary(Unary::Sign, x)?);
        self.mul(&floor, &sign)
    }
}

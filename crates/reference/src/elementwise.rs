//! Operations on single elements.

use shoal_graph::{Binary, DType, Unary};

use crate::{
    Operand,
    shape::{indices, position, stretched},
};

pub(crate) fn unary(unary: Unary, dtype: DType, x: f64) -> f64 {
    match unary {
        Unary::Neg if dtype == DType::I32 => wrapped(-x),
        Unary::Abs if dtype == DType::I32 => wrapped(x.abs()),
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x > 0.0 => 1.0,
        Unary::Sign if x < 0.0 => -1.0,
        Unary::Sign => x,
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sqrt if dtype == DType::I32 => x.max(0.0).sqrt().floor(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Erf => libm::erf(x),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Relu if x > 0.0 => x,
        Unary::Relu => 0.0,
    }
}

pub(crate) fn binary(binary: Binary, a: Operand<'_>, b: Operand<'_>, made: &[u32]) -> Vec<f64> {
    let of = of(a.dtype);
    indices(made)
        .map(|index| of(binary, a.data[stretched(a.shape, &index)], b.data[stretched(b.shape, &index)]))
        .collect()
}

/// What the operation makes of two elements of that type.
pub(crate) fn of(dtype: DType) -> fn(Binary, f64, f64) -> f64 {
    if dtype == DType::I32 { integers } else { floats }
}

pub(crate) fn choose(condition: Operand<'_>, a: Operand<'_>, b: Operand<'_>, made: &[u32]) -> Vec<f64> {
    indices(made)
        .map(|index| {
            let chosen = if condition.data[stretched(condition.shape, &index)] == 0.0 { b } else { a };
            chosen.data[stretched(chosen.shape, &index)]
        })
        .collect()
}

/// x·multiplier / 2^shift rounded half away from zero, within the range. The product may have more bits than an f64.
pub(crate) fn requantize(
    shift: u32,
    [low, high]: [i32; 2],
    x: Operand<'_>,
    multiplier: Operand<'_>,
    made: &[u32],
) -> Vec<f64> {
    let one = |x: f64, multiplier: f64| {
        let product = i128::from(x as i64) * i128::from(multiplier as i64);
        let half = 1i128 << (shift - 1);
        let rounded = ((product.abs() + half) / (half * 2)) * product.signum();
        rounded.clamp(low.into(), high.into()) as f64
    };
    indices(made)
        .map(|index| one(x.data[position(x.shape, &index)], multiplier.data[stretched(multiplier.shape, &index)]))
        .collect()
}

pub(crate) fn cast(from: DType, to: DType, x: f64) -> f64 {
    let is_float = from == DType::F32;
    match to {
        DType::F32 => x,
        DType::I32 => f64::from(x as i32),
        DType::I8 if is_float => f64::from(x as i8),
        DType::U8 if is_float => f64::from(x as u8),
        DType::I8 => f64::from(x as i32 as i8),
        DType::U8 => f64::from(x as i32 as u8),
    }
}

fn floats(binary: Binary, a: f64, b: f64) -> f64 {
    match binary {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::And | Binary::Or | Binary::Xor => unreachable!("they take integers alone"),
        _ => compared(binary, a, b),
    }
}

fn integers(binary: Binary, a: f64, b: f64) -> f64 {
    let (x, y) = (a as i32, b as i32);
    match binary {
        Binary::Add => f64::from(x.wrapping_add(y)),
        Binary::Sub => f64::from(x.wrapping_sub(y)),
        Binary::Mul => f64::from(x.wrapping_mul(y)),
        Binary::Div if y == 0 => 0.0,
        Binary::Div => f64::from(x.wrapping_div(y)),
        Binary::And => f64::from(x & y),
        Binary::Or => f64::from(x | y),
        Binary::Xor => f64::from(x ^ y),
        Binary::Pow => unreachable!("it takes floats alone"),
        _ => compared(binary, a, b),
    }
}

fn compared(binary: Binary, a: f64, b: f64) -> f64 {
    match binary {
        Binary::Max if b > a => b,
        Binary::Min if b < a => b,
        Binary::Max | Binary::Min => a,
        Binary::Less => f64::from(u8::from(a < b)),
        Binary::LessEqual => f64::from(u8::from(a <= b)),
        Binary::Equal => f64::from(u8::from(a == b)),
        _ => unreachable!("these compare"),
    }
}

/// A whole number as the i32 of its low bits.
pub(crate) fn wrapped(x: f64) -> f64 {
    f64::from(x as i64 as i32)
}

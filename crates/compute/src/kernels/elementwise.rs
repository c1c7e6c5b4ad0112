//! Operations on single elements, over slices of one length: loops that the compiler turns into vectors.

use shoal_graph::{Binary, Unary};

use super::{functions, math};

fn map<A: Copy, Y>(x: &[A], y: &mut [Y], f: impl Fn(A) -> Y) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*x);
    }
}

fn zip<A: Copy, Y>(a: &[A], b: &[A], y: &mut [Y], f: impl Fn(A, A) -> Y) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = f(*a, *b);
    }
}

/// One operation on floats.
pub(crate) fn unary_f32(unary: Unary, x: &[f32], y: &mut [f32]) {
    match unary {
        Unary::Neg => map(x, y, |x| -x),
        Unary::Abs => map(x, y, f32::abs),
        Unary::Sign => map(x, y, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x
            }
        }),
        Unary::Floor => map(x, y, f32::floor),
        Unary::Ceil => map(x, y, f32::ceil),
        Unary::Round => map(x, y, f32::round_ties_even),
        Unary::Sqrt => map(x, y, f32::sqrt),
        Unary::Reciprocal => map(x, y, |x| 1.0 / x),
        Unary::Exp => map(x, y, math::exp),
        Unary::Log => map(x, y, math::log),
        Unary::Sin => map(x, y, functions::sin),
        Unary::Cos => map(x, y, functions::cos),
        Unary::Tanh => map(x, y, functions::tanh),
        Unary::Erf => map(x, y, functions::erf),
        Unary::Sigmoid => map(x, y, functions::sigmoid),
        Unary::Relu => map(x, y, |x| if x > 0.0 { x } else { 0.0 }),
    }
}

/// One operation on integers; inference lets no other through.
pub(crate) fn unary_i32(unary: Unary, x: &[i32], y: &mut [i32]) {
    match unary {
        Unary::Neg => map(x, y, i32::wrapping_neg),
        Unary::Abs => map(x, y, i32::wrapping_abs),
        Unary::Sign => map(x, y, i32::signum),
        // Exact: an f64 holds any i32, and its root is rounded once, never up to a whole number.
        Unary::Sqrt => map(x, y, |x| f64::from(x.max(0)).sqrt() as i32),
        _ => unreachable!("{} takes floats alone", unary.name()),
    }
}

/// One operation on two tensors of floats that makes floats.
pub(crate) fn binary_f32(binary: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    match binary {
        Binary::Add => zip(a, b, y, |a, b| a + b),
        Binary::Sub => zip(a, b, y, |a, b| a - b),
        Binary::Mul => zip(a, b, y, |a, b| a * b),
        Binary::Div => zip(a, b, y, |a, b| a / b),
        Binary::Max => zip(a, b, y, |a, b| if b > a { b } else { a }),
        Binary::Min => zip(a, b, y, |a, b| if b < a { b } else { a }),
        Binary::Pow => zip(a, b, y, functions::pow),
        _ => unreachable!("{} makes integers", binary.name()),
    }
}

/// One operation on two tensors of integers.
pub(crate) fn binary_i32(binary: Binary, a: &[i32], b: &[i32], y: &mut [i32]) {
    match binary {
        Binary::Add => zip(a, b, y, i32::wrapping_add),
        Binary::Sub => zip(a, b, y, i32::wrapping_sub),
        Binary::Mul => zip(a, b, y, i32::wrapping_mul),
        Binary::Div => zip(a, b, y, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) }),
        Binary::Max => zip(a, b, y, i32::max),
        Binary::Min => zip(a, b, y, i32::min),
        Binary::And => zip(a, b, y, |a, b| a & b),
        Binary::Or => zip(a, b, y, |a, b| a | b),
        Binary::Xor => zip(a, b, y, |a, b| a ^ b),
        Binary::Less | Binary::LessEqual | Binary::Equal => compare(binary, a, b, y),
        Binary::Pow => unreachable!("pow takes floats alone"),
    }
}

/// A comparison: 1 where it holds, else 0.
pub(crate) fn compare<A: Copy + PartialOrd>(binary: Binary, a: &[A], b: &[A], y: &mut [i32]) {
    match binary {
        Binary::Less => zip(a, b, y, |a, b| i32::from(a < b)),
        Binary::LessEqual => zip(a, b, y, |a, b| i32::from(a <= b)),
        Binary::Equal => zip(a, b, y, |a, b| i32::from(a == b)),
        _ => unreachable!("{} is no comparison", binary.name()),
    }
}

/// a where the condition is not 0, else b.
pub(crate) fn select<T: Copy>(condition: &[i32], a: &[T], b: &[T], y: &mut [T]) {
    for (((y, condition), a), b) in y.iter_mut().zip(condition).zip(a).zip(b) {
        *y = if *condition != 0 { *a } else { *b };
    }
}

/// A type that others are cast to.
pub(crate) trait Number: Copy {
    /// Of an integer type: towards zero, the nearest that there is, 0 for NaN.
    fn of_f32(x: f32) -> Self;
    /// A float rounded to nearest, a byte of the low bits.
    fn of_i32(x: i32) -> Self;
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn of_f32(x: f32) -> Self {
                x as $number
            }

            fn of_i32(x: i32) -> Self {
                x as $number
            }
        }
    )*};
}

number!(f32, i32, i8, u8);

/// Between types.
pub(crate) fn cast<A: Copy, B>(x: &[A], y: &mut [B], to: impl Fn(A) -> B) {
    map(x, y, to);
}

//! The cases of `make_vectors.py` at ties, at zeros and where a slope is infinite.

use shoal_graph::{Binary, Op, Reduction, Unary, Window2d};

use crate::common::{Case, Input, Range, case, f32_in, one};

fn given(shape: &[u32], numbers: &'static [f64]) -> Input {
    f32_in(shape, Range::Given(numbers))
}

pub(crate) fn cases() -> Vec<(String, Case)> {
    reductions().into_iter().chain(functions()).map(|(name, case)| (format!("point.{name}"), case)).collect()
}

fn reductions() -> Vec<(&'static str, Case)> {
    let zeros = given(&[4, 3], &[2.0, 0.0, 3.0, 0.0, 2.0, 0.0, 2.0, 3.0, 4.0, 0.0, 0.0, -0.0]);
    let ties = || given(&[3, 3], &[2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
    let over = |axes: &[u32], reduction, input| one(Op::Reduce { reduction, axes: axes.to_vec() }, &[input]);
    let image = given(&[1, 1, 3, 3], &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let pool = Op::MaxPool2d { window: Window2d::DENSE, kernel_height: 2, kernel_width: 2 };
    vec![
        ("reduce_product", over(&[1], Reduction::Product, zeros)),
        ("reduce_product_all", over(&[0, 1], Reduction::Product, given(&[2, 2], &[2.0, 3.0, 0.0, 5.0]))),
        ("reduce_max", over(&[1], Reduction::Max, ties())),
        ("reduce_min", over(&[1], Reduction::Min, ties())),
        ("max_pool2d", one(pool, &[image])),
    ]
}

fn functions() -> Vec<(&'static str, Case)> {
    let pairs = || [given(&[5], &[1.0, 1.0, 2.0, 0.0, -1.0]), given(&[5], &[1.0, 2.0, 1.0, -0.0, -1.0])];
    let stretched = [given(&[3], &[1.0, 1.0, 2.0]), given(&[], &[1.0])];
    let powers = [given(&[5], &[0.0; 5]), given(&[5], &[2.0, 1.0, 0.5, 3.0, 1.5])];
    let quotients = [given(&[2], &[1.0, -1.0]), given(&[2], &[0.0, 0.0])];
    let of = |unary, numbers: &'static [f64]| one(Op::Unary(unary), &[given(&[numbers.len() as u32], numbers)]);
    vec![
        ("max", one(Binary::Max.op(), &pairs())),
        ("min", one(Binary::Min.op(), &pairs())),
        ("max_broadcast", one(Binary::Max.op(), &stretched)),
        ("pow", one(Binary::Pow.op(), &powers)),
        (
            "pow_inverse",
            case(&[given(&[], &[0.0])], |b, x| {
                let exponent = b.scalar(-1.0)?;
                b.binary(Binary::Pow, x[0], exponent)
            }),
        ),
        ("sqrt", of(Unary::Sqrt, &[0.0, 4.0])),
        ("log", of(Unary::Log, &[0.0, 1.0])),
        ("reciprocal", of(Unary::Reciprocal, &[0.0, 2.0])),
        ("div", one(Binary::Div.op(), &quotients)),
        ("relu", of(Unary::Relu, &[0.0, -0.0, 1.0])),
        ("sign", of(Unary::Sign, &[0.0, 2.0])),
        ("softplus", case(&[given(&[2], &[0.0, 1.0])], |b, x| b.softplus(x[0]))),
    ]
}

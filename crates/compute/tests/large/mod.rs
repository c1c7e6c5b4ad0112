//! Graphs of about as many nodes as a graph may have, each hard for another part of planning.

#![allow(clippy::unwrap_used, unreachable_pub)] // of tests and an example

use shoal_graph::{Binary, Graph, GraphBuilder, Op, TensorType, Unary, ValueId, Window2d, limits::MAX_NODES};

/// A graph of as many nodes as there may be: `build` adds some, given how many it may add, until there is no room.
fn large(name: &str, mut build: impl FnMut(&mut GraphBuilder, &mut Vec<ValueId>, usize)) -> (String, Graph) {
    let mut b = GraphBuilder::new();
    let mut values = vec![b.input("x", TensorType::f32([2, 2])).unwrap()];
    let mut round = 0;
    while values.len() + 8 < MAX_NODES {
        build(&mut b, &mut values, round);
        round += 1;
    }
    b.output("last", values[values.len() - 1]);
    (name.to_owned(), b.finish().unwrap())
}

fn last(values: &[ValueId]) -> ValueId {
    values[values.len() - 1]
}

/// By name.
pub fn graphs() -> Vec<(String, Graph)> {
    let apply = |b: &mut GraphBuilder, op: Op, inputs: &[ValueId]| b.apply(op, inputs).unwrap();
    vec![
        large("a chain", |b, values, _| values.push(b.unary(Unary::Neg, last(values)).unwrap())),
        large("all read the first", |b, values, _| values.push(b.add(last(values), values[0]).unwrap())),
        large("each of another shape", |b, values, round| {
            let shape = [1 + round as u32 % 4096, 1 + round as u32 / 4096, 2, 2];
            let wide = apply(b, Op::Broadcast { shape: shape.to_vec() }, &[values[0]]);
            values.push(wide);
        }),
        large("products between loops", |b, values, _| {
            let sum = b.add(last(values), values[0]).unwrap();
            let product = b.mat_mul(sum, values[0], false, false).unwrap();
            values.extend([sum, product]);
        }),
        large("attention that is none", |b, values, _| {
            let scores = b.mat_mul(last(values), values[0], false, true).unwrap();
            let scaled = b.add(scores, values[0]).unwrap();
            let weights = apply(b, Op::Softmax, &[scaled]);
            let context = b.mat_mul(weights, weights, false, false).unwrap();
            values.extend([scores, scaled, weights, context]);
        }),
        large("attention", |b, values, _| {
            let scores = b.mat_mul(last(values), values[0], false, true).unwrap();
            let scaled = b.add(scores, values[0]).unwrap();
            let weights = apply(b, Op::Softmax, &[scaled]);
            let context = b.mat_mul(weights, values[0], false, false).unwrap();
            values.extend([scores, scaled, weights, context]);
        }),
        large("sums of bias that follow no convolution", |b, values, round| {
            let image = if round == 0 { b.reshape(values[0], &[1, 4, 1, 1]).unwrap() } else { last(values) };
            let weight = b.zeros(&[4, 4, 1, 1]).unwrap();
            let bias = b.reshape(values[0], &[4, 1, 1]).unwrap();
            let conv = apply(b, Op::Conv2d { window: Window2d::DENSE, groups: 1 }, &[image, weight]);
            let sum = b.add(conv, bias).unwrap();
            values.extend([image, weight, weight, bias, conv, sum]);
        }),
        large("floats and integers by turns", |b, values, _| {
            let less = b.binary(Binary::Less, last(values), values[0]).unwrap();
            let chosen = b.select(less, last(values), values[0]).unwrap();
            values.extend([less, chosen]);
        }),
    ]
}

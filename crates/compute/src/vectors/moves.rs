//! What moves, converts and places elements, in every type that may.

use shoal_graph::{Binary, DType, Graph, GraphBuilder, Literal, Op, TensorType, ValueId};

use super::graphs::apply;

const TYPES: [(&str, DType); 4] = [("f32", DType::F32), ("i32", DType::I32), ("i8", DType::I8), ("u8", DType::U8)];

pub(super) fn all() -> Vec<(&'static str, Graph)> {
    vec![("moves", finish(moves)), ("casts", finish(casts)), ("arg_max_ties", finish(arg_max))]
}

fn finish(build: impl FnOnce(&mut GraphBuilder)) -> Graph {
    let mut builder = GraphBuilder::new();
    build(&mut builder);
    builder.finish().expect("a vector's graph is well-formed")
}

fn input<const N: usize>(b: &mut GraphBuilder, name: &str, dtype: DType, shape: [u32; N]) -> ValueId {
    b.input(name, TensorType::new(dtype, shape)).expect("a vector's shapes are within the limits")
}

fn moves(b: &mut GraphBuilder) {
    // Indices up to 20, some of them twice.
    let indices = input(b, "indices", DType::I32, [31]);
    for (name, dtype) in TYPES {
        let x = input(b, name, dtype, [21, 5, 7]);
        let output = |b: &mut GraphBuilder, operation: &str, made| b.output(format!("{name}_{operation}"), made);
        let made = apply(b, Op::Transpose { axes: vec![2, 0, 1] }, &[x]);
        output(b, "transpose", made);
        let backwards = Op::Slice { starts: vec![20, 1, 0], steps: vec![-3, 2, 1], shape: vec![7, 2, 7] };
        let slice = apply(b, backwards, &[x]);
        output(b, "slice", slice);
        let wide = apply(b, Op::Broadcast { shape: vec![2, 7, 2, 7] }, &[slice]);
        output(b, "broadcast", wide);
        let middle = apply(b, Op::Slice { starts: vec![4, 0, 0], steps: vec![1, 1, 1], shape: vec![6, 5, 7] }, &[x]);
        let made = apply(b, Op::Concat { axis: 0 }, &[x, middle, x]);
        output(b, "concat", made);
        let gathered = apply(b, Op::Gather { axis: 0 }, &[x, indices]);
        output(b, "gather", gathered);
        if matches!(dtype, DType::F32 | DType::I32) {
            let pad = Op::Pad { low: vec![1, 0, 2], high: vec![0, 3, 1], interior: vec![0, 2, 0], value: -2.0 };
            let made = apply(b, pad, &[x]);
            output(b, "pad", made);
        }
        if dtype == DType::F32 {
            let made = apply(b, Op::ScatterAdd { axis: 0, size: 21 }, &[gathered, indices]);
            output(b, "scatter_add", made);
        }
    }
    let iota = apply(b, Op::Iota { axis: 1, shape: vec![3, 4, 2] }, &[]);
    b.output("iota", iota);
}

/// From every type to every type, with numbers beyond all of them.
fn casts(b: &mut GraphBuilder) {
    for (from, dtype) in TYPES {
        let x = input(b, from, dtype, [9, 37]);
        let x = match dtype {
            DType::F32 => scaled(b, x, Literal::scalar(3e9)),
            DType::I32 => scaled(b, x, Literal::i32([], &[214_748_364])),
            DType::I8 | DType::U8 => x,
        };
        for (to, dtype) in TYPES {
            let made = apply(b, Op::Cast { to: dtype }, &[x]);
            b.output(format!("{from}_{to}"), made);
        }
        if dtype == DType::F32 {
            // Within the bytes and a little beyond.
            let near = scaled(b, x, Literal::scalar(1e-7));
            for (to, dtype) in &TYPES[1..] {
                let made = apply(b, Op::Cast { to: *dtype }, &[near]);
                b.output(format!("near_{to}"), made);
            }
        }
    }
}

fn scaled(b: &mut GraphBuilder, x: ValueId, factor: Literal) -> ValueId {
    let factor = apply(b, Op::Constant(factor), &[]);
    apply(b, Op::Binary(Binary::Mul), &[x, factor])
}

/// Over every axis, of numbers many of which are equal.
fn arg_max(b: &mut GraphBuilder) {
    let x = input(b, "x", DType::I32, [19, 23, 17]);
    let x = apply(b, Op::Cast { to: DType::F32 }, &[x]);
    for axis in 0..3 {
        let made = apply(b, Op::ArgMax { axis }, &[x]);
        b.output(format!("axis_{axis}"), made);
    }
}

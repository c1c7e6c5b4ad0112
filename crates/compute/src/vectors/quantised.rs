//! Graphs of integers alone, as a quantised model has them: products of bytes, fixed-point scaling, tables, norms and
//! attention without a float. Integers of the inputs are small; where large ones are needed, the graph multiplies them.

use shoal_graph::{
    Axis2d, Binary, DType, Graph, GraphBuilder, GraphError, Literal, Op, Reduction, TensorType, Unary, ValueId,
    Window2d,
};

type Made = Result<ValueId, GraphError>;

pub(super) fn all() -> Vec<(&'static str, Graph)> {
    vec![
        ("requantize", finish(requantisations)),
        ("mat_mul_integer_k515", finish(products)),
        ("conv2d_integer", finish(convolutions)),
        ("quantised_dense_net", finish(dense_net)),
        ("quantised_conv_net", finish(conv_net)),
        ("quantised_transformer_block", finish(transformer_block)),
    ]
}

/// Every shift, with products of all lengths and signs, ties among them, to every type; and roots.
fn requantisations(b: &mut GraphBuilder) -> Result<(), GraphError> {
    let (x, m) = (integers(b, "x", &[21, 40])?, integers(b, "m", &[1, 40])?);
    let (x, m) = (whole(b, Binary::Sub, x, 10)?, whole(b, Binary::Sub, m, 10)?);
    let long = |b: &mut GraphBuilder, x: ValueId, factor: i32| whole(b, Binary::Mul, x, factor);
    let (wide, factor) = (long(b, x, 214_748_364)?, long(b, m, 107_374_182)?);
    for shift in 1..=62 {
        for (name, to, low, high) in
            [("i32", DType::I32, i32::MIN, i32::MAX), ("i8", DType::I8, -128, 127), ("u8", DType::U8, 0, 200)]
        {
            let made = b.apply(Op::Requantize { shift, low, high, to }, &[wide, factor])?;
            b.output(format!("{name}_{shift}"), made);
        }
        let short = b.apply(Op::Requantize { shift, low: -90, high: 91, to: DType::I32 }, &[x, m])?;
        b.output(format!("short_{shift}"), short);
    }
    let root = b.unary(Unary::Sqrt, wide)?;
    b.output("root", root);
    Ok(())
}

/// Both signs, both layouts, in batches, with edges that no tile divides.
fn products(b: &mut GraphBuilder) -> Result<(), GraphError> {
    for (sign, dtype) in [("i8", DType::I8), ("u8", DType::U8)] {
        let left = b.input(format!("a_{sign}"), TensorType::new(dtype, [2, 13, 515]))?;
        for (layout, trans_b, shape) in [("n", false, [2, 515, 37]), ("t", true, [2, 37, 515])] {
            let right = b.input(format!("b_{sign}_{layout}"), TensorType::new(DType::I8, shape))?;
            let made = b.apply(Op::MatMulInteger { trans_b }, &[left, right])?;
            b.output(format!("{sign}_{layout}"), made);
        }
    }
    Ok(())
}

fn convolutions(b: &mut GraphBuilder) -> Result<(), GraphError> {
    let crooked = Window2d {
        height: Axis2d { stride: 2, dilation: 1, low: 0, high: 2 },
        width: Axis2d { stride: 1, dilation: 2, low: 1, high: 0 },
    };
    type Case = (&'static str, [u32; 4], [u32; 4], Window2d, u32);
    let cases: [Case; 5] = [
        ("padded", [2, 5, 9, 11], [7, 5, 3, 3], Window2d::square(1, 1), 1),
        ("strided_k1152", [1, 128, 7, 7], [9, 128, 3, 3], Window2d::square(2, 2), 1),
        ("pointwise", [2, 9, 6, 7], [10, 9, 1, 1], Window2d::DENSE, 1),
        ("depthwise", [2, 9, 11, 10], [9, 1, 3, 3], Window2d::square(1, 1), 9),
        ("groups_dilated_strided", [2, 6, 13, 12], [10, 3, 3, 2], crooked, 2),
    ];
    for (name, image, kernel, window, groups) in cases {
        let weight = b.input(format!("weight_{name}"), TensorType::new(DType::I8, kernel))?;
        for (sign, dtype) in [("i8", DType::I8), ("u8", DType::U8)] {
            let x = b.input(format!("{sign}_{name}"), TensorType::new(dtype, image))?;
            let y = b.apply(Op::Conv2dInteger { window, groups }, &[x, weight])?;
            b.output(format!("{sign}_{name}"), y);
        }
    }
    Ok(())
}

fn dense_net(b: &mut GraphBuilder) -> Result<(), GraphError> {
    let x = bytes(b, "x", &[9, 70])?;
    let hidden = dense(b, "first", x, 41)?;
    let hidden = scaled(b, "first", hidden, &[41], 40, [0, 127], DType::I8)?;
    let logits = dense(b, "second", hidden, 13)?;
    let logits = scaled(b, "second", logits, &[13], 33, [-32_767, 32_767], DType::I32)?;
    b.output("logits", logits);
    Ok(())
}

fn conv_net(b: &mut GraphBuilder) -> Result<(), GraphError> {
    let image = b.input("image", TensorType::new(DType::U8, [3, 3, 12, 12]))?;
    let convolve = |b: &mut GraphBuilder, name: &str, x: ValueId, kernel: [u32; 4], window: Window2d, groups: u32| {
        let weight = bytes(b, name, &kernel)?;
        let made = b.apply(Op::Conv2dInteger { window, groups }, &[x, weight])?;
        let bias = integers(b, &format!("{name}.bias"), &[kernel[0], 1, 1])?;
        let made = b.add(made, bias)?;
        scaled(b, name, made, &[kernel[0], 1, 1], 38, [0, 127], DType::I8)
    };
    let x = convolve(b, "first", image, [8, 3, 3, 3], Window2d::square(1, 1), 1)?;
    let x = b.apply(Op::MaxPool2d { window: Window2d::square(2, 0), kernel_height: 2, kernel_width: 2 }, &[x])?;
    let x = convolve(b, "depthwise", x, [8, 1, 3, 3], Window2d::square(1, 1), 8)?;
    let x = convolve(b, "grouped", x, [12, 4, 1, 1], Window2d::DENSE, 2)?;
    // The mean of each plane.
    let x = b.cast(x, DType::I32)?;
    let x = b.reduce(Reduction::Sum, x, &[2, 3])?;
    let x = b.reshape(x, &[3, 12])?;
    let x = scaled(b, "mean", x, &[], 33, [-127, 127], DType::I8)?;
    let logits = dense(b, "last", x, 10)?;
    b.output("logits", logits);
    Ok(())
}

/// Two sequences of 10 words, 2 heads of 8: embedding, attention under a mask, norms, a table of 4096, a mean and its root.
fn transformer_block(b: &mut GraphBuilder) -> Result<(), GraphError> {
    const DIM: u32 = 16;
    let (words, mask) = (integers(b, "words", &[2, 10])?, integers(b, "mask", &[2, 10])?);
    let mask = whole(b, Binary::Less, mask, 15)?;
    let table = bytes(b, "table", &[21, DIM])?;
    let rows = b.embedding(table, words)?;
    let rows = b.cast(rows, DType::I32)?;
    let factors = integers(b, "row_multipliers", &[21, 1])?;
    let factors = whole(b, Binary::Mul, factors, 100_000_007)?;
    let factors = b.embedding(factors, words)?;
    let x = b.apply(Op::Requantize { shift: 24, low: -32_767, high: 32_767, to: DType::I32 }, &[rows, factors])?;
    let x = norm(b, "norm1", x)?;
    let mut heads = Vec::new();
    for name in ["query", "key", "value"] {
        let made = dense(b, name, x, DIM)?;
        let made = scaled(b, name, made, &[DIM], 40, [-127, 127], DType::I8)?;
        let split = b.reshape(made, &[2, 10, 2, 8])?;
        heads.push(b.transpose(split, &[0, 2, 1, 3])?);
    }
    let scores = b.apply(Op::MatMulInteger { trans_b: true }, &[heads[0], heads[1]])?;
    let greatest = b.reduce(Reduction::Max, scores, &[3])?;
    let below = b.sub(greatest, scores)?;
    let unseen = constant(b, i32::MAX)?;
    let mask = b.reshape(mask, &[2, 1, 1, 10])?;
    let below = b.select(mask, below, unseen)?;
    let place = scaled(b, "scores", below, &[], 36, [0, 255], DType::I32)?;
    let exponentials = b.input("exponentials", TensorType::new(DType::U8, [256]))?;
    let weights = b.apply(Op::Gather { axis: 0 }, &[exponentials, place])?;
    let seen = b.apply(Op::MatMulInteger { trans_b: false }, &[weights, heads[2]])?;
    let weights = b.cast(weights, DType::I32)?;
    let total = b.reduce(Reduction::Sum, weights, &[3])?;
    let seen = whole(b, Binary::Mul, seen, 64)?;
    let seen = b.div(seen, total)?;
    let seen = scaled(b, "seen", seen, &[], 34, [-127, 127], DType::I8)?;
    let joined = b.transpose(seen, &[0, 2, 1, 3])?;
    let joined = b.reshape(joined, &[2, 10, DIM])?;
    let joined = dense(b, "joined", joined, DIM)?;
    let joined = scaled(b, "joined", joined, &[DIM], 36, [-32_767, 32_767], DType::I32)?;
    let own = b.cast(x, DType::I32)?;
    let own = scaled(b, "own", own, &[], 24, [-32_767, 32_767], DType::I32)?;
    let x = b.add(joined, own)?;
    let x = norm(b, "norm2", x)?;
    let wide = dense(b, "up", x, 40)?;
    let place = scaled(b, "up", wide, &[40], 36, [-2048, 2047], DType::I32)?;
    let place = whole(b, Binary::Add, place, 2048)?;
    let gelu = bytes(b, "gelu", &[4096])?;
    let wide = b.apply(Op::Gather { axis: 0 }, &[gelu, place])?;
    let narrow = dense(b, "down", wide, DIM)?;
    let narrow = scaled(b, "down", narrow, &[DIM], 36, [-16_383, 16_383], DType::I32)?;
    let pooled = b.reduce(Reduction::Sum, narrow, &[1])?;
    let pooled = norm(b, "norm3", pooled)?;
    b.output("pooled", pooled);
    Ok(())
}

/// Layer norm over the last axis, of 16 elements, to bytes.
fn norm(b: &mut GraphBuilder, name: &str, x: ValueId) -> Made {
    let last = b.shape(x).len() as u32 - 1;
    let sum = b.reduce(Reduction::Sum, x, &[last])?;
    let times = whole(b, Binary::Mul, x, 16)?;
    let centred = b.sub(times, sum)?;
    let sixteenth = constant(b, 1 << 26)?;
    let centred =
        b.apply(Op::Requantize { shift: 30, low: -32_767, high: 32_767, to: DType::I32 }, &[centred, sixteenth])?;
    let square = b.mul(centred, centred)?;
    let square = b.apply(Op::Requantize { shift: 30, low: 0, high: i32::MAX, to: DType::I32 }, &[square, sixteenth])?;
    let variance = b.reduce(Reduction::Sum, square, &[last])?;
    let root = b.unary(Unary::Sqrt, variance)?;
    let long = whole(b, Binary::Mul, centred, 1 << 15)?;
    let standard = b.div(long, root)?;
    let width = b.shape(x)[last as usize];
    let bias = integers(b, &format!("{name}.bias"), &[width])?;
    let biased = b.add(standard, bias)?;
    scaled(b, name, biased, &[width], 41, [-127, 127], DType::I8)
}

/// A product with weights \[units, width of x\], and a bias.
fn dense(b: &mut GraphBuilder, name: &str, x: ValueId, units: u32) -> Made {
    let shape = b.shape(x).to_vec();
    let (rows, width) = (shape[..shape.len() - 1].iter().product(), shape[shape.len() - 1]);
    let weight = bytes(b, name, &[units, width])?;
    let bias = integers(b, &format!("{name}.bias"), &[units])?;
    let flat = b.reshape(x, &[rows, width])?;
    let made = b.apply(Op::MatMulInteger { trans_b: true }, &[flat, weight])?;
    let made = b.reshape(made, &[&shape[..shape.len() - 1], &[units]].concat())?;
    b.add(made, bias)
}

/// x by multipliers of that shape, of up to 31 bits and of both signs.
fn scaled(
    b: &mut GraphBuilder,
    name: &str,
    x: ValueId,
    shape: &[u32],
    shift: u32,
    [low, high]: [i32; 2],
    to: DType,
) -> Made {
    let multiplier = integers(b, &format!("{name}.multiplier"), shape)?;
    let multiplier = whole(b, Binary::Mul, multiplier, 90_000_049)?;
    let multiplier = whole(b, Binary::Add, multiplier, 300_000_007)?;
    b.apply(Op::Requantize { shift, low, high, to }, &[x, multiplier])
}

fn whole(b: &mut GraphBuilder, binary: Binary, x: ValueId, number: i32) -> Made {
    let number = constant(b, number)?;
    b.binary(binary, x, number)
}

fn constant(b: &mut GraphBuilder, number: i32) -> Made {
    b.apply(Op::Constant(Literal::integer(number)), &[])
}

fn integers(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Made {
    b.input(name, TensorType::i32(shape))
}

fn bytes(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Made {
    b.input(name, TensorType::new(DType::I8, shape))
}

fn finish(build: impl FnOnce(&mut GraphBuilder) -> Result<(), GraphError>) -> Graph {
    let mut b = GraphBuilder::new();
    build(&mut b).expect("a vector's shapes go together");
    b.finish().expect("a vector's graph is well-formed")
}

//! Graphs that every backend is tested on: each differentiable operation with its gradient.

use shoal_graph::{
    Axis2d, Binary, DType, Graph, GraphBuilder, GraphError, Op, Reduction, TensorType, Unary, ValueId, Window2d,
    autodiff,
};

pub type Build = fn(&mut GraphBuilder) -> Result<ValueId, GraphError>;

/// An f32 input.
pub fn f(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Result<ValueId, GraphError> {
    b.input(name, TensorType::f32(shape))
}

fn mat_mul(b: &mut GraphBuilder, trans_a: bool, trans_b: bool) -> Result<ValueId, GraphError> {
    let a = f(b, "a", if trans_a { &[5, 3] } else { &[3, 5] })?;
    let w = f(b, "w", if trans_b { &[4, 5] } else { &[5, 4] })?;
    b.mat_mul(a, w, trans_a, trans_b)
}

fn batched(b: &mut GraphBuilder, trans_a: bool, trans_b: bool) -> Result<ValueId, GraphError> {
    let a = f(b, "a", if trans_a { &[2, 3, 5, 6] } else { &[2, 3, 6, 5] })?;
    let w = f(b, "w", if trans_b { &[2, 3, 7, 5] } else { &[2, 3, 5, 7] })?;
    b.apply(Op::MatMul { trans_a, trans_b }, &[a, w])
}

fn conv(b: &mut GraphBuilder, stride: u32, padding: u32) -> Result<ValueId, GraphError> {
    let (x, w) = (f(b, "x", &[2, 3, 6, 7])?, f(b, "w", &[4, 3, 3, 2])?);
    b.conv2d(x, w, None, Window2d::square(stride, padding), 1)
}

/// Steps, dilations and padding that differ on every side.
const CROOKED: Window2d = Window2d {
    height: Axis2d { stride: 2, dilation: 1, low: 0, high: 2 },
    width: Axis2d { stride: 1, dilation: 2, low: 1, high: 0 },
};

fn pool(b: &mut GraphBuilder, op: fn(Window2d) -> Op) -> Result<ValueId, GraphError> {
    let x = f(b, "x", &[2, 3, 5, 7])?;
    b.apply(op(CROOKED), &[x])
}

/// x², plus a number, so that functions which need it get what is above 0.
fn positive(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Result<ValueId, GraphError> {
    let x = f(b, name, shape)?;
    let square = b.mul(x, x)?;
    b.add_scalar(square, 0.3)
}

/// All functions of one number.
fn functions(b: &mut GraphBuilder) -> Result<ValueId, GraphError> {
    let x = f(b, "x", &[4, 9])?;
    let wide = b.scale(x, 3.0)?;
    let above_zero = b.mul(x, x)?;
    let above_zero = b.add_scalar(above_zero, 0.3)?;
    let mut sum = x;
    for unary in Unary::ALL {
        let needs_positive = matches!(unary, Unary::Sqrt | Unary::Log | Unary::Reciprocal);
        let made = b.unary(unary, if needs_positive { above_zero } else { wide })?;
        let made = b.scale(made, 0.1 + 0.05 * made.index() as f32)?;
        sum = b.add(sum, made)?;
    }
    Ok(sum)
}

/// All functions of two numbers that broadcast.
fn pairs(b: &mut GraphBuilder) -> Result<ValueId, GraphError> {
    let (x, y) = (positive(b, "x", &[3, 1, 5])?, positive(b, "y", &[4, 1])?);
    let mut sum = b.add(x, y)?;
    for binary in [Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min, Binary::Pow] {
        let made = b.binary(binary, x, y)?;
        sum = b.add(sum, made)?;
    }
    for binary in [Binary::Less, Binary::LessEqual, Binary::Equal] {
        let made = b.binary(binary, x, y)?;
        let chosen = b.select(made, x, y)?;
        let truth = b.cast(made, DType::F32)?;
        let chosen = b.add(chosen, truth)?;
        sum = b.add(sum, chosen)?;
    }
    Ok(sum)
}

/// Reductions over first, middle, last and all axes.
fn reductions(b: &mut GraphBuilder) -> Result<ValueId, GraphError> {
    let x = positive(b, "x", &[3, 4, 5])?;
    let mut sum = x;
    for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min] {
        for axes in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
            let made = b.reduce(reduction, x, axes)?;
            let made = b.scale(made, 0.2)?;
            sum = b.add(sum, made)?;
        }
    }
    Ok(sum)
}

/// Everything that moves elements.
fn moves(b: &mut GraphBuilder) -> Result<ValueId, GraphError> {
    let (x, table) = (f(b, "x", &[4, 6])?, f(b, "table", &[3, 5])?);
    let turned = b.transpose(x, &[1, 0])?;
    let cut = b.apply(Op::Slice { starts: vec![5, 0], steps: vec![-2, 3], shape: vec![3, 2] }, &[turned])?;
    let padded = b.apply(Op::Pad { low: vec![0, 1], high: vec![1, 0], interior: vec![0, 1], value: 0.5 }, &[cut])?;
    let labels = b.input("labels", TensorType::i32([4]))?;
    let rows = b.embedding(table, labels)?;
    let columns = b.apply(Op::Slice { starts: vec![0, 1], steps: vec![1, 1], shape: vec![4, 4] }, &[rows])?;
    let joined = b.apply(Op::Concat { axis: 0 }, &[padded, columns])?;
    let wide = b.apply(Op::Concat { axis: 1 }, &[joined, joined])?;
    let scattered = b.apply(Op::ScatterAdd { axis: 1, size: 3 }, &[columns, labels])?;
    let flat = b.reshape(scattered, &[12, 1])?;
    let flat = b.slice(flat, 0, 2, 8)?;
    let position = b.apply(Op::Iota { axis: 1, shape: vec![8, 8] }, &[])?;
    let position = b.cast(position, DType::F32)?;
    let stretched = b.broadcast(flat, &[8, 8])?;
    let product = b.mul(stretched, position)?;
    b.add(wide, product)
}

fn attention(b: &mut GraphBuilder) -> Result<ValueId, GraphError> {
    let (q, k, v) = (f(b, "q", &[2, 2, 5, 4])?, f(b, "k", &[2, 2, 7, 4])?, f(b, "v", &[2, 2, 7, 3])?);
    b.attention(q, k, v, 0.5, true)
}

/// One graph for each differentiable operation and attribute that matters.
pub const DIFFERENTIABLE: &[(&str, Build)] = &[
    ("mat_mul", |b| mat_mul(b, false, false)),
    ("mat_mul trans_a", |b| mat_mul(b, true, false)),
    ("mat_mul trans_b", |b| mat_mul(b, false, true)),
    ("mat_mul trans_a trans_b", |b| mat_mul(b, true, true)),
    ("batched mat_mul", |b| batched(b, false, false)),
    ("batched mat_mul trans_a", |b| batched(b, true, false)),
    ("batched mat_mul trans_b", |b| batched(b, false, true)),
    ("batched mat_mul trans_a trans_b", |b| batched(b, true, true)),
    ("dense", |b| {
        let (x, w, bias) = (f(b, "x", &[3, 4])?, f(b, "w", &[5, 4])?, f(b, "bias", &[5])?);
        b.dense(x, w, Some(bias))
    }),
    ("conv2d", |b| conv(b, 1, 0)),
    ("conv2d padded", |b| conv(b, 1, 2)),
    ("conv2d strided", |b| conv(b, 2, 1)),
    ("conv2d wide stride", |b| conv(b, 3, 0)),
    ("conv2d in groups, crooked", |b| {
        let (x, w, bias) = (f(b, "x", &[2, 4, 6, 7])?, f(b, "w", &[10, 2, 3, 2])?, f(b, "bias", &[10])?);
        b.conv2d(x, w, Some(bias), CROOKED, 2)
    }),
    ("conv2d depthwise", |b| {
        let (x, w) = (f(b, "x", &[2, 5, 6, 7])?, f(b, "w", &[5, 1, 3, 3])?);
        b.conv2d(x, w, None, Window2d::square(1, 1), 5)
    }),
    ("functions", functions),
    ("pairs", pairs),
    ("reductions", reductions),
    ("moves", moves),
    ("max_pool2d", |b| pool(b, |window| Op::MaxPool2d { window, kernel_height: 3, kernel_width: 2 })),
    ("sum_pool2d", |b| pool(b, |window| Op::SumPool2d { window, kernel_height: 3, kernel_width: 2 })),
    ("softmax", |b| {
        let x = f(b, "x", &[3, 2, 19])?;
        b.apply(Op::Softmax, &[x])
    }),
    ("add of one value twice", |b| {
        let x = f(b, "x", &[3, 4])?;
        b.add(x, x)
    }),
    ("layer_norm", |b| {
        let (x, w, bias) = (f(b, "x", &[3, 2, 8])?, f(b, "w", &[8])?, f(b, "bias", &[8])?);
        b.layer_norm(x, w, Some(bias), 1e-5)
    }),
    ("gelu", |b| {
        let x = f(b, "x", &[4, 9])?;
        b.gelu(x)
    }),
    ("causal attention", attention),
];

/// Larger shapes, where kernels split sums and work over blocks, chunks and workgroups.
pub const LARGE: &[(&str, Build)] = &[
    ("mat_mul k 1000", |b| {
        let (a, w) = (f(b, "a", &[66, 1000])?, f(b, "w", &[70, 1000])?);
        let y = b.mat_mul(a, w, false, true)?;
        b.scale(y, 0.1)
    }),
    ("conv2d of 40 samples", |b| {
        let (x, w, bias) = (f(b, "x", &[40, 5, 9, 9])?, f(b, "w", &[10, 5, 3, 3])?, f(b, "bias", &[10])?);
        let y = b.conv2d(x, w, Some(bias), Window2d::square(1, 1), 1)?;
        let y = b.unary(Unary::Relu, y)?;
        let axis = Axis2d { stride: 3, ..Axis2d::DENSE };
        let window = Window2d { height: axis, width: axis };
        b.apply(Op::MaxPool2d { window, kernel_height: 3, kernel_width: 3 }, &[y])
    }),
    ("sums of 5000", |b| {
        let (x, y) = (f(b, "x", &[3, 5000])?, f(b, "y", &[5000, 3])?);
        let rows = b.reduce(Reduction::Sum, x, &[1])?;
        let columns = b.reduce(Reduction::Sum, y, &[0])?;
        let both = b.mul(rows, columns)?;
        b.scale(both, 0.001)
    }),
];

/// The operation, flattened into logits for a cross-entropy; outputs the loss and the gradient of every f32 input.
pub fn with_gradients(build: Build) -> Graph {
    let mut b = GraphBuilder::new();
    let y = build(&mut b).unwrap();
    let shape = b.value_type(y).shape.clone();
    let rows = if shape.len() > 1 { shape[0] } else { 1 };
    let columns = shape.iter().product::<u32>() / rows;
    let logits = b.reshape(y, &[rows, columns]).unwrap();
    let targets = b.input("targets", TensorType::i32([rows])).unwrap();
    let loss = b.cross_entropy(logits, targets).unwrap();
    b.output("loss", loss);
    add_gradients(b, loss)
}

fn add_gradients(mut b: GraphBuilder, loss: ValueId) -> Graph {
    let is_float = |b: &GraphBuilder, value: ValueId| b.value_type(value).dtype == DType::F32;
    let wanted: Vec<(String, ValueId)> = b.inputs().iter().filter(|(_, value)| is_float(&b, *value)).cloned().collect();
    let values: Vec<ValueId> = wanted.iter().map(|(_, value)| *value).collect();
    let gradients = autodiff::gradients(&mut b, loss, &values).unwrap();
    for ((name, _), gradient) in wanted.iter().zip(gradients) {
        b.output(format!("d{name}"), gradient);
    }
    b.finish().unwrap()
}

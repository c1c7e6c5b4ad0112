//! Graphs that every backend is tested on: each differentiable operation with its gradient.

use shoal_graph::{Graph, GraphBuilder, GraphError, Op, TensorType, ValueId, autodiff};

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

fn conv(b: &mut GraphBuilder, stride: u32, padding: u32) -> Result<ValueId, GraphError> {
    let x = f(b, "x", &[2, 3, 6, 7])?;
    let w = f(b, "w", &[4, 3, 3, 2])?;
    b.conv2d(x, w, stride, padding)
}

/// One graph for each differentiable operation and attribute that matters.
pub const DIFFERENTIABLE: &[(&str, Build)] = &[
    ("mat_mul", |b| mat_mul(b, false, false)),
    ("mat_mul trans_a", |b| mat_mul(b, true, false)),
    ("mat_mul trans_b", |b| mat_mul(b, false, true)),
    ("mat_mul trans_a trans_b", |b| mat_mul(b, true, true)),
    ("add_bias rows", |b| {
        let (x, bias) = (f(b, "x", &[3, 4])?, f(b, "bias", &[4])?);
        b.apply_one(Op::AddBias, &[x, bias])
    }),
    ("add_bias channels", |b| {
        let (x, bias) = (f(b, "x", &[2, 3, 4, 5])?, f(b, "bias", &[3])?);
        b.apply_one(Op::AddBias, &[x, bias])
    }),
    ("conv2d", |b| conv(b, 1, 0)),
    ("conv2d padded", |b| conv(b, 1, 2)),
    ("conv2d strided", |b| conv(b, 2, 1)),
    ("conv2d wide stride", |b| conv(b, 3, 0)),
    ("relu", |b| {
        let x = f(b, "x", &[4, 9])?;
        b.apply_one(Op::Relu, &[x])
    }),
    ("max_pool2d", |b| {
        let x = f(b, "x", &[2, 3, 5, 7])?;
        b.apply_one(Op::MaxPool2d { size: 2 }, &[x])
    }),
    ("sum_channels", |b| {
        let x = f(b, "x", &[2, 6, 3])?;
        b.apply_one(Op::SumChannels, &[x])
    }),
    ("softmax", |b| {
        let x = f(b, "x", &[3, 19])?;
        b.apply_one(Op::Softmax, &[x])
    }),
    ("add of one value twice", |b| {
        let x = f(b, "x", &[3, 4])?;
        b.apply_one(Op::Add, &[x, x])
    }),
    ("scale", |b| {
        let x = f(b, "x", &[3, 4])?;
        b.apply_one(Op::Scale { factor: -1.7 }, &[x])
    }),
];

/// Larger shapes, where kernels split sums and work over blocks, chunks and workgroups.
pub const LARGE: &[(&str, Build)] = &[
    ("mat_mul k 1000", |b| {
        let (a, w) = (f(b, "a", &[66, 1000])?, f(b, "w", &[70, 1000])?);
        let y = b.mat_mul(a, w, false, true)?;
        b.apply_one(Op::Scale { factor: 0.1 }, &[y])
    }),
    ("conv2d of 40 samples", |b| {
        let (x, w, bias) = (f(b, "x", &[40, 5, 9, 9])?, f(b, "w", &[10, 5, 3, 3])?, f(b, "bias", &[10])?);
        let y = b.conv2d(x, w, 1, 1)?;
        let y = b.apply_one(Op::AddBias, &[y, bias])?;
        let y = b.apply_one(Op::Relu, &[y])?;
        b.apply_one(Op::MaxPool2d { size: 3 }, &[y])
    }),
];

/// The operation, flattened into logits for a cross-entropy; outputs the loss and the gradient of every f32 input.
pub fn with_gradients(build: Build) -> Graph {
    let mut b = GraphBuilder::new();
    let y = build(&mut b).unwrap();
    let shape = b.value_type(y).shape.clone();
    let rows = if shape.len() > 1 { shape[0] } else { 1 };
    let columns = shape.iter().product::<u32>() / rows;
    let logits = b.apply_one(Op::Reshape { shape: vec![rows, columns] }, &[y]).unwrap();
    let labels = b.input("labels", TensorType::i32([rows])).unwrap();
    let loss = b.apply_one(Op::SoftmaxCrossEntropy, &[logits, labels]).unwrap();
    b.output("loss", loss);
    add_gradients(b, loss)
}

fn add_gradients(mut b: GraphBuilder, loss: ValueId) -> Graph {
    let wanted: Vec<(String, ValueId)> = b.inputs().iter().filter(|(name, _)| name != "labels").cloned().collect();
    let values: Vec<ValueId> = wanted.iter().map(|(_, value)| *value).collect();
    let gradients = autodiff::gradients(&mut b, loss, &values).unwrap();
    for ((name, _), gradient) in wanted.iter().zip(gradients) {
        b.output(format!("d{name}"), gradient);
    }
    b.finish().unwrap()
}

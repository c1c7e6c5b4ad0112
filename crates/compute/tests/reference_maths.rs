//! Kernels against reference maths in f64, and derivatives against central finite differences of the f64 interpreter:
//! for every operation and for a whole convolutional net.

mod reference;

use reference::{Reals, distance, random_inputs, run, to_reals};
use shoal_compute::{CpuBackend, tolerance, vectors};
use shoal_graph::{ConvGeometry, Graph, GraphBuilder, GraphError, Op, TensorType, ValueId, autodiff, programs};

type Build = fn(&mut GraphBuilder) -> Result<ValueId, GraphError>;

fn f(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Result<ValueId, GraphError> {
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
const DIFFERENTIABLE: &[(&str, Build)] = &[
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

/// The operation, flattened into logits for a cross-entropy; outputs the loss and the gradient of every f32 input.
fn with_gradients(build: Build) -> Graph {
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

/// Largest relative difference between each gradient output `d{name}` and central differences of the loss in f64.
fn finite_difference_error(graph: &Graph, inputs: &Reals, gradient_name: impl Fn(&str) -> Option<String>) -> f64 {
    const STEP: f64 = 1e-6;
    let made = run(graph, inputs);
    let mut worst = 0.0f64;
    for name in inputs.keys() {
        let Some(gradient_name) = gradient_name(name) else { continue };
        let expected = &made[&gradient_name];
        // Every element of small tensors, every few of large ones.
        let stride = expected.len().div_ceil(60);
        let (mut estimates, mut exact) = (Vec::new(), Vec::new());
        for i in (0..expected.len()).step_by(stride) {
            let loss_at = |offset: f64| {
                let mut moved = inputs.clone();
                moved.get_mut(name).unwrap()[i] += offset;
                run(graph, &moved)["loss"][0]
            };
            estimates.push((loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP));
            exact.push(expected[i]);
        }
        worst = worst.max(distance(&estimates, &exact));
    }
    worst
}

#[test]
fn every_derivative_agrees_with_finite_differences() {
    for (name, build) in DIFFERENTIABLE {
        let graph = with_gradients(*build);
        let inputs = to_reals(&random_inputs(&graph, 11, 3));
        let error = finite_difference_error(&graph, &inputs, |input| (input != "labels").then(|| format!("d{input}")));
        assert!(error < 1e-6, "{name}: gradient is off by {error:e}");
    }
}

#[test]
fn the_gradient_of_a_whole_net_agrees_with_finite_differences() {
    let graph = programs::gradient(&vectors::model(), 5).unwrap();
    let inputs = to_reals(&random_inputs(&graph, 5, 10));
    let error = finite_difference_error(&graph, &inputs, |name| name.starts_with("layer").then(|| name.to_owned()));
    assert!(error < 1e-5, "gradient is off by {error:e}");
}

#[test]
fn kernels_and_their_gradients_agree_with_f64_within_the_bound() {
    let net = programs::gradient(&vectors::model(), 24).unwrap();
    let step = programs::training_step(&vectors::model(), 7).unwrap();
    let graphs = DIFFERENTIABLE.iter().map(|(name, build)| (*name, with_gradients(*build), 3));
    for (name, graph, classes) in graphs.chain([("net", net, 10), ("training step", step, 10)]) {
        let inputs = random_inputs(&graph, 3, classes);
        let expected = run(&graph, &to_reals(&inputs));
        let got = to_reals(&CpuBackend.run_now(&graph, inputs).unwrap());
        assert_eq!(got.len(), expected.len());
        for (output, expected) in &expected {
            let error = distance(&got[output], expected);
            let bound = tolerance::bound(&graph);
            assert!(error <= bound, "{name} {output}: off by {error:e}, bound {bound:e}");
        }
    }
}

#[test]
fn sgd_with_momentum_follows_its_formula() {
    let mut b = GraphBuilder::new();
    let ids: Vec<ValueId> = ["p", "v", "g"].iter().map(|name| f(&mut b, name, &[13]).unwrap()).collect();
    let scalars: Vec<ValueId> = ["lr", "mu"].iter().map(|name| f(&mut b, name, &[]).unwrap()).collect();
    let made = b.apply(Op::SgdMomentum, &[ids, scalars].concat()).unwrap();
    b.output("p", made[0]);
    b.output("v", made[1]);
    let graph = b.finish().unwrap();
    let inputs = random_inputs(&graph, 9, 1);
    let expected = run(&graph, &to_reals(&inputs));
    let got = to_reals(&CpuBackend.run_now(&graph, inputs).unwrap());
    assert!(distance(&got["p"], &expected["p"]) < 1e-6 && distance(&got["v"], &expected["v"]) < 1e-6);
}

#[test]
fn an_operation_without_derivative_is_named() {
    let mut b = GraphBuilder::new();
    let x = f(&mut b, "x", &[2, 1, 4, 4]).unwrap();
    let w = f(&mut b, "w", &[1, 1, 3, 3]).unwrap();
    let geometry = ConvGeometry { stride: 1, padding: 1 };
    let y = b.apply_one(Op::Conv2dGradInput { geometry, height: 4, width: 4 }, &[w, x]).unwrap();
    let flat = b.apply_one(Op::Reshape { shape: vec![2, 16] }, &[y]).unwrap();
    let labels = b.input("labels", TensorType::i32([2])).unwrap();
    let loss = b.apply_one(Op::SoftmaxCrossEntropy, &[flat, labels]).unwrap();
    let error = autodiff::gradients(&mut b, loss, &[x]).unwrap_err();
    assert_eq!(error, GraphError::NotDifferentiable { op: "conv2d_grad_input" });
    let error = autodiff::gradients(&mut b, flat, &[x]).unwrap_err();
    assert_eq!(error, GraphError::LossNotScalar { shape: vec![2, 16] });
}

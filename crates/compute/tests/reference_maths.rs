//! Kernels against reference maths in f64, and derivatives against central finite differences of the f64 interpreter:
//! for every operation and for a whole convolutional net.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(not(target_arch = "wasm32"))]

mod reference;

use reference::{
    Reals, distance,
    graphs::{DIFFERENTIABLE, f, with_gradients},
    random_cases::random_cases,
    random_inputs, run, to_reals,
};
use shoal_compute::{CpuBackend, vectors};
use shoal_graph::{ConvGeometry, Graph, GraphBuilder, GraphError, Op, TensorType, ValueId, autodiff, programs};

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

/// Every operation, gradients and all, on shapes and attributes drawn at random: whatever shape inference lets through
/// runs, and agrees with reference maths.
#[test]
fn every_operation_agrees_with_f64_on_random_shapes() {
    let mut accepted = std::collections::BTreeMap::new();
    for case in random_cases(4000) {
        let inputs = random_inputs(&case.graph, 5, 1);
        let expected = run(&case.graph, &to_reals(&inputs));
        let got = to_reals(&CpuBackend.run_now(&case.graph, inputs).unwrap());
        let error = distance(&got["made"], &expected["made"]);
        assert!(error < 1e-5, "{:?} of {:?}: off by {error:e}", case.op, case.shapes);
        *accepted.entry(case.op.name()).or_insert(0) += 1;
    }
    assert!(accepted.len() == 17 && accepted.values().all(|count| *count > 20), "{accepted:?}");
}

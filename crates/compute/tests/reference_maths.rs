//! Kernels against reference maths in f64. That derivatives are right, `shoal-reference` tests.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(not(target_arch = "wasm32"))]

mod reference;

use reference::{distance, graphs::f, random_cases::random_cases, random_inputs, run, to_reals};
use shoal_compute::CpuBackend;
use shoal_graph::{AdamRates, Axis2d, GraphBuilder, GraphError, Op, TensorType, ValueId, Window2d, autodiff};

#[test]
fn optimisers_follow_their_formulas() {
    let mut b = GraphBuilder::new();
    let ids: Vec<ValueId> = ["p", "v", "g", "s"].iter().map(|name| f(&mut b, name, &[13]).unwrap()).collect();
    let scalars: Vec<ValueId> = ["lr", "mu"].iter().map(|name| f(&mut b, name, &[]).unwrap()).collect();
    let square = b.mul(ids[3], ids[3]).unwrap();
    let sgd = b.sgd_momentum(ids[0], ids[1], ids[2], scalars[0], scalars[1]).unwrap();
    let adam = b.adam(ids[0], ids[1], square, ids[2], scalars[0], AdamRates::default()).unwrap();
    for (name, value) in [
        ("sgd p", sgd.parameter),
        ("sgd v", sgd.velocity),
        ("adam p", adam.parameter),
        ("adam m", adam.mean),
        ("adam v", adam.square),
    ] {
        b.output(name, value);
    }
    let graph = b.finish().unwrap();
    let inputs = random_inputs(&graph, 9, 1);
    let x = to_reals(&inputs);
    let got = to_reals(&CpuBackend::new().run_now(&graph, inputs).unwrap());
    let (rate, momentum) = (x["lr"][0], x["mu"][0]);
    for i in 0..13 {
        let (p, v, g) = (x["p"][i], x["v"][i], x["g"][i]);
        let velocity = momentum * v + g;
        let (mean, square) = (0.9 * v + 0.1 * g, 0.999 * x["s"][i].powi(2) + 0.001 * g * g);
        for (name, expected) in [
            ("sgd v", velocity),
            ("sgd p", p - rate * velocity),
            ("adam m", mean),
            ("adam v", square),
            ("adam p", p - rate * mean / (square.sqrt() + 1e-8)),
        ] {
            assert!((got[name][i] - expected).abs() < 2e-6, "{name} at {i}: {} is not {expected}", got[name][i]);
        }
    }
}

#[test]
fn an_operation_without_derivative_is_named() {
    let mut b = GraphBuilder::new();
    let (x, dy) = (f(&mut b, "x", &[2, 1, 4, 4]).unwrap(), f(&mut b, "dy", &[2, 1, 2, 2]).unwrap());
    let axis = Axis2d { stride: 2, ..Axis2d::DENSE };
    let window = Window2d { height: axis, width: axis };
    let y = b.apply(Op::MaxPool2dGrad { window, kernel_height: 2, kernel_width: 2 }, &[x, dy]).unwrap();
    let flat = b.reshape(y, &[2, 16]).unwrap();
    let labels = b.input("labels", TensorType::i32([2])).unwrap();
    let loss = b.cross_entropy(flat, labels).unwrap();
    let error = autodiff::gradients(&mut b, loss, &[x]).unwrap_err();
    assert_eq!(error, GraphError::NotDifferentiable { op: "max_pool2d_grad" });
    let error = autodiff::gradients(&mut b, flat, &[x]).unwrap_err();
    assert_eq!(error, GraphError::LossNotScalar { shape: vec![2, 16] });
}

/// Every operation, gradients and all, on shapes and attributes drawn at random: whatever shape inference lets through
/// runs, and agrees with reference maths.
#[test]
fn every_operation_agrees_with_f64_on_random_shapes() {
    let mut accepted = std::collections::BTreeMap::new();
    for case in random_cases(6000) {
        let inputs = case.inputs();
        let expected = run(&case.graph, &to_reals(&inputs));
        let got = to_reals(&CpuBackend::new().run_now(&case.graph, inputs).unwrap());
        let error = distance(&got["made"], &expected["made"]);
        assert!(error < 1e-5, "{:?} of {:?}: off by {error:e}", case.op, case.types);
        *accepted.entry(case.op.name()).or_insert(0) += 1;
    }
    // All but constants, which have no operands.
    assert!(accepted.len() == 60 && accepted.values().all(|count| *count > 10), "{}: {accepted:?}", accepted.len());
}

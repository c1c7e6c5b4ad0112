//! Adapted graphs: their gradients, what they compute at the start, what merged weights compute, and what a step costs.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{deviation, norm};
use shoal_graph::{
    Graph, GraphBuilder, GraphError, Op, Reduction, TensorType, ValueId, autodiff::gradients, lora::Lora, programs,
};
use shoal_reference::{Reals, random_inputs, run};

const RANK: u32 = 2;

/// How a weight stands in its product.
type Product = fn(&mut GraphBuilder, x: ValueId, weight: ValueId) -> Result<ValueId, GraphError>;

/// 5 in and 3 out, with x of 4 rows.
fn ways() -> Vec<(&'static str, Vec<u32>, Product)> {
    vec![
        ("x·Wᵀ", vec![3, 5], |b, x, w| b.dense(x, w, None)),
        ("x·W", vec![5, 3], |b, x, w| b.mat_mul(x, w, false, false)),
        ("W·xᵀ", vec![3, 5], |b, x, w| b.mat_mul(w, x, false, true)),
        ("Wᵀ·xᵀ", vec![5, 3], |b, x, w| b.mat_mul(w, x, true, true)),
        ("transposed x·W", vec![5, 3], |b, x, w| {
            let turned = b.transpose(x, &[1, 0])?;
            b.mat_mul(turned, w, true, false)
        }),
        ("x·(Wᵀ)", vec![3, 5], |b, x, w| {
            let turned = b.transpose(w, &[1, 0])?;
            b.mat_mul(x, turned, false, false)
        }),
        ("x·(Wᵀ)ᵀ", vec![5, 3], |b, x, w| {
            let turned = b.transpose(w, &[1, 0])?;
            b.mat_mul(x, turned, false, true)
        }),
        ("reshaped and transposed", vec![1, 5, 3], |b, x, w| {
            let moved = b.transpose(w, &[2, 0, 1])?;
            let matrix = b.reshape(moved, &[3, 5])?;
            b.dense(x, matrix, None)
        }),
        ("of many dimensions", vec![3, 5], |b, x, w| {
            let x = b.reshape(x, &[2, 2, 5])?;
            b.dense(x, w, None)
        }),
        // The second product sums over the weight's other dimension.
        ("tied", vec![3, 5], |b, x, w| {
            let y = b.dense(x, w, None)?;
            b.mat_mul(y, w, false, false)
        }),
    ]
}

fn product(shape: &[u32], build: Product) -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([4, 5])).unwrap();
    let weight = b.input("w", TensorType::f32(shape)).unwrap();
    let y = build(&mut b, x, weight).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

fn lora<'a>(weights: &'a [&'a str]) -> Lora<'a> {
    Lora { weights, rank: RANK, alpha: 3.0 }
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && norm(a.iter().zip(b).map(|(a, b)| a - b)) <= 1e-12 * norm(b.iter().copied())
}

#[test]
fn gradients_of_adapters_meet_finite_differences() {
    for (name, shape, build) in ways() {
        let adapted = lora(&["w"]).adapt(&product(&shape, build)).unwrap();
        let mut b = GraphBuilder::continuing(&adapted);
        let value = |name: &str| adapted.inputs().iter().find(|(own, _)| own == name).unwrap().1;
        let y = adapted.outputs()[0].1;
        let weighing = b.input("r", adapted.value_type(y).clone()).unwrap();
        let weighed = b.mul(y, weighing).unwrap();
        let axes: Vec<u32> = (0..b.shape(weighed).len() as u32).collect();
        let loss = b.apply(Op::Reduce { reduction: Reduction::Sum, axes }, &[weighed]).unwrap();
        b.output("loss", loss);
        let learnt = ["w.lora_a", "w.lora_b"];
        let made = gradients(&mut b, loss, &learnt.map(value)).unwrap();
        for (name, gradient) in learnt.into_iter().zip(made) {
            b.output(format!("grad.{name}"), gradient);
        }
        let graph = b.finish().unwrap();
        let pairs = learnt.map(|name| (name.to_owned(), format!("grad.{name}")));
        let found = deviation(&graph, &random_inputs(&graph, 7, 1), &pairs);
        assert!(found <= 1e-6, "{name}: {found}");
    }
}

#[test]
fn merged_weights_compute_what_adapted_ones_do() {
    for (name, shape, build) in ways() {
        let graph = product(&shape, build);
        let adapted = lora(&["w"]).adapt(&graph).unwrap();
        let inputs = random_inputs(&adapted, 11, 1);
        let merged = run(&lora(&["w"]).merge(&graph).unwrap(), &inputs).unwrap();
        assert!(!close(&merged["w"], &inputs["w"]), "{name}: the adapter changes the weight");
        let plain = run(&graph, &[inputs.clone(), merged].into_iter().flatten().collect()).unwrap();
        assert!(close(&run(&adapted, &inputs).unwrap()["y"], &plain["y"]), "{name}");
    }
}

#[test]
fn a_and_b_are_of_the_papers_shapes_and_change_the_weight_by_their_product() {
    let graph = product(&[3, 5], |b, x, w| b.dense(x, w, None));
    let adapter = &lora(&["w"]).adapters(&graph).unwrap()[0];
    assert_eq!((adapter.a_shape(), adapter.b_shape()), ([RANK, 5], [3, RANK]));
    let merge = lora(&["w"]).merge(&graph).unwrap();
    let inputs = random_inputs(&merge, 3, 1);
    let (w, a, b) = (&inputs["w"], &inputs[&adapter.a], &inputs[&adapter.b]);
    let expected: Vec<f64> =
        (0..15).map(|i| w[i] + 1.5 * (0..2).map(|k| b[i / 5 * 2 + k] * a[k * 5 + i % 5]).sum::<f64>()).collect();
    assert!(close(&run(&merge, &inputs).unwrap()["w"], &expected));
}

/// Three dense layers of sizes that no batch and no other layer has.
fn net() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", TensorType::f32([12, 10])).unwrap();
    let labels = b.input("labels", TensorType::i32([12])).unwrap();
    for (layer, shape) in WEIGHTS {
        let weight = b.input(format!("w{layer}"), TensorType::f32(shape)).unwrap();
        let bias = b.input(format!("b{layer}"), TensorType::f32([shape[0]])).unwrap();
        x = b.dense(x, weight, Some(bias)).unwrap();
        x = if layer < 3 { b.gelu(x).unwrap() } else { x };
    }
    let loss = b.cross_entropy(x, labels).unwrap();
    b.output("logits", x);
    b.output("entropy", loss);
    b.finish().unwrap()
}

const WEIGHTS: [(u32, [u32; 2]); 3] = [(1, [31, 10]), (2, [29, 31]), (3, [7, 29])];
const ALL: [&str; 3] = ["w1", "w2", "w3"];

/// A random and B zero, everything else random too.
fn start(graph: &Graph) -> Reals {
    let mut inputs = random_inputs(graph, 5, 7);
    for (name, data) in &mut inputs {
        if name.ends_with(".lora_b") || name.starts_with(programs::VELOCITY_PREFIX) {
            data.fill(0.0);
        }
    }
    inputs
}

#[test]
fn with_b_zero_every_output_is_what_it_was() {
    let (graph, adapted) = (net(), lora(&ALL).adapt(&net()).unwrap());
    let inputs = start(&adapted);
    assert_eq!(run(&adapted, &inputs).unwrap(), run(&graph, &inputs).unwrap());
}

#[test]
fn steps_make_the_loss_less_and_merged_weights_have_it() {
    let graph = net();
    let lora = lora(&ALL);
    let step = lora.training_step(&graph, "entropy").unwrap();
    let mut state = start(&step);
    state.insert(programs::LEARNING_RATE.to_owned(), vec![0.003]);
    state.insert(programs::MOMENTUM.to_owned(), vec![0.9]);
    let mut losses = Vec::new();
    for _ in 0..60 {
        let made = run(&step, &state).unwrap();
        losses.push(made[programs::LOSS][0]);
        state.extend(made);
    }
    println!("loss {} became {}", losses[0], losses[59]);
    assert!(losses[59] < 0.3 * losses[0]);
    let adapted = run(&lora.adapt(&graph).unwrap(), &state).unwrap();
    let merged = run(&lora.merge(&graph).unwrap(), &state).unwrap();
    assert_eq!(merged.len(), 3);
    state.extend(merged);
    assert!(close(&run(&graph, &state).unwrap()["logits"], &adapted["logits"]));
}

#[test]
fn no_gradient_of_a_frozen_weight_is_computed() {
    let graph = net();
    let step = lora(&ALL).training_step(&graph, "entropy").unwrap();
    for node in step.nodes() {
        let made = &step.value_type(node.output).shape;
        for (_, [rows, columns]) in WEIGHTS {
            assert!(*made != [rows, columns] && *made != [columns, rows], "{} makes {made:?}", node.op.name());
        }
    }
    // The full step: gradients and updates of the weights instead.
    let mut b = GraphBuilder::continuing(&graph);
    let value = |name: &str| graph.inputs().iter().find(|(own, _)| own == name).unwrap().1;
    let loss = graph.outputs()[1].1;
    let made = gradients(&mut b, loss, &ALL.map(value)).unwrap();
    let [rate, momentum] = ["rate", "momentum"].map(|name| b.input(name, TensorType::f32([])).unwrap());
    for (name, gradient) in ALL.into_iter().zip(made) {
        let velocity = b.input(format!("velocity.{name}"), graph.value_type(value(name)).clone()).unwrap();
        let next = b.sgd_momentum(value(name), velocity, gradient, rate, momentum).unwrap();
        b.output(name, next.parameter);
        b.output(format!("velocity.{name}"), next.velocity);
    }
    b.output("loss", loss);
    let full = b.finish().unwrap();
    println!("{} operations a step with adapters, {} without", step.reference_ops(), full.reference_ops());
    assert!(step.reference_ops() < full.reference_ops());
}

#[test]
fn only_what_is_named_is_adapted() {
    let adapted = lora(&["w2"]).adapt(&net()).unwrap();
    let added: Vec<&str> = adapted.inputs()[net().inputs().len()..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(added, ["w2.lora_a", "w2.lora_b"]);
    assert_eq!(lora(&[]).adapt(&net()).unwrap().reference_ops(), net().reference_ops());
}

fn refusal(shape: &[u32], build: Product, names: &[&str]) -> GraphError {
    let graph = product(shape, build);
    let refused = lora(names).adapt(&graph).unwrap_err();
    assert_eq!(lora(names).merge(&graph).unwrap_err(), refused);
    refused
}

#[test]
fn what_cannot_be_adapted_is_refused_by_name() {
    let dense: Product = |b, x, w| b.dense(x, w, None);
    let reason = |refused| match refused {
        GraphError::NotAdaptable { name, shape, reason } => {
            assert_eq!((name.as_str(), shape.iter().product::<u32>()), ("w", 15));
            reason
        }
        other => panic!("{other}"),
    };
    assert!(matches!(refusal(&[3, 5], dense, &["nothing"]), GraphError::BadName { .. }));
    assert_eq!(reason(refusal(&[3, 5], dense, &["w", "w"])), "it is named twice");
    assert_eq!(reason(refusal(&[3, 5], |_, x, _| Ok(x), &["w"])), "no product of matrices reads it");
    assert_eq!(reason(refusal(&[3, 5], |_, _, w| Ok(w), &["w"])), "it leaves the graph");
    let beside: Product = |b, x, w| {
        let y = b.dense(x, w, None)?;
        let row = b.slice(w, 1, 0, 1)?;
        let row = b.reshape(row, &[3])?;
        b.add(y, row)
    };
    assert_eq!(reason(refusal(&[3, 5], beside, &["w"])), "something else than a product of matrices reads it");
    let twice: Product = |b, _, w| b.mat_mul(w, w, false, true);
    assert_eq!(reason(refusal(&[3, 5], twice, &["w"])), "one operation reads it beside another, or twice");
    let two_ways: Product = |b, x, w| {
        let one = b.reshape(w, &[3, 5])?;
        let y = b.dense(x, one, None)?;
        let other = b.reshape(w, &[5, 3])?;
        let z = b.mat_mul(x, other, false, false)?;
        b.add(y, z)
    };
    assert_eq!(reason(refusal(&[1, 3, 5], two_ways, &["w"])), "it is reshaped to matrices in two ways");
}

#[test]
fn a_rank_beyond_the_matrix_is_refused_with_the_limit() {
    let graph = product(&[3, 5], |b, x, w| b.dense(x, w, None));
    for rank in [0, 4, u32::MAX] {
        let refused = Lora { rank, ..lora(&["w"]) }.adapt(&graph).unwrap_err();
        let expected = GraphError::AdapterRank { name: "w".to_owned(), shape: vec![3, 5], rank, limit: 3 };
        assert_eq!(refused, expected);
    }
    let refused = Lora { alpha: f32::INFINITY, ..lora(&["w"]) }.adapt(&graph).unwrap_err();
    assert_eq!(refused, GraphError::NonFiniteAttribute { op: "lora", value: f32::INFINITY });
}

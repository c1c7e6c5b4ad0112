//! Optimisers, step after step, against the recurrences of their papers in plain f64.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use shoal_graph::{AdamRates, Graph, GraphBuilder, TensorType, ValueId};
use shoal_reference::{Numbers, Reals, run};

const LEN: u32 = 6;
const STEPS: usize = 7;

fn graph(
    names: &[&str],
    scalars: &[&str],
    build: impl FnOnce(&mut GraphBuilder, &[ValueId]) -> Vec<(&'static str, ValueId)>,
) -> Graph {
    let mut b = GraphBuilder::new();
    let tensors = names.iter().map(|name| (*name, TensorType::f32([LEN])));
    let all = tensors.chain(scalars.iter().map(|name| (*name, TensorType::f32([]))));
    let values: Vec<ValueId> = all.map(|(name, of)| b.input(name, of).unwrap()).collect();
    for (name, value) in build(&mut b, &values) {
        b.output(name, value);
    }
    b.finish().unwrap()
}

/// Runs steps, each from what the last one made, with the same gradients for both.
fn follow(graph: &Graph, start: &Reals, mut recurrence: impl FnMut(usize, &[f64]) -> (Reals, Vec<f64>)) {
    let mut numbers = Numbers(5);
    let mut state = start.clone();
    for step in 1..=STEPS {
        let gradient = numbers.take(LEN as usize);
        let (scalars, expected) = recurrence(step, &gradient);
        state.insert("g".to_owned(), gradient);
        state.extend(scalars);
        let made = run(graph, &state).unwrap();
        for (got, expected) in made["p"].iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-12, "step {step}: {got} for {expected}");
        }
        state.extend(made);
    }
}

fn start(names: &[&str]) -> (Reals, Vec<f64>) {
    let parameter = Numbers(3).take(LEN as usize);
    let mut state: Reals = names.iter().map(|name| ((*name).to_owned(), vec![0.0; LEN as usize])).collect();
    state.insert("p".to_owned(), parameter.clone());
    (state, parameter)
}

fn scalars(pairs: &[(&str, f64)]) -> Reals {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![*value])).collect()
}

#[test]
fn sgd() {
    let graph = graph(&["p", "g"], &["rate"], |b, v| vec![("p", b.sgd(v[0], v[1], v[2]).unwrap())]);
    let (state, mut p) = start(&[]);
    follow(&graph, &state, |step, g| {
        let rate = 0.1 / step as f64;
        p.iter_mut().zip(g).for_each(|(p, g)| *p -= rate * g);
        (scalars(&[("rate", rate)]), p.clone())
    });
}

#[test]
fn momentum() {
    let graph = graph(&["p", "v", "g"], &["rate", "momentum"], |b, v| {
        let next = b.sgd_momentum(v[0], v[1], v[2], v[3], v[4]).unwrap();
        vec![("p", next.parameter), ("v", next.velocity)]
    });
    let (state, mut p) = start(&["v"]);
    let mut velocity = vec![0.0; LEN as usize];
    follow(&graph, &state, |_, g| {
        for i in 0..LEN as usize {
            velocity[i] = 0.9 * velocity[i] + g[i];
            p[i] -= 0.05 * velocity[i];
        }
        (scalars(&[("rate", 0.05), ("momentum", 0.9)]), p.clone())
    });
}

/// Adam by algorithm 1 of the paper, with corrected means; the graph takes the corrections within the rate (section 2), where
/// ε counts √(1 − β₂ᵗ) times: so the ε of the recurrence is ε/√(1 − β₂ᵗ).
#[test]
fn adam_and_decoupled_decay() {
    let rates = AdamRates::default();
    let (alpha, decay, epsilon) = (0.01, 0.004, f64::from(rates.epsilon));
    // The graph's constants are f32: each share is rounded by itself.
    let (keep1, take1) = (f64::from(rates.beta1), f64::from(1.0 - rates.beta1));
    let (keep2, take2) = (f64::from(rates.beta2), f64::from(1.0 - rates.beta2));
    let graph = graph(&["p", "m", "s", "g"], &["rate", "decay"], |b, v| {
        let shrunk = b.decay(v[0], v[5]).unwrap();
        let next = b.adam(shrunk, v[1], v[2], v[3], v[4], rates).unwrap();
        vec![("p", next.parameter), ("m", next.mean), ("s", next.square)]
    });
    let (state, mut p) = start(&["m", "s"]);
    let (mut mean, mut square) = (vec![0.0; LEN as usize], vec![0.0; LEN as usize]);
    follow(&graph, &state, |step, g| {
        let (correct1, correct2) = (1.0 - keep1.powi(step as i32), 1.0 - keep2.powi(step as i32));
        for i in 0..LEN as usize {
            mean[i] = keep1 * mean[i] + take1 * g[i];
            square[i] = keep2 * square[i] + take2 * g[i] * g[i];
            let (mean_hat, square_hat) = (mean[i] / correct1, square[i] / correct2);
            p[i] -= decay * p[i];
            p[i] -= alpha * mean_hat / (square_hat.sqrt() + epsilon / correct2.sqrt());
        }
        (scalars(&[("rate", alpha * correct2.sqrt() / correct1), ("decay", decay)]), p.clone())
    });
}

#[test]
fn a_common_norm_is_clipped_only_above_the_greatest() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([2, 3])).unwrap();
    let y = b.input("y", TensorType::f32([])).unwrap();
    let clipped = b.clip_by_norm(&[x, y], 2.0).unwrap();
    b.output("x", clipped[0]);
    b.output("y", clipped[1]);
    let graph = b.finish().unwrap();
    for scale in [0.01, 0.5, 1.0, 100.0] {
        let x: Vec<f64> = Numbers(1).take(6).iter().map(|x| x * scale).collect();
        let y = vec![3.0 * scale];
        let norm = x.iter().chain(&y).map(|x| x * x).sum::<f64>().sqrt();
        let factor = if norm > 2.0 { 2.0 / norm } else { 1.0 };
        let made = run(&graph, &Reals::from([("x".to_owned(), x.clone()), ("y".to_owned(), y.clone())])).unwrap();
        for (got, given) in made["x"].iter().chain(&made["y"]).zip(x.iter().chain(&y)) {
            assert!((got - given * factor).abs() <= 1e-12 * norm, "{scale}");
        }
    }
}

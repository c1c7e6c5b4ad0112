//! Values and gradients of every differentiable operation, of layers and of three whole nets meet JAX's in f64. What JAX
//! made is `jax/vectors.json`; `jax/make_vectors.py` says how, and where the two differ.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;
mod nets;
mod operations;

use std::collections::{BTreeMap, BTreeSet};

use common::norm;
use serde::Deserialize;
use shoal_reference::{Reals, run};

/// Distance of two tensors relative to the norm of JAX's. Both sum in f64 and in another order.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Vectors {
    cases: BTreeMap<String, Vector>,
}

#[derive(Deserialize)]
struct Vector {
    seed: u64,
    outputs: Reals,
}

/// Every output of JAX is there and met; returns the greatest deviation.
fn deviation(name: &str, expected: &Reals, made: &Reals) -> f64 {
    let mut greatest = 0.0f64;
    for (output, expected) in expected {
        let got = made.get(output).unwrap_or_else(|| panic!("{name} has no {output}"));
        assert_eq!(got.len(), expected.len(), "{name}, {output}");
        let distance = norm(got.iter().zip(expected).map(|(a, b)| a - b));
        let size = norm(expected.iter().copied());
        assert!(distance <= TOLERANCE * size, "{name}, {output}: {distance} of {size}");
        greatest = greatest.max(if size > 0.0 { distance / size } else { 0.0 });
    }
    greatest
}

#[test]
fn what_jax_makes() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../jax/vectors.json")).unwrap();
    let mut tested = BTreeSet::new();
    let mut greatest = 0.0f64;
    for (name, case) in operations::cases().into_iter().chain(nets::cases()) {
        let vector = vectors.cases.get(&name).unwrap_or_else(|| panic!("JAX has no {name}"));
        let made = run(&case.graph, &case.draw(vector.seed)).unwrap();
        greatest = greatest.max(deviation(&name, &vector.outputs, &made));
        tested.insert(name);
    }
    println!("{} cases, greatest deviation {greatest:.1e}", tested.len());
    assert!(tested.iter().eq(vectors.cases.keys()), "a case of JAX is not tested");
}

//! Values and gradients of every differentiable operation, of layers, of three whole nets, and at points where a slope is
//! infinite or not one, meet JAX's in f64. What JAX
//! made is `jax/vectors.json`; `jax/make_vectors.py` says how, and where the two differ.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;
mod nets;
mod operations;
mod points;

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
    outputs: BTreeMap<String, Vec<Number>>,
}

/// JSON has no infinity.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Named(String),
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Number::Finite(value) => *value,
            Number::Named(name) => name.parse().unwrap(),
        }
    }
}

/// Every output of JAX is there and met; returns the greatest deviation.
fn deviation(name: &str, expected: &BTreeMap<String, Vec<Number>>, made: &Reals) -> f64 {
    let mut greatest = 0.0f64;
    for (output, expected) in expected {
        let got = made.get(output).unwrap_or_else(|| panic!("{name} has no {output}"));
        assert_eq!(got.len(), expected.len(), "{name}, {output}");
        let pairs = got.iter().copied().zip(expected.iter().map(Number::value));
        let (finite, infinite): (Vec<_>, Vec<_>) = pairs.partition(|(_, expected)| expected.is_finite());
        assert!(infinite.iter().all(|(got, expected)| got == expected), "{name}, {output}: {infinite:?}");
        let distance = norm(finite.iter().map(|(a, b)| a - b));
        let size = norm(finite.iter().map(|(_, expected)| *expected));
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
    for (name, case) in operations::cases().into_iter().chain(nets::cases()).chain(points::cases()) {
        let vector = vectors.cases.get(&name).unwrap_or_else(|| panic!("JAX has no {name}"));
        let made = run(&case.graph, &case.draw(vector.seed)).unwrap();
        greatest = greatest.max(deviation(&name, &vector.outputs, &made));
        tested.insert(name);
    }
    println!("{} cases, greatest deviation {greatest:.1e}", tested.len());
    assert!(tested.iter().eq(vectors.cases.keys()), "a case of JAX is not tested");
}

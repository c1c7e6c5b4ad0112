//! What the tests share: where set-up has put others' files, and running what was lowered.
#![allow(dead_code)]

use std::{env, path::PathBuf};

use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_graph::Graph;
use shoal_onnx::Weight;

/// A file or folder in the user's cache, where `cargo xtask setup` puts it.
pub(crate) fn cached(name: &str) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("SHOAL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|home| home.join("shoal")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/shoal")));
    let path = cache.expect("a cache folder").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask setup`", path.display());
    path
}

/// A weight as a backend takes it.
pub(crate) fn tensor(weight: &Weight) -> Tensor {
    let data = Data::from_bytes(weight.tensor_type.dtype, &weight.bytes);
    Tensor::new(weight.tensor_type.shape.clone(), data)
}

/// Runs a graph with its weights and the inputs that are left.
pub(crate) fn run(graph: &Graph, weights: &[(String, Weight)], inputs: Tensors) -> Tensors {
    let mut given = inputs;
    for (name, weight) in weights {
        given.insert(name, tensor(weight));
    }
    Executable::new(graph.clone()).run(given).unwrap()
}

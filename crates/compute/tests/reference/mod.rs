//! Kernels against the f64 interpreter of `shoal-reference`: graphs, random cases and the parity suite of all backends.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

pub mod graphs;
pub mod parity;
pub mod random_cases;

use std::ops::Range;

use shoal_compute::{Data, Tensor, Tensors};
use shoal_graph::{DType, Graph, TensorType};
pub use shoal_reference::{Numbers, Reals};

/// Runs a graph in f64.
pub fn run(graph: &Graph, inputs: &Reals) -> Reals {
    shoal_reference::run(graph, inputs).unwrap()
}

/// A whole number of the range.
pub fn whole(numbers: &mut Numbers, range: &Range<i32>) -> i32 {
    let width = f64::from(range.end - range.start);
    range.start + ((numbers.real() + 1.0) * 0.5 * width) as i32
}

/// Random tensors for a graph's inputs; labels are below `classes`.
pub fn random_inputs(graph: &Graph, seed: u64, classes: i32) -> Tensors {
    random_inputs_within(graph, seed, &(0..classes))
}

/// Random tensors for a graph's inputs; integers are of the range.
pub fn random_inputs_within(graph: &Graph, seed: u64, integers: &Range<i32>) -> Tensors {
    let mut numbers = Numbers(seed);
    let inputs = graph.inputs().iter().map(|(name, value)| {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        let len: usize = shape.iter().map(|dim| *dim as usize).product();
        let data = match dtype {
            DType::F32 => Data::F32((0..len).map(|_| numbers.real() as f32).collect()),
            DType::I32 => Data::I32((0..len).map(|_| whole(&mut numbers, integers)).collect()),
            DType::I8 => Data::I8((0..len).map(|_| whole(&mut numbers, &(-128..128)) as i8).collect()),
            DType::U8 => Data::U8((0..len).map(|_| whole(&mut numbers, &(0..256)) as u8).collect()),
        };
        (name.clone(), Tensor::new(shape, data))
    });
    inputs.collect()
}

/// As f64; integers are whole numbers.
pub fn to_reals(tensors: &Tensors) -> Reals {
    let real = |tensor: &Tensor| match tensor.data() {
        Data::F32(data) => data.iter().map(|x| f64::from(*x)).collect(),
        Data::I32(data) => data.iter().map(|x| f64::from(*x)).collect(),
        Data::I8(data) => data.iter().map(|x| f64::from(*x)).collect(),
        Data::U8(data) => data.iter().map(|x| f64::from(*x)).collect(),
    };
    tensors.iter().map(|(name, tensor)| (name.to_owned(), real(tensor))).collect()
}

/// ‖got − reference‖₂ / ‖reference‖₂ (absolute where the reference is zero).
pub fn distance(got: &[f64], reference: &[f64]) -> f64 {
    assert_eq!(got.len(), reference.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    // Equal infinities are no difference.
    let difference = norm(&mut got.iter().zip(reference).map(|(a, b)| if a == b { 0.0 } else { a - b }));
    let scale = norm(&mut reference.iter().copied());
    if scale == 0.0 || difference == 0.0 { difference } else { difference / scale }
}

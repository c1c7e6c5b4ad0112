//! An interpreter of graphs in f64 written from the definitions in `graph.proto`, sharing no code with the kernels: the
//! reference that kernels and derivatives are tested against.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

mod elements;
pub mod graphs;
mod interpreter;
pub mod parity;
pub mod random_cases;
mod windows;

use std::{collections::BTreeMap, ops::Range};

pub use interpreter::run;
use shoal_compute::{Data, Tensor, Tensors};
use shoal_graph::{DType, Graph, TensorType};

/// Numbers drawn by a linear congruence, uniform in [−1, 1).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32) / 8_388_608.0 - 1.0
    }

    /// A whole number of the range.
    pub fn within(&mut self, range: &Range<i32>) -> i32 {
        let width = (range.end - range.start) as f32;
        (range.start + ((self.next() + 1.0) * 0.5 * width) as i32).min(range.end - 1)
    }
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
            DType::F32 => Data::F32((0..len).map(|_| numbers.next()).collect()),
            DType::I32 => Data::I32((0..len).map(|_| numbers.within(integers)).collect()),
            DType::I8 => Data::I8((0..len).map(|_| numbers.within(&(-128..128)) as i8).collect()),
            DType::U8 => Data::U8((0..len).map(|_| numbers.within(&(0..256)) as u8).collect()),
        };
        (name.clone(), Tensor::new(shape, data))
    });
    inputs.collect()
}

/// f64 values by name; integers are whole numbers.
pub type Reals = BTreeMap<String, Vec<f64>>;

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

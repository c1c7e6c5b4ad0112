//! Numbers that look random and are the same in every language that can multiply 64-bit integers.

use shoal_graph::{DType, Graph};

use crate::{Reals, shape::elements};

/// A linear congruence (Knuth's MMIX): state' = 6364136223846793005·state + 1442695040888963407 modulo 2⁶⁴, and each draw
/// takes the upper 24 bits. Every number is exact in f32.
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// Uniform in [−1, 1), a multiple of 2⁻²³.
    pub fn real(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / 8_388_608.0 - 1.0
    }

    /// Uniform among the whole numbers from `least` to `most`, both included.
    pub fn whole(&mut self, least: u32, most: u32) -> u32 {
        least + ((self.real() + 1.0) * 0.5 * f64::from(most - least + 1)) as u32
    }

    /// `len` numbers in [−1, 1).
    pub fn take(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.real()).collect()
    }
}

/// Numbers for a graph's inputs, in their order: floats in [−1, 1), i32 from 0 to `classes` − 1, i8 in −127..=127, u8 in
/// 0..=127.
pub fn random_inputs(graph: &Graph, seed: u64, classes: u32) -> Reals {
    let mut numbers = Numbers(seed);
    let inputs = graph.inputs().iter().map(|(name, value)| {
        let of = graph.value_type(*value);
        let draw = |numbers: &mut Numbers| match of.dtype {
            DType::F32 => numbers.real(),
            DType::I32 => f64::from(numbers.whole(0, classes - 1)),
            DType::I8 => f64::from(numbers.whole(0, 254)) - 127.0,
            DType::U8 => f64::from(numbers.whole(0, 127)),
        };
        (name.clone(), (0..elements(&of.shape)).map(|_| draw(&mut numbers)).collect())
    });
    inputs.collect()
}

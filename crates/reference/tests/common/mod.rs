//! Gradient graphs against central finite differences.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses its part; a panic is how a test fails

use shoal_graph::{DType, Graph, GraphBuilder, GraphError, Op, TensorType, ValueId, autodiff::gradients};
use shoal_reference::{Numbers, Reals, run};

/// An input of a case: its type, and where its numbers lie.
#[derive(Clone)]
pub struct Input {
    pub tensor_type: TensorType,
    pub numbers: Range,
}

#[derive(Clone, Copy)]
pub enum Range {
    /// Uniform.
    Between(f64, f64),
    /// Away from 0 by a tenth at least, of either sign: no step crosses a kink there.
    AwayFromZero,
    /// Distinct by a hundredth at least, in random order around 0: no step changes which is greatest.
    Distinct,
    /// Whole numbers below.
    Below(u32),
    /// These.
    Given(&'static [f64]),
}

pub fn f32_in(shape: &[u32], numbers: Range) -> Input {
    Input { tensor_type: TensorType::f32(shape), numbers }
}

/// Smooth everywhere.
pub fn f32(shape: &[u32]) -> Input {
    f32_in(shape, Range::Between(-1.0, 1.0))
}

pub fn below(shape: &[u32], classes: u32) -> Input {
    Input { tensor_type: TensorType::i32(shape), numbers: Range::Below(classes) }
}

impl Input {
    pub fn draw(&self, numbers: &mut Numbers) -> Vec<f64> {
        let len = self.tensor_type.elements() as usize;
        match self.numbers {
            Range::Between(low, high) => (0..len).map(|_| low + (numbers.real() + 1.0) * 0.5 * (high - low)).collect(),
            Range::AwayFromZero => numbers.take(len).into_iter().map(|x| x + 0.1f64.copysign(x)).collect(),
            Range::Distinct => {
                let mut all: Vec<f64> = (0..len).map(|i| (i as f64 - len as f64 / 2.0 + 0.25) / 16.0).collect();
                for i in (1..len).rev() {
                    all.swap(i, numbers.whole(0, i as u32) as usize);
                }
                all
            }
            Range::Below(most) => (0..len).map(|_| f64::from(numbers.whole(0, most - 1))).collect(),
            Range::Given(given) => given.to_vec(),
        }
    }
}

/// A built graph of a function: outputs `loss` and one `grad{i}` for each float input.
pub struct Case {
    pub graph: Graph,
    pub inputs: Vec<Input>,
}

/// loss = Σ y·r with a random r, so that every element of y counts otherwise.
pub fn case(
    inputs: &[Input],
    function: impl FnOnce(&mut GraphBuilder, &[ValueId]) -> Result<ValueId, GraphError>,
) -> Case {
    let mut b = GraphBuilder::new();
    let mut inputs = inputs.to_vec();
    let values: Vec<ValueId> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| b.input(format!("in{i}"), input.tensor_type.clone()).unwrap())
        .collect();
    let y = function(&mut b, &values).unwrap();
    let y = b.cast(y, DType::F32).unwrap();
    let shape = b.shape(y).to_vec();
    let r = b.input(format!("in{}", inputs.len()), TensorType::f32(shape.clone())).unwrap();
    inputs.push(f32(&shape));
    let weighted = b.mul(y, r).unwrap();
    let axes = (0..shape.len() as u32).collect::<Vec<_>>();
    let loss = b.reduce(shoal_graph::Reduction::Sum, weighted, &axes).unwrap();
    let loss = b.reshape(loss, &[]).unwrap();
    let floats: Vec<ValueId> = values.into_iter().filter(|v| b.value_type(*v).dtype == DType::F32).collect();
    let all = gradients(&mut b, loss, &floats).unwrap();
    b.output("y", y);
    b.output("loss", loss);
    for (value, gradient) in floats.iter().zip(all) {
        b.output(format!("grad{}", value.index()), gradient);
    }
    Case { graph: b.finish().unwrap(), inputs }
}

/// One operation.
pub fn one(op: Op, inputs: &[Input]) -> Case {
    case(inputs, |b, values| b.apply(op, values))
}

impl Case {
    pub fn draw(&self, seed: u64) -> Reals {
        let mut numbers = Numbers(seed);
        self.inputs.iter().enumerate().map(|(i, input)| (format!("in{i}"), input.draw(&mut numbers))).collect()
    }

    /// Greatest deviation of a gradient from finite differences, relative to the gradient's norm.
    pub fn deviation(&self, seed: u64) -> f64 {
        let is_float = |input: &Input| input.tensor_type.dtype == DType::F32;
        let floats = self.inputs.iter().enumerate().filter(|(_, input)| is_float(input)).map(|(i, _)| i);
        let pairs: Vec<(String, String)> = floats.map(|i| (format!("in{i}"), format!("grad{i}"))).collect();
        // The last input weighs the result, and is not differentiated.
        deviation(&self.graph, &self.draw(seed), &pairs[..pairs.len() - 1])
    }
}

/// Greatest deviation of the gradients, by the input's name and the output's, of the output `loss`.
pub fn deviation(graph: &Graph, reals: &Reals, gradients: &[(String, String)]) -> f64 {
    let made = run(graph, reals).unwrap();
    let mut greatest = 0.0f64;
    for (input, output) in gradients {
        let gradient = &made[output];
        assert_eq!(gradient.len(), reals[input].len(), "{input}");
        let expected: Vec<f64> = (0..gradient.len()).map(|at| difference(graph, reals, input, at)).collect();
        let distance = norm(gradient.iter().zip(&expected).map(|(a, b)| a - b));
        let deviation = distance / norm(expected.iter().copied()).max(1e-3);
        assert!(deviation.is_finite(), "{input}: {gradient:?}");
        greatest = greatest.max(deviation);
    }
    greatest
}

/// Fourth-order central difference: its error is h⁴/30 of the fifth derivative.
fn difference(graph: &Graph, reals: &Reals, name: &str, at: usize) -> f64 {
    const STEP: f64 = 1.0 / 1024.0;
    let loss = |steps: f64| {
        let mut moved = reals.clone();
        moved.get_mut(name).unwrap()[at] += steps * STEP;
        run(graph, &moved).unwrap()["loss"][0]
    };
    (8.0 * (loss(1.0) - loss(-1.0)) - (loss(2.0) - loss(-2.0))) / (12.0 * STEP)
}

pub fn norm(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|x| x * x).sum::<f64>().sqrt()
}

/// Cases of one name, each with other numbers.
pub struct Tally {
    pub cases: usize,
    pub greatest: f64,
}

impl Tally {
    pub fn new() -> Self {
        Self { cases: 0, greatest: 0.0 }
    }

    /// The gradients meet finite differences.
    pub fn check(&mut self, what: &str, case: &Case) {
        let deviation = case.deviation(0xC0FFEE + self.cases as u64);
        assert!(deviation <= 1e-6, "{what}, case {}: {deviation}", self.cases);
        self.cases += 1;
        self.greatest = self.greatest.max(deviation);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        println!("{} cases, greatest deviation {:.1e}", self.cases, self.greatest);
    }
}

//! How far a quantised graph's outputs are from the graph's.

use std::collections::BTreeMap;

use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_graph::Graph;

use crate::{Quantised, QuantizeError};

/// Accuracy over samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    /// For each output by name.
    pub outputs: BTreeMap<String, OutputAccuracy>,
}

/// Of one output, row by row: a row is everything after the first dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputAccuracy {
    /// Rows that were compared.
    pub rows: usize,
    /// Mean of the rows' cosines.
    pub mean_cosine: f64,
    /// The least.
    pub least_cosine: f64,
    /// ‖got − expected‖₂ / ‖expected‖₂ over all rows.
    pub relative_error: f64,
    /// Part of the rows whose greatest element is at the same place.
    pub top_1: f64,
}

/// Integers for the inputs of a quantised graph: floats divided by their scale, to the nearest byte.
pub fn quantised_inputs(quantised: &Quantised, inputs: &Tensors) -> Tensors {
    let one = |(name, tensor): (&str, &Tensor)| {
        let made = match (quantised.input_scales.get(name), tensor.data()) {
            (Some(scale), Data::F32(x)) => {
                let byte = |x: &f32| (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
                Tensor::new(tensor.shape(), Data::I8(x.iter().map(byte).collect()))
            }
            _ => tensor.clone(),
        };
        (name.to_owned(), made)
    };
    inputs.iter().map(one).collect()
}

/// What the integers of outputs stand for.
pub fn dequantised(quantised: &Quantised, outputs: &Tensors) -> Tensors {
    let one = |(name, tensor): (&str, &Tensor)| {
        let scale = quantised.output_scales.get(name);
        let made = match (scale, tensor.data()) {
            (Some(scale), Data::I32(x)) => Tensor::f32(tensor.shape(), x.iter().map(|x| *x as f32 * scale).collect()),
            (Some(scale), Data::I8(x)) => {
                Tensor::f32(tensor.shape(), x.iter().map(|x| f32::from(*x) * scale).collect())
            }
            _ => tensor.clone(),
        };
        (name.to_owned(), made)
    };
    outputs.iter().map(one).collect()
}

/// Runs both graphs on samples and compares their float outputs.
///
/// # Errors
/// Samples that do not fit.
pub fn compare(
    graph: &Graph,
    weights: &Tensors,
    quantised: &Quantised,
    samples: &[Tensors],
) -> Result<Accuracy, QuantizeError> {
    let mut exact = Executable::new(graph.clone());
    exact.hold(weights.clone())?;
    let mut whole = Executable::new(quantised.graph.clone());
    whole.hold(quantised.weights.clone())?;
    let mut rows: BTreeMap<String, Sums> = BTreeMap::new();
    for sample in samples {
        let expected = exact.run(sample.clone())?;
        let got = dequantised(quantised, &whole.run(quantised_inputs(quantised, sample))?);
        for (name, expected) in expected.iter() {
            let (Some(x), Some(y)) = (expected.as_f32(), got.get(name).and_then(Tensor::as_f32)) else { continue };
            let width = expected.shape().iter().skip(1).map(|dim| *dim as usize).product::<usize>().max(1);
            let sums = rows.entry(name.to_owned()).or_default();
            x.chunks(width).zip(y.chunks(width)).for_each(|(x, y)| sums.add(x, y));
        }
    }
    Ok(Accuracy { outputs: rows.into_iter().map(|(name, sums)| (name, sums.finish())).collect() })
}

#[derive(Default)]
struct Sums {
    cosines: Vec<f64>,
    error: f64,
    norm: f64,
    same: usize,
}

impl Sums {
    fn add(&mut self, x: &[f32], y: &[f32]) {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let norms = (dot(x, x) * dot(y, y)).sqrt();
        // Two rows of zeros are alike.
        let is_same = dot(x, x) == 0.0 && dot(y, y) == 0.0;
        self.cosines.push(if norms > 0.0 { dot(x, y) / norms } else { f64::from(u8::from(is_same)) });
        self.error += x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>();
        self.norm += dot(x, x);
        let first_greatest = |x: &[f32]| (0..x.len()).reduce(|best, at| if x[at] > x[best] { at } else { best });
        self.same += usize::from(first_greatest(x) == first_greatest(y));
    }

    fn finish(self) -> OutputAccuracy {
        let rows = self.cosines.len();
        OutputAccuracy {
            rows,
            mean_cosine: self.cosines.iter().sum::<f64>() / rows as f64,
            least_cosine: self.cosines.iter().copied().fold(f64::INFINITY, f64::min),
            relative_error: (self.error / self.norm.max(f64::MIN_POSITIVE)).sqrt(),
            top_1: self.same as f64 / rows as f64,
        }
    }
}

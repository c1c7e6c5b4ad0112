//! A forward graph of floats becomes one of integers alone, which has one right answer on every machine (`docs/exact.md`).
//!
//! [`quantize`] runs samples through the graph, chooses scales from what it sees, and rewrites every operation: products of
//! bytes, fixed-point scaling, tables for functions, integer norms. Nothing in the result computes with floats; [`Quantised`] says
//! what its integers mean. [`compare`] measures how far its outputs are from the graph's. Training is left out.
//! `docs/quantize.md` says what each operation becomes and why no sum overflows.

mod calibrate;
mod compare;
mod error;
mod fixed;
mod form;
mod norms;
mod rewrite;

use std::collections::BTreeMap;

use shoal_compute::Tensors;
use shoal_graph::{DType, Graph, passes};

pub use compare::{Accuracy, OutputAccuracy, compare, dequantised, quantised_inputs};
pub use error::{QuantizeError, UnsupportedOp};

/// How the range of an activation follows from what samples show of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RangeRule {
    /// The greatest magnitude that was seen.
    MinMax,
    /// The clip that loses least, in the mean of squares, between rounding what is inside and cutting what is outside.
    #[default]
    MeanSquare,
    /// The magnitude that all but one in ten thousand elements are within.
    Percentile,
}

/// How a graph is quantised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How ranges are chosen.
    pub rule: RangeRule,
    /// A left factor of a product of matrices takes two bytes where one loses more of its mean square: those few whose
    /// elements differ most in magnitude.
    pub max_loss: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { rule: RangeRule::default(), max_loss: 1e-3 }
    }
}

/// A graph of integers with its weights.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The same inputs and outputs by name, and weights of its own.
    pub graph: Graph,
    /// Inputs that stay: bytes, biases, multipliers, tables.
    pub weights: Tensors,
    /// For each input that was floats: what one step of its integer stands for.
    pub input_scales: BTreeMap<String, f32>,
    /// The same for each output that was floats.
    pub output_scales: BTreeMap<String, f32>,
}

impl Quantised {
    /// Bytes of the weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.iter().map(|(_, tensor)| tensor.tensor_type().bytes()).sum()
    }
}

/// Rewrites a graph. `weights` holds the inputs that stay; each of `samples` holds the others.
///
/// # Errors
/// Operations that have no integer form, all at once and by name; no samples; samples that do not fit or whose values are
/// not finite.
pub fn quantize(
    graph: &Graph,
    weights: &Tensors,
    samples: &[Tensors],
    options: Options,
) -> Result<Quantised, QuantizeError> {
    let graph = passes::simplify(graph)?;
    let facts = calibrate::Facts::gather(&graph, weights, samples, options)?;
    let made = rewrite::rewrite(&graph, &facts)?;
    let simple = passes::simplify(&made.graph)?;
    let (graph, weights) = without_unread(&simple, made.weights)?;
    debug_assert!(graph.types().iter().all(|value| value.dtype != DType::F32), "integers alone");
    Ok(Quantised { graph, weights, input_scales: made.input_scales, output_scales: made.output_scales })
}

/// Without the weights that no node reads.
fn without_unread(graph: &Graph, weights: Tensors) -> Result<(Graph, Tensors), QuantizeError> {
    let mut is_read = vec![false; graph.types().len()];
    for node in graph.nodes() {
        node.inputs.iter().for_each(|value| is_read[value.index()] = true);
    }
    graph.outputs().iter().for_each(|(_, value)| is_read[value.index()] = true);
    let unread: Vec<&str> = graph
        .inputs()
        .iter()
        .filter(|(name, value)| !is_read[value.index()] && weights.get(name).is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let kept = weights.iter().filter(|(name, _)| !unread.contains(name));
    let kept = kept.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    Ok((rewrite::without_inputs(graph, &unread)?, kept))
}

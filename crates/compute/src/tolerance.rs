//! How near a GPU's floats must be to the CPU's. Each output tensor is compared norm-wise, ‖got − ref‖₂ / ‖ref‖₂ ≤ bound.
//!
//! **Bound.** A sum of K products whose rounding errors are independent is off by about √K·u of its norm, with
//! u = 2⁻²⁴ (Higham & Mary, *A New Approach to Probabilistic Rounding Error Analysis*, 2019); every other operation
//! adds about one u, one that exponentiates [`EXPONENTIAL_ROUNDINGS`]. Errors along a path of the graph add, so
//! bound = [`SAFETY`]·u·max over paths of Σ (√K + 1).
//!
//! **Limits.** A tensor whose norm is far below the whole output's is measured against [`NORM_FLOOR`] of the whole, because
//! its own norm may be the remainder of a cancellation. An activation that two machines round to different sides of zero
//! flips a relu; that is rarer than one unit in a hundred for small nets, can exceed the bound, and is why a unit outside
//! it is never punished, only unpaid and recomputed.

use shoal_graph::{Binary, Graph, Op, Reduction, Unary, cost::product_depth};

use crate::{
    error::ComputeError,
    executable::check_type,
    tensor::{Tensor, Tensors},
};

/// Factor above the expected error: both sides round, errors within a sum are not quite independent, and a relative error
/// of a logit is amplified by its size when it is exponentiated (trained nets have logits of about 20). Seen: 10⁻⁶ for
/// a bound of 5·10⁻⁵, on a software GPU and with sums reordered, before and after training.
pub const SAFETY: f64 = 8.0;
/// Roundings that an operation with an exponential counts for: WGSL allows exp (3 + 2·|x|) units in the last place.
pub const EXPONENTIAL_ROUNDINGS: f64 = 16.0;
/// Share of the whole output's norm below which a tensor's own norm is not used.
pub const NORM_FLOOR: f64 = 1e-3;
/// Unit roundoff of f32.
const UNIT_ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// The bound for one run of a graph.
pub fn bound(graph: &Graph) -> f64 {
    let mut roundings = vec![0.0f64; graph.types().len()];
    for node in graph.nodes() {
        let before = node.inputs.iter().map(|value| roundings[value.index()]).fold(0.0, f64::max);
        let own = match &node.op {
            op if moves_only(op) => 0.0,
            Op::Softmax | Op::SoftmaxCrossEntropy | Op::SoftmaxCrossEntropyGrad => EXPONENTIAL_ROUNDINGS,
            Op::Unary(unary) if unary.is_transcendental() => EXPONENTIAL_ROUNDINGS,
            Op::Binary(Binary::Pow) => EXPONENTIAL_ROUNDINGS,
            _ => (product_depth(node, graph.types()) as f64).sqrt() + 1.0,
        };
        roundings[node.output.index()] = before + own;
    }
    let worst = graph.outputs().iter().map(|(_, value)| roundings[value.index()]).fold(0.0, f64::max);
    SAFETY * UNIT_ROUNDOFF * worst
}

/// Whether an operation rounds nothing.
fn moves_only(op: &Op) -> bool {
    match op {
        Op::Unary(unary) => matches!(unary, Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu),
        Op::Binary(binary) => matches!(binary, Binary::Max | Binary::Min) || binary.is_comparison(),
        Op::Reduce { reduction, .. } => matches!(reduction, Reduction::Max | Reduction::Min),
        Op::Constant(_)
        | Op::Iota { .. }
        | Op::Where
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::MaxPool2d { .. }
        | Op::MaxPool2dGrad { .. } => true,
        Op::Cast { .. }
        | Op::ScatterAdd { .. }
        | Op::ArgMax { .. }
        | Op::MatMul { .. }
        | Op::MatMulInteger { .. }
        | Op::Requantize { .. }
        | Op::Conv2d { .. }
        | Op::Conv2dInteger { .. }
        | Op::Conv2dGradInput { .. }
        | Op::Conv2dGradWeight { .. }
        | Op::SumPool2d { .. }
        | Op::SumPool2dGrad { .. }
        | Op::Softmax
        | Op::SoftmaxGrad
        | Op::SoftmaxCrossEntropy
        | Op::SoftmaxCrossEntropyGrad => false,
    }
}

/// Outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Greatest ‖got − ref‖₂ / ‖ref‖₂ of the tensors.
    pub distance: f64,
    /// The tensor that has it.
    pub tensor: String,
    /// What is allowed.
    pub bound: f64,
}

impl Comparison {
    /// Whether every tensor is within the bound.
    pub fn is_within(&self) -> bool {
        self.distance <= self.bound
    }
}

/// Compares a result with the reference. Integer tensors must be equal.
///
/// # Errors
/// Missing, unknown or differently shaped tensors, and non-finite elements: then there is nothing to measure.
pub fn compare_tolerant(got: &Tensors, reference: &Tensors, bound: f64) -> Result<Comparison, ComputeError> {
    if let Some((name, _)) = got.iter().find(|(name, _)| reference.get(name).is_none()) {
        return Err(ComputeError::UnknownTensor { name: name.to_owned() });
    }
    got.check_finite()?;
    let whole = reference.iter().map(|(_, tensor)| square_norm(tensor)).sum::<f64>().sqrt();
    let mut worst = Comparison { distance: 0.0, tensor: String::new(), bound };
    for (name, reference) in reference.iter() {
        let got = got.get(name).ok_or_else(|| ComputeError::MissingTensor { name: name.to_owned() })?;
        check_type(name, got, &reference.tensor_type())?;
        let difference = square_distance(got, reference).sqrt();
        let scale = square_norm(reference).sqrt().max(NORM_FLOOR * whole);
        let distance = match (difference, scale) {
            (0.0, _) => 0.0,
            (_, 0.0) => f64::INFINITY,
            (difference, scale) => difference / scale,
        };
        if distance > worst.distance || worst.tensor.is_empty() {
            worst = Comparison { distance, tensor: name.to_owned(), bound };
        }
    }
    Ok(worst)
}

fn square_norm(tensor: &Tensor) -> f64 {
    tensor.as_f32().map_or(0.0, |data| data.iter().map(|x| f64::from(*x).powi(2)).sum())
}

fn square_distance(a: &Tensor, b: &Tensor) -> f64 {
    match (a.as_f32(), b.as_f32()) {
        (Some(a), Some(b)) => a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum(),
        _ if a == b => 0.0,
        _ => f64::INFINITY,
    }
}

//! How long a graph takes on this machine: run with its weights and made-up inputs, on one thread.

use std::time::{Duration, Instant};

use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_graph::{DType, TensorType};
use shoal_onnx::Lowered;

use crate::rows::local::tensor;

/// Reference operations of a run that is measured: about a second of one core.
const MAX_MEASURED_OPS: u64 = 20_000_000_000;
/// Time for runs after the first, which prepares weights.
const ENOUGH: Duration = Duration::from_millis(500);
const MAX_RUNS: u32 = 50;

/// Seconds of the fastest run; none where a run would take long, or made-up inputs are refused.
pub(super) fn seconds(lowered: &Lowered) -> Option<f64> {
    let graph = &lowered.graph;
    if graph.reference_ops() > MAX_MEASURED_OPS {
        return None;
    }
    let is_weight = |name: &str| lowered.weights.iter().any(|(weight, _)| weight == name);
    let mut executable = Executable::new(graph.clone());
    executable.hold(lowered.weights.iter().map(|(name, weight)| (name.clone(), tensor(weight))).collect()).ok()?;
    let given = graph.inputs().iter().filter(|(name, _)| !is_weight(name));
    let inputs: Tensors = given.map(|(name, value)| (name.clone(), made_up(graph.value_type(*value)))).collect();
    let mut run = || {
        let inputs = inputs.clone();
        let started = Instant::now();
        executable.run(inputs).ok()?;
        Some(started.elapsed())
    };
    run()?;
    let started = Instant::now();
    let mut fastest = run()?;
    for _ in 1..MAX_RUNS {
        if started.elapsed() > ENOUGH {
            break;
        }
        fastest = fastest.min(run()?);
    }
    Some(fastest.as_secs_f64())
}

/// Floats without a pattern that a branch could learn; integers are 1, which every index and mask may be.
fn made_up(tensor_type: &TensorType) -> Tensor {
    let count = tensor_type.elements() as usize;
    let data = match tensor_type.dtype {
        DType::F32 => {
            let mut state = 1u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            };
            Data::F32((0..count).map(|_| next()).collect())
        }
        DType::I32 => Data::I32(vec![1; count]),
        DType::I8 => Data::I8(vec![1; count]),
        DType::U8 => Data::U8(vec![1; count]),
    };
    Tensor::new(tensor_type.shape.clone(), data)
}

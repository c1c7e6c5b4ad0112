//! Measures a model on labelled samples.

use shoal_graph::programs;
use shoal_wire::job::ModelSpec;

use crate::{
    cpu::CpuBackend,
    error::ComputeError,
    executable::check_type,
    tensor::{Tensor, Tensors},
};

/// Samples in one run of the inference graph: bounds memory, and small enough to be polite between runs.
const BATCH: u32 = 256;

/// How many samples a model labels as they are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Samples labelled right.
    pub correct: u32,
    /// All samples.
    pub total: u32,
}

impl Evaluation {
    /// Share labelled right, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.total)
    }
}

/// Runs the model over `data` (`x` f32 \[n, …sample\], `y` i32 \[n\]) on the CPU and counts where the greatest logit (the
/// first of equals) is the label's.
///
/// # Errors
/// A model that cannot be built, tensors that do not fit it.
pub fn evaluate(model: &ModelSpec, parameters: &Tensors, data: &Tensors) -> Result<Evaluation, ComputeError> {
    let tensor = |name: &str| data.get(name).ok_or_else(|| ComputeError::MissingTensor { name: name.to_owned() });
    let (samples, labels) = (tensor(programs::SAMPLES)?, tensor(programs::LABELS)?);
    let total = samples.shape().first().copied().unwrap_or(0);
    let label_type = shoal_graph::TensorType::i32([total]);
    check_type(programs::LABELS, labels, &label_type)?;
    let labels = labels.as_i32().expect("the type was checked");
    let mut correct = 0;
    let mut first = 0;
    let mut graph = None;
    let mut cpu = CpuBackend::new();
    while first < total {
        let batch = BATCH.min(total - first);
        if graph.as_ref().is_none_or(|(size, _)| *size != batch) {
            graph = Some((batch, programs::inference(model, batch)?));
        }
        let (_, graph) = graph.as_ref().expect("just made");
        let mut inputs = parameters.clone();
        inputs.insert(programs::SAMPLES, samples.gather_rows((0..batch as usize).map(|i| first as usize + i)));
        let logits = cpu.run_now(graph, inputs)?.remove(programs::LOGITS).expect("the graph's output");
        correct += count_correct(&logits, &labels[first as usize..]);
        first += batch;
    }
    Ok(Evaluation { correct, total })
}

fn count_correct(logits: &Tensor, labels: &[i32]) -> u32 {
    let width = logits.shape().last().copied().unwrap_or(1) as usize;
    let rows = logits.as_f32().expect("logits are f32").chunks(width);
    rows.zip(labels).filter(|(row, label)| usize::try_from(**label) == Ok(argmax(row))).count() as u32
}

/// Position of the greatest element, the first of equals.
fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate() {
        if *x > row[best] {
            best = i;
        }
    }
    best
}

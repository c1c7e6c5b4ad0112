//! Labelled samples from a consumer: checked whole before anything is cut from them.

use shoal_compute::{Tensor, Tensors};
use shoal_graph::programs::{LABELS, SAMPLES};

use super::PlanError;

/// Checked samples: `x` f32 \[n, …sample\] and `y` i32 \[n\] with labels in range.
#[derive(Clone, Debug)]
pub struct Dataset {
    samples: Tensor,
    labels: Tensor,
}

impl Dataset {
    /// Reads a safetensors blob named by `field` of the job document.
    ///
    /// # Errors
    /// Whatever does not fit a model with this input and this many classes.
    pub fn read(field: &'static str, bytes: &[u8], input: &[u32], classes: u32) -> Result<Self, PlanError> {
        let mut tensors = Tensors::from_bytes(bytes).map_err(|source| PlanError::Tensors { field, source })?;
        let mut take = |name: &'static str| tensors.remove(name).ok_or(PlanError::MissingTensor { field, name });
        let (samples, labels) = (take(SAMPLES)?, take(LABELS)?);
        if let Some((name, _)) = tensors.into_iter().next() {
            return Err(PlanError::UnknownTensor { field, name });
        }
        let wrong = |name, tensor: &Tensor, needed| {
            let found = format!("{:?} {:?}", tensor.tensor_type().dtype, tensor.shape());
            PlanError::WrongTensor { field, name, found, needed }
        };
        let fits = samples.shape().split_first().is_some_and(|(_, sample)| sample == input);
        let (Some(values), true) = (samples.as_f32(), fits) else {
            return Err(wrong(SAMPLES, &samples, format!("F32 [n, {}]", join(input))));
        };
        let n = samples.shape()[0];
        let Some(numbers) = labels.as_i32().filter(|_| labels.shape() == [n]) else {
            return Err(wrong(LABELS, &labels, format!("I32 [{n}]")));
        };
        if let Some(element) = values.iter().position(|value| !value.is_finite()) {
            return Err(PlanError::NonFinite { field, element, value: values[element] });
        }
        let bad = numbers.iter().position(|label| u32::try_from(*label).map_or(true, |label| label >= classes));
        if let Some(sample) = bad {
            return Err(PlanError::Label { field, label: numbers[sample], sample, classes });
        }
        Ok(Self { samples, labels })
    }

    /// Number of samples, at least one.
    #[allow(clippy::len_without_is_empty, reason = "tensors have no dimension of zero")]
    pub fn len(&self) -> u32 {
        self.samples.shape()[0]
    }

    /// These samples in this order.
    pub fn rows(&self, rows: &[u32]) -> Tensors {
        let width: usize = self.samples.shape()[1..].iter().map(|dim| *dim as usize).product();
        let values = self.samples.as_f32().expect("checked when read");
        let labels = self.labels.as_i32().expect("checked when read");
        let mut shape = self.samples.shape().to_vec();
        shape[0] = rows.len() as u32;
        let x = rows.iter().flat_map(|row| &values[*row as usize * width..][..width]).copied().collect();
        let y = rows.iter().map(|row| labels[*row as usize]).collect();
        let mut tensors = Tensors::new();
        tensors.insert(SAMPLES, Tensor::f32(shape, x));
        tensors.insert(LABELS, Tensor::i32([rows.len() as u32], y));
        tensors
    }
}

fn join(dims: &[u32]) -> String {
    dims.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

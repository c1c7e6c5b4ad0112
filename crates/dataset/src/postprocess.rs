//! What becomes of a model's outputs on the consumer's machine: sentence vectors and labels.

use crate::{Array, DatasetError};

/// Below this a vector's length counts as zero, as in sentence-transformers and `torch.nn.functional.normalize`.
const SMALLEST_NORM: f32 = 1e-12;

/// A label and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The label, or the index if labels are not known.
    pub label: String,
    /// Its score.
    pub score: f32,
}

/// Every row divided by its Euclidean length; `[rows, size]`.
pub fn l2_normalise(vectors: &Array) -> Result<Array, DatasetError> {
    let (Some(numbers), &[rows, size]) = (vectors.as_f32(), vectors.shape()) else {
        return Err(shape("the vectors", vectors, "f32[rows, size]"));
    };
    let mut numbers = numbers.to_vec();
    for vector in numbers.chunks_exact_mut((size as usize).max(1)) {
        let norm = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(SMALLEST_NORM);
        vector.iter_mut().for_each(|number| *number /= norm);
    }
    Ok(rows_of(rows, size as usize, numbers))
}

/// Scores as probabilities that sum to 1.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The `count` highest scores, highest first, of equal ones the earlier; what is not a number comes last.
pub fn top(scores: &[f32], count: usize, labels: &[String]) -> Vec<Ranked> {
    let key = |&at: &usize| if scores[at].is_nan() { f32::NEG_INFINITY } else { scores[at] };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| key(b).total_cmp(&key(a)));
    let ranked = order
        .into_iter()
        .take(count)
        .map(|at| Ranked { label: labels.get(at).cloned().unwrap_or_else(|| at.to_string()), score: scores[at] });
    ranked.collect()
}

fn rows_of(rows: u32, size: usize, numbers: Vec<f32>) -> Array {
    Array::new(vec![rows, size as u32], crate::Elements::F32(numbers)).expect("rows times size")
}

fn shape(what: &'static str, array: &Array, expected: &'static str) -> DatasetError {
    DatasetError::Shape { what, found: array.shape().to_vec(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Elements;

    #[test]
    fn normalised_vectors_have_length_one_and_zero_stays_zero() {
        let vectors = Array::new(vec![2, 2], Elements::F32(vec![3.0, 4.0, 0.0, 0.0])).unwrap();
        let expected = Array::new(vec![2, 2], Elements::F32(vec![0.6, 0.8, 0.0, 0.0])).unwrap();
        assert_eq!(l2_normalise(&vectors).unwrap(), expected);
        let message = l2_normalise(&Array::vector(vec![1.0])).unwrap_err().to_string();
        assert_eq!(message, "the vectors has shape [1], f32[rows, size] was expected");
    }

    #[test]
    fn the_highest_scores_come_first() {
        let labels = ["cat", "dog", "owl"].map(str::to_owned);
        let ranked = top(&[0.1, f32::NAN, 0.7, 0.7], 3, &labels);
        let names: Vec<_> = ranked.iter().map(|ranked| &*ranked.label).collect();
        assert_eq!(names, ["owl", "3", "cat"]);
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
    }
}

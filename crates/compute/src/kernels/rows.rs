//! Row reductions and what is built on them: softmax and cross-entropy. A reduction runs in 16 interleaved lanes, lane i
//! taking elements i, i + 16, …, and then folds the lanes in halves: 16 to 8 to 4 to 2 to 1.

use super::math::{exp, log};
use crate::error::ComputeError;

const LANES: usize = 16;

fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Sum of a row.
pub(crate) fn sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    fold(lanes, |a, b| a + b)
}

/// Greatest element of a row; the earlier one of two that compare equal.
fn max(row: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = greater(*lane, *x);
        }
    }
    fold(lanes, greater)
}

/// exp(x − max) of a row, in place; returns the maximum and the sum.
fn exponentials(row: &mut [f32]) -> (f32, f32) {
    let max = max(row);
    for x in row.iter_mut() {
        *x = exp(*x - max);
    }
    (max, sum(row))
}

/// Rows of `width`, each exp(x − max) / Σ.
pub(crate) fn softmax(x: &[f32], width: usize) -> Vec<f32> {
    let mut y = x.to_vec();
    for row in y.chunks_mut(width) {
        let (_, total) = exponentials(row);
        for x in row {
            *x /= total;
        }
    }
    y
}

/// dx = y·(dy − Σ y·dy), row by row.
pub(crate) fn softmax_grad(y: &[f32], dy: &[f32], width: usize) -> Vec<f32> {
    let mut dx = Vec::with_capacity(y.len());
    for (y, dy) in y.chunks(width).zip(dy.chunks(width)) {
        let products: Vec<f32> = y.iter().zip(dy).map(|(y, dy)| y * dy).collect();
        let total = sum(&products);
        dx.extend(y.iter().zip(dy).map(|(y, dy)| y * (dy - total)));
    }
    dx
}

/// Mean over the rows of ln Σ exp(x − max) − (x\[label\] − max).
pub(crate) fn softmax_cross_entropy(logits: &[f32], labels: &[i32], width: usize) -> Result<f32, ComputeError> {
    let mut losses = Vec::with_capacity(labels.len());
    for (sample, (row, label)) in logits.chunks(width).zip(labels).enumerate() {
        let label = class(*label, sample, width)?;
        let mut exponents = row.to_vec();
        let (max, total) = exponentials(&mut exponents);
        losses.push(log(total) - (row[label] - max));
    }
    Ok(sum(&losses) / labels.len() as f32)
}

/// (softmax(logits) − one-hot(labels))·(dloss / n). At the label the difference is −(Σ of the other exponentials) / Σ, so
/// that a confident row does not cancel.
pub(crate) fn softmax_cross_entropy_grad(
    logits: &[f32],
    labels: &[i32],
    dloss: f32,
    width: usize,
) -> Result<Vec<f32>, ComputeError> {
    let factor = dloss / labels.len() as f32;
    let mut gradient = logits.to_vec();
    for (sample, (row, label)) in gradient.chunks_mut(width).zip(labels).enumerate() {
        let label = class(*label, sample, width)?;
        let (_, total) = exponentials(row);
        row[label] = 0.0;
        row[label] = -sum(row);
        for x in row {
            *x = (*x / total) * factor;
        }
    }
    Ok(gradient)
}

fn class(label: i32, sample: usize, classes: usize) -> Result<usize, ComputeError> {
    usize::try_from(label).ok().filter(|label| *label < classes).ok_or(ComputeError::LabelOutOfRange {
        label,
        sample,
        classes,
    })
}

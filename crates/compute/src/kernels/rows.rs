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
    combined(row, 0.0, |a, b| a + b)
}

/// Greatest element of a row; the earlier one of two that compare equal.
pub(crate) fn max(row: &[f32]) -> f32 {
    combined(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// Least element of a row; the earlier one of two that compare equal.
pub(crate) fn min(row: &[f32]) -> f32 {
    combined(row, f32::INFINITY, |a, b| if b < a { b } else { a })
}

/// Product of a row.
pub(crate) fn product(row: &[f32]) -> f32 {
    combined(row, 1.0, |a, b| a * b)
}

fn combined(row: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = combine(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = combine(*lane, *x);
    }
    fold(lanes, combine)
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
pub(crate) fn softmax(x: &[f32], width: usize, y: &mut [f32]) {
    y.copy_from_slice(x);
    for row in y.chunks_mut(width) {
        let (_, total) = exponentials(row);
        for x in row {
            *x /= total;
        }
    }
}

/// dx = y·(dy − Σ y·dy), row by row.
pub(crate) fn softmax_grad(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    for ((y, dy), dx) in y.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width)) {
        for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = y * dy;
        }
        let total = sum(dx);
        for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = y * (dy - total);
        }
    }
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
    gradient: &mut [f32],
) -> Result<(), ComputeError> {
    let factor = dloss / labels.len() as f32;
    gradient.copy_from_slice(logits);
    for (sample, (row, label)) in gradient.chunks_mut(width).zip(labels).enumerate() {
        let label = class(*label, sample, width)?;
        let (_, total) = exponentials(row);
        row[label] = 0.0;
        row[label] = -sum(row);
        for x in row {
            *x = (*x / total) * factor;
        }
    }
    Ok(())
}

fn class(label: i32, sample: usize, classes: usize) -> Result<usize, ComputeError> {
    usize::try_from(label).ok().filter(|label| *label < classes).ok_or(ComputeError::LabelOutOfRange {
        label,
        sample,
        classes,
    })
}

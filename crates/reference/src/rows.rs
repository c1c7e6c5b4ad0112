//! Operations that combine the elements of rows.

use shoal_graph::{Binary, Reduction};

use crate::{
    Error, Operand, checked, elementwise,
    shape::{elements, indices, position},
};

pub(crate) fn reduce(reduction: Reduction, x: Operand<'_>, axes: &[u32], made: &[u32]) -> Vec<f64> {
    let (start, binary) = match reduction {
        Reduction::Sum => (0.0, Binary::Add),
        Reduction::Product => (1.0, Binary::Mul),
        Reduction::Max => (f64::NEG_INFINITY, Binary::Max),
        Reduction::Min => (f64::INFINITY, Binary::Min),
    };
    let combine = elementwise::of(x.dtype);
    let mut y = vec![start; elements(made)];
    for (element, index) in x.data.iter().zip(indices(x.shape)) {
        let combined = &mut y[position(made, &without(&index, axes))];
        *combined = combine(binary, *combined, *element);
    }
    y
}

pub(crate) fn arg_max(x: Operand<'_>, axis: u32, made: &[u32]) -> Vec<f64> {
    let mut greatest = vec![None; elements(made)];
    for (element, index) in x.data.iter().zip(indices(x.shape)) {
        let at = &mut greatest[position(made, &without(&index, &[axis]))];
        if at.is_none_or(|(other, _)| *element > other) {
            *at = Some((*element, index[axis as usize]));
        }
    }
    greatest.into_iter().map(|at| at.map_or(0.0, |(_, place)| place as f64)).collect()
}

pub(crate) fn softmax(x: Operand<'_>) -> Vec<f64> {
    rows(x).flat_map(softmax_of).collect()
}

pub(crate) fn softmax_grad(y: Operand<'_>, dy: Operand<'_>) -> Vec<f64> {
    let row = |(y, dy): (&[f64], &[f64])| {
        let sum: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        y.iter().zip(dy).map(|(y, dy)| y * (dy - sum)).collect::<Vec<_>>()
    };
    rows(y).zip(rows(dy)).flat_map(row).collect()
}

pub(crate) fn cross_entropy(logits: Operand<'_>, labels: Operand<'_>) -> Result<Vec<f64>, Error> {
    let mut sum = 0.0;
    for (row, label) in rows(logits).zip(labels.data) {
        let label = checked("softmax_cross_entropy", *label, row.len())?;
        let greatest = greatest(row);
        sum += row.iter().map(|x| (x - greatest).exp()).sum::<f64>().ln() - (row[label] - greatest);
    }
    Ok(vec![sum / labels.data.len() as f64])
}

pub(crate) fn cross_entropy_grad(
    logits: Operand<'_>,
    labels: Operand<'_>,
    dloss: Operand<'_>,
) -> Result<Vec<f64>, Error> {
    let share = dloss.data[0] / labels.data.len() as f64;
    let mut dlogits = Vec::with_capacity(logits.data.len());
    for (row, label) in rows(logits).zip(labels.data) {
        let label = checked("softmax_cross_entropy_grad", *label, row.len())?;
        let weights = softmax_of(row).into_iter().enumerate();
        dlogits.extend(weights.map(|(at, weight)| (weight - f64::from(u8::from(at == label))) * share));
    }
    Ok(dlogits)
}

fn softmax_of(row: &[f64]) -> Vec<f64> {
    let greatest = greatest(row);
    let exponentials: Vec<f64> = row.iter().map(|x| (x - greatest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

fn greatest(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn rows(x: Operand<'_>) -> impl Iterator<Item = &[f64]> {
    x.data.chunks_exact(x.dim(x.shape.len() - 1))
}

fn without(index: &[usize], axes: &[u32]) -> Vec<usize> {
    (0..index.len()).filter(|axis| !axes.contains(&(*axis as u32))).map(|axis| index[axis]).collect()
}

//! Operations that make, move, repeat or drop elements.

use shoal_graph::{DType, Literal};

use crate::{
    Error, Operand, checked,
    shape::{elements, indices, position, stretched},
};

pub(crate) fn literal(literal: &Literal) -> Vec<f64> {
    match literal.tensor_type().dtype {
        DType::F32 => literal.f32_values().map(f64::from).collect(),
        DType::I32 => literal.i32_values().map(f64::from).collect(),
        DType::I8 => literal.bytes().iter().map(|byte| f64::from(*byte as i8)).collect(),
        DType::U8 => literal.bytes().iter().map(|byte| f64::from(*byte)).collect(),
    }
}

pub(crate) fn iota(axis: usize, made: &[u32]) -> Vec<f64> {
    indices(made).map(|index| index[axis] as f64).collect()
}

pub(crate) fn transpose(x: Operand<'_>, axes: &[u32], made: &[u32]) -> Vec<f64> {
    let moved = |index: Vec<usize>| {
        let mut from = vec![0; index.len()];
        for (axis, at) in axes.iter().zip(index) {
            from[*axis as usize] = at;
        }
        x.data[position(x.shape, &from)]
    };
    indices(made).map(moved).collect()
}

pub(crate) fn broadcast(x: Operand<'_>, made: &[u32]) -> Vec<f64> {
    indices(made).map(|index| x.data[stretched(x.shape, &index)]).collect()
}

pub(crate) fn slice(x: Operand<'_>, starts: &[u32], steps: &[i32], made: &[u32]) -> Vec<f64> {
    let from = |axis: usize, at: usize| i64::from(starts[axis]) + at as i64 * i64::from(steps[axis]);
    indices(made)
        .map(|index| {
            let from: Vec<usize> = index.iter().enumerate().map(|(axis, at)| from(axis, *at) as usize).collect();
            x.data[position(x.shape, &from)]
        })
        .collect()
}

pub(crate) fn pad(x: Operand<'_>, low: &[u32], interior: &[u32], value: f32, made: &[u32]) -> Vec<f64> {
    let value = if x.dtype == DType::I32 { f64::from(value as i32) } else { f64::from(value) };
    let mut y = vec![value; elements(made)];
    for (element, index) in x.data.iter().zip(indices(x.shape)) {
        let to = |(axis, at): (usize, &usize)| low[axis] as usize + at * (interior[axis] as usize + 1);
        let to: Vec<usize> = index.iter().enumerate().map(to).collect();
        y[position(made, &to)] = *element;
    }
    y
}

pub(crate) fn concat(operands: &[Operand<'_>], axis: usize, made: &[u32]) -> Vec<f64> {
    let mut y = vec![0.0; elements(made)];
    let mut before = 0;
    for x in operands {
        for (element, mut index) in x.data.iter().zip(indices(x.shape)) {
            index[axis] += before;
            y[position(made, &index)] = *element;
        }
        before += x.dim(axis);
    }
    y
}

pub(crate) fn gather(x: Operand<'_>, chosen: Operand<'_>, axis: usize, made: &[u32]) -> Result<Vec<f64>, Error> {
    let after = axis + chosen.shape.len();
    indices(made)
        .map(|index| {
            let which = chosen.data[position(chosen.shape, &index[axis..after])];
            let which = checked("gather", which, x.dim(axis))?;
            let from = [&index[..axis], &[which], &index[after..]].concat();
            Ok(x.data[position(x.shape, &from)])
        })
        .collect()
}

pub(crate) fn scatter_add(
    updates: Operand<'_>,
    chosen: Operand<'_>,
    axis: usize,
    made: &[u32],
) -> Result<Vec<f64>, Error> {
    let after = axis + chosen.shape.len();
    let mut y = vec![0.0; elements(made)];
    for (update, index) in updates.data.iter().zip(indices(updates.shape)) {
        let which = chosen.data[position(chosen.shape, &index[axis..after])];
        let which = checked("scatter_add", which, made[axis] as usize)?;
        let to = [&index[..axis], &[which], &index[after..]].concat();
        y[position(made, &to)] += update;
    }
    Ok(y)
}

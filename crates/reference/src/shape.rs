//! Positions in row-major tensors.

/// Product of the dimensions.
pub(crate) fn elements(shape: &[u32]) -> usize {
    shape.iter().map(|dim| *dim as usize).product()
}

/// Every index of a shape, in row-major order.
pub(crate) fn indices(shape: &[u32]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..elements(shape)).map(move |position| {
        let mut rest = position;
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis] as usize;
            rest /= shape[axis] as usize;
        }
        index
    })
}

/// Position of an index.
pub(crate) fn position(shape: &[u32], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |position, (dim, at)| position * *dim as usize + at)
}

/// Position, in a tensor that broadcasts, of an index of what it broadcasts to: aligned at the last axis, 1 stretches.
pub(crate) fn stretched(shape: &[u32], index: &[usize]) -> usize {
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).fold(0, |position, (dim, at)| position * *dim as usize + if *dim == 1 { 0 } else { *at })
}

//! Pooling over windows of an image.

use shoal_graph::{Axis2d, DType, Window2d};

use crate::{
    Operand,
    shape::{elements, indices, position},
};

pub(crate) fn max_pool(window: Window2d, kernel: [u32; 2], x: Operand<'_>, made: &[u32]) -> Vec<f64> {
    let least = if x.dtype == DType::I8 { i8::MIN.into() } else { f64::NEG_INFINITY };
    indices(made).map(|index| first_greatest(window, kernel, x, &index).map_or(least, |at| x.data[at])).collect()
}

pub(crate) fn max_pool_grad(window: Window2d, kernel: [u32; 2], x: Operand<'_>, dy: Operand<'_>) -> Vec<f64> {
    let mut dx = vec![0.0; x.data.len()];
    for (dy, index) in dy.data.iter().zip(indices(dy.shape)) {
        if let Some(at) = first_greatest(window, kernel, x, &index) {
            dx[at] += dy;
        }
    }
    dx
}

pub(crate) fn sum_pool(window: Window2d, kernel: [u32; 2], x: Operand<'_>, made: &[u32]) -> Vec<f64> {
    indices(made).map(|index| positions(window, kernel, x.shape, &index).iter().map(|at| x.data[*at]).sum()).collect()
}

pub(crate) fn sum_pool_grad(window: Window2d, kernel: [u32; 2], dy: Operand<'_>, made: &[u32]) -> Vec<f64> {
    let mut dx = vec![0.0; elements(made)];
    for (dy, index) in dy.data.iter().zip(indices(dy.shape)) {
        for at in positions(window, kernel, made, &index) {
            dx[at] += dy;
        }
    }
    dx
}

/// Where element `element` of window `place` lies along an axis of that extent; `None` in the padding.
pub(crate) fn inside(axis: Axis2d, place: usize, element: usize, extent: usize) -> Option<usize> {
    let padded = place * axis.stride as usize + element * axis.dilation as usize;
    padded.checked_sub(axis.low as usize).filter(|at| *at < extent)
}

fn first_greatest(window: Window2d, kernel: [u32; 2], x: Operand<'_>, index: &[usize]) -> Option<usize> {
    positions(window, kernel, x.shape, index).into_iter().reduce(
        |first, at| {
            if x.data[at] > x.data[first] { at } else { first }
        },
    )
}

/// Positions, in images of that shape, of the window that makes the result at an index; without the padding.
fn positions(window: Window2d, kernel: [u32; 2], image: &[u32], index: &[usize]) -> Vec<usize> {
    let [n, c, row, column] = *index else { unreachable!("images have four dimensions") };
    let mut positions = Vec::new();
    for kh in 0..kernel[0] as usize {
        let Some(h) = inside(window.height, row, kh, image[2] as usize) else { continue };
        for kw in 0..kernel[1] as usize {
            let Some(w) = inside(window.width, column, kw, image[3] as usize) else { continue };
            positions.push(position(image, &[n, c, h, w]));
        }
    }
    positions
}

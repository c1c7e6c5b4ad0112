//! Sums of products: matrices and convolutions.

use shoal_graph::{DType, Window2d};

use crate::{
    Operand,
    elementwise::wrapped,
    shape::{elements, position},
    windows::inside,
};

pub(crate) fn mat_mul(a: Operand<'_>, b: Operand<'_>, trans_a: bool, trans_b: bool, made: &[u32]) -> Vec<f64> {
    let rank = made.len();
    let (m, n) = (made[rank - 2] as usize, made[rank - 1] as usize);
    let k = if trans_a { a.dim(rank - 2) } else { a.dim(rank - 1) };
    let is_integer = a.dtype != DType::F32;
    let mut y = Vec::with_capacity(elements(made));
    for batch in 0..elements(&made[..rank - 2]) {
        let (a, b) = (&a.data[batch * m * k..], &b.data[batch * k * n..]);
        for i in 0..m {
            for j in 0..n {
                let product = |l: usize| {
                    let left = if trans_a { a[l * m + i] } else { a[i * k + l] };
                    let right = if trans_b { b[j * k + l] } else { b[l * n + j] };
                    left * right
                };
                let sum: f64 = (0..k).map(product).sum();
                y.push(if is_integer { wrapped(sum) } else { sum });
            }
        }
    }
    y
}

pub(crate) fn conv2d(window: Window2d, groups: u32, x: Operand<'_>, weight: Operand<'_>, made: &[u32]) -> Vec<f64> {
    let mut y = vec![0.0; elements(made)];
    each_product(window, groups, x.shape, weight.shape, made, |at| y[at.y] += x.data[at.x] * weight.data[at.weight]);
    y
}

pub(crate) fn conv2d_grad_input(
    window: Window2d,
    groups: u32,
    weight: Operand<'_>,
    dy: Operand<'_>,
    made: &[u32],
) -> Vec<f64> {
    let mut dx = vec![0.0; elements(made)];
    each_product(window, groups, made, weight.shape, dy.shape, |at| dx[at.x] += weight.data[at.weight] * dy.data[at.y]);
    dx
}

pub(crate) fn conv2d_grad_weight(
    window: Window2d,
    groups: u32,
    x: Operand<'_>,
    dy: Operand<'_>,
    made: &[u32],
) -> Vec<f64> {
    let mut dweight = vec![0.0; elements(made)];
    each_product(window, groups, x.shape, made, dy.shape, |at| dweight[at.weight] += x.data[at.x] * dy.data[at.y]);
    dweight
}

/// Positions of one product of a convolution: y += x·weight.
struct Product {
    x: usize,
    weight: usize,
    y: usize,
}

/// Every product of a convolution of x [n, c, h, w] with weight [o, c / groups, kh, kw] to y [n, o, oh, ow], except those with
/// padding, which are zero.
fn each_product(window: Window2d, groups: u32, x: &[u32], weight: &[u32], y: &[u32], mut product: impl FnMut(Product)) {
    let dims = |shape: &[u32]| [0, 1, 2, 3].map(|axis: usize| shape[axis] as usize);
    let [_, _, height, width] = dims(x);
    let [_, per_group, kernel_height, kernel_width] = dims(weight);
    let [samples, channels_out, rows, columns] = dims(y);
    let out_per_group = channels_out / groups as usize;
    for n in 0..samples {
        for o in 0..channels_out {
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                for c in 0..per_group {
                    let channel = o / out_per_group * per_group + c;
                    for kh in 0..kernel_height {
                        let Some(h) = inside(window.height, row, kh, height) else { continue };
                        for kw in 0..kernel_width {
                            let Some(w) = inside(window.width, column, kw, width) else { continue };
                            product(Product {
                                x: position(x, &[n, channel, h, w]),
                                weight: position(weight, &[o, c, kh, kw]),
                                y: position(y, &[n, o, row, column]),
                            });
                        }
                    }
                }
            }
        }
    }
}

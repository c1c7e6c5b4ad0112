//! Convolutions and pooling, as the sums over all places that their definitions are.

use shoal_graph::{Axis2d, Op, Window2d};

/// What an operation with windows makes of its operands; `None` for other operations.
pub fn apply(op: &Op, x: &[&[f64]], shapes: &[&[u32]], out: &[u32]) -> Option<Vec<f64>> {
    let mut y = vec![0.0; out.iter().map(|dim| *dim as usize).product()];
    match op {
        Op::Conv2d { window, groups } => {
            each_product(*window, *groups, shapes[0], shapes[1], out, |xi, wi, yi| y[yi] += x[0][xi] * x[1][wi]);
        }
        Op::Conv2dGradInput { window, groups, .. } => {
            each_product(*window, *groups, out, shapes[0], shapes[1], |xi, wi, yi| y[xi] += x[0][wi] * x[1][yi]);
        }
        Op::Conv2dGradWeight { window, groups, .. } => {
            each_product(*window, *groups, shapes[0], out, shapes[1], |xi, wi, yi| y[wi] += x[0][xi] * x[1][yi]);
        }
        Op::MaxPool2d { window, kernel_height, kernel_width } => {
            each_window(*window, [*kernel_height, *kernel_width], shapes[0], out, |window, yi| {
                y[yi] = window.iter().map(|xi| x[0][*xi]).fold(f64::NEG_INFINITY, f64::max);
            });
        }
        Op::MaxPool2dGrad { window, kernel_height, kernel_width } => {
            each_window(*window, [*kernel_height, *kernel_width], shapes[0], shapes[1], |window, yi| {
                let best = window.iter().map(|xi| x[0][*xi]).fold(f64::NEG_INFINITY, f64::max);
                if let Some(xi) = window.iter().find(|xi| x[0][**xi] == best) {
                    y[*xi] += x[1][yi];
                }
            });
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            each_window(*window, [*kernel_height, *kernel_width], shapes[0], out, |window, yi| {
                y[yi] = window.iter().map(|xi| x[0][*xi]).sum();
            });
        }
        Op::SumPool2dGrad { window, kernel_height, kernel_width, .. } => {
            each_window(*window, [*kernel_height, *kernel_width], out, shapes[0], |window, yi| {
                window.iter().for_each(|xi| y[*xi] += x[0][yi]);
            });
        }
        _ => return None,
    }
    Some(y)
}

/// Place in the image of a window's element along one axis, unless it is padding.
fn place(axis: Axis2d, window: u32, element: u32, extent: u32) -> Option<u32> {
    let padded = window * axis.stride + element * axis.dilation;
    padded.checked_sub(axis.low).filter(|at| *at < extent)
}

fn pairs(height: u32, width: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

fn flat(shape: &[u32], index: [u32; 4]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (i, dim)| flat * *dim as usize + *i as usize)
}

/// Calls with the flat indices of (image element, weight, output element) of every product of a convolution.
fn each_product(
    window: Window2d,
    groups: u32,
    image: &[u32],
    weight: &[u32],
    out: &[u32],
    mut call: impl FnMut(usize, usize, usize),
) {
    for (n, o) in pairs(image[0], weight[0]) {
        let group = o / (weight[0] / groups);
        for c in 0..weight[1] {
            for ((oy, ox), (ky, kx)) in
                pairs(out[2], out[3]).flat_map(|out| pairs(weight[2], weight[3]).map(move |kernel| (out, kernel)))
            {
                let (Some(iy), Some(ix)) =
                    (place(window.height, oy, ky, image[2]), place(window.width, ox, kx, image[3]))
                else {
                    continue;
                };
                let channel = group * weight[1] + c;
                call(flat(image, [n, channel, iy, ix]), flat(weight, [o, c, ky, kx]), flat(out, [n, o, oy, ox]));
            }
        }
    }
}

/// Calls with the flat indices of a window's elements in the image, and of its result.
fn each_window(window: Window2d, kernel: [u32; 2], image: &[u32], out: &[u32], mut call: impl FnMut(&[usize], usize)) {
    for (n, c) in pairs(image[0], image[1]) {
        for (oy, ox) in pairs(out[2], out[3]) {
            let elements: Vec<usize> = pairs(kernel[0], kernel[1])
                .filter_map(|(ky, kx)| {
                    let (y, x) = (place(window.height, oy, ky, image[2])?, place(window.width, ox, kx, image[3])?);
                    Some(flat(image, [n, c, y, x]))
                })
                .collect();
            call(&elements, flat(out, [n, c, oy, ox]));
        }
    }
}

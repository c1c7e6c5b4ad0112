//! Reductions over any axes. Over the last axes alone, rows run in 16 lanes ([`rows`]); over others, each result takes its
//! elements in row-major order, one after the other, starting at the neutral element.

use shoal_graph::Reduction;

use super::rows;

/// Results that are accumulated side by side where each is one long chain of additions.
const CHAINS: usize = 8;

/// x of that shape combined over ascending axes.
pub(crate) fn reduce(reduction: Reduction, x: &[f32], shape: &[u32], axes: &[u32], y: &mut [f32]) {
    let runs = runs(shape, axes);
    if let [.., (width, true)] = runs[..]
        && runs.len() <= 2
    {
        for (y, row) in y.iter_mut().zip(x.chunks(width)) {
            *y = match reduction {
                Reduction::Sum => rows::sum(row),
                Reduction::Product => rows::product(row),
                Reduction::Max => rows::max(row),
                Reduction::Min => rows::min(row),
            };
        }
        return;
    }
    match reduction {
        Reduction::Sum => ascending(x, &runs, 0.0, y, |sum, x| sum + x),
        Reduction::Product => ascending(x, &runs, 1.0, y, |product, x| product * x),
        Reduction::Max => ascending(x, &runs, f32::NEG_INFINITY, y, |max, x| if x > max { x } else { max }),
        Reduction::Min => ascending(x, &runs, f32::INFINITY, y, |min, x| if x < min { x } else { min }),
    }
}

/// The same for integers, whose order does not matter.
pub(crate) fn reduce_i32(reduction: Reduction, x: &[i32], shape: &[u32], axes: &[u32], y: &mut [i32]) {
    let runs = runs(shape, axes);
    match reduction {
        Reduction::Sum => ascending(x, &runs, 0, y, i32::wrapping_add),
        Reduction::Product => ascending(x, &runs, 1, y, i32::wrapping_mul),
        Reduction::Max => ascending(x, &runs, i32::MIN, y, i32::max),
        Reduction::Min => ascending(x, &runs, i32::MAX, y, i32::min),
    }
}

/// Position of the greatest along an axis, the first of equals.
pub(crate) fn arg_max(x: &[f32], shape: &[u32], axis: usize, y: &mut [i32]) {
    let extent = shape[axis] as usize;
    let inner: usize = shape[axis + 1..].iter().map(|dim| *dim as usize).product();
    for (outer, out) in x.chunks(extent * inner).zip(y.chunks_mut(inner)) {
        for (column, out) in out.iter_mut().enumerate() {
            let mut best = 0;
            for at in 1..extent {
                if outer[at * inner + column] > outer[best * inner + column] {
                    best = at;
                }
            }
            *out = best as i32;
        }
    }
}

/// Neighbouring axes of one kind as one: its extent, and whether it is combined.
fn runs(shape: &[u32], axes: &[u32]) -> Vec<(usize, bool)> {
    let mut runs: Vec<(usize, bool)> = Vec::new();
    for (axis, dim) in shape.iter().enumerate() {
        let is_reduced = axes.contains(&(axis as u32));
        match runs.last_mut() {
            Some((extent, kind)) if *kind == is_reduced => *extent *= *dim as usize,
            _ => runs.push((*dim as usize, is_reduced)),
        }
    }
    runs
}

fn ascending<T: Copy>(x: &[T], runs: &[(usize, bool)], start: T, y: &mut [T], combine: impl Fn(T, T) -> T + Copy) {
    y.fill(start);
    accumulate(x, runs, y, combine);
}

/// Combines y with x, whose axes are `runs`, in row-major order of x.
fn accumulate<T: Copy>(x: &[T], runs: &[(usize, bool)], y: &mut [T], combine: impl Fn(T, T) -> T + Copy) {
    match runs {
        [] => y[0] = combine(y[0], x[0]),
        [(_, true)] => y[0] = x.iter().fold(y[0], |sum, x| combine(sum, *x)),
        [(_, false)] => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = combine(*y, *x);
            }
        }
        [(_, false), (width, true)] => chains(x, *width, y, combine),
        [(extent, is_reduced), inner @ ..] => {
            let (x_len, y_len) = (x.len() / extent, if *is_reduced { y.len() } else { y.len() / extent });
            for (at, x) in x.chunks(x_len).enumerate() {
                let first = if *is_reduced { 0 } else { at * y_len };
                accumulate(x, inner, &mut y[first..first + y_len], combine);
            }
        }
    }
}

/// Each y continues with its row of x. Several rows go side by side, because one addition has to wait for the other.
fn chains<T: Copy>(x: &[T], width: usize, y: &mut [T], combine: impl Fn(T, T) -> T + Copy) {
    for (x, y) in x.chunks(CHAINS * width).zip(y.chunks_mut(CHAINS)) {
        let Ok(sums) = <&mut [T; CHAINS]>::try_from(&mut *y) else {
            for (y, row) in y.iter_mut().zip(x.chunks(width)) {
                *y = row.iter().fold(*y, |sum, x| combine(sum, *x));
            }
            continue;
        };
        let rows: [&[T]; CHAINS] = std::array::from_fn(|row| &x[row * width..][..width]);
        let mut local = *sums;
        for at in 0..width {
            for (sum, row) in local.iter_mut().zip(rows) {
                *sum = combine(*sum, row[at]);
            }
        }
        *sums = local;
    }
}

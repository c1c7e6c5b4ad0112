//! Convolutions of 8-bit integers, exact in 32 bits. A block of output rows at a time, the windows of one sample are laid
//! out as a matrix \[K, places\] of bytes, which the integer product reads; a window of one element reads the image where
//! it lies. Where each channel has a kernel of its own, rows are summed directly.

use super::{
    conv::Conv,
    integer::{Byte, integer_accumulate},
    matrix::Matrix,
    scratch::Scratch,
};

/// Bytes of windows laid out at once: they stay in the second-level cache beside the packed weights.
const BLOCK_BYTES: usize = 256 * 1024;
/// Places of a block at least, so that packing the weights again is little beside the products.
const LEAST_PLACES: usize = 512;

/// y \[samples, out_channels, out_height, out_width\] is overwritten; padding is 0.
pub(crate) fn convolve<T: Byte + Default>(conv: &Conv, scratch: &mut Scratch, x: &[T], weight: &[i8], y: &mut [i32]) {
    let (plane, out_plane) = (conv.height * conv.width, conv.out_height * conv.out_width);
    let (per_group, out_per_group) = (conv.channels / conv.groups, conv.out_channels / conv.groups);
    let depth = per_group * conv.kernel_height * conv.kernel_width;
    assert_eq!(x.len(), conv.samples * conv.channels * plane, "the image has its sizes");
    assert_eq!(weight.len(), conv.out_channels * depth, "the weights have their sizes");
    assert_eq!(y.len(), conv.samples * conv.out_channels * out_plane, "the result has its sizes");
    y.fill(0);
    let images = x.chunks(per_group * plane);
    for ((group, image), y) in images.enumerate().zip(y.chunks_mut(out_per_group * out_plane)) {
        let first = group % conv.groups * out_per_group;
        let weight = &weight[first * depth..][..out_per_group * depth];
        if per_group == 1 && out_per_group == 1 {
            depthwise(conv, image, weight, y);
        } else if conv.is_pointwise() {
            let (left, right) = (Matrix::rows(weight, depth), Matrix::rows(image, plane));
            integer_accumulate(scratch, out_per_group, plane, depth, left, right, y, plane);
        } else {
            unfolded(conv, scratch, image, weight, y);
        }
    }
}

impl Conv {
    /// Whether each window is one element, each element's own.
    fn is_pointwise(&self) -> bool {
        let sizes = [self.out_height, self.out_width] == [self.height, self.width];
        [self.kernel_height, self.kernel_width] == [1, 1] && self.stride == [1, 1] && self.low == [0, 0] && sizes
    }
}

/// One group of one sample.
fn unfolded<T: Byte + Default>(conv: &Conv, scratch: &mut Scratch, image: &[T], weight: &[i8], y: &mut [i32]) {
    let (width, out_plane) = (conv.out_width, conv.out_height * conv.out_width);
    let rows = y.len() / out_plane;
    let depth = weight.len() / rows;
    let places = (BLOCK_BYTES / depth).max(LEAST_PLACES);
    let block = (places / width).clamp(1, conv.out_height);
    let mut windows = vec![T::default(); depth * block * width];
    for first in (0..conv.out_height).step_by(block) {
        let lines = block.min(conv.out_height - first);
        let count = lines * width;
        let mut elements = windows.chunks_mut(count);
        for plane in image.chunks(conv.height * conv.width) {
            for (kernel_row, kernel_column) in kernel(conv) {
                let out = elements.next().expect("there is a row for each element of a window");
                for (line, out) in out.chunks_mut(width).enumerate() {
                    read_line(conv, plane, first + line, kernel_row, kernel_column, out);
                }
            }
        }
        let right = Matrix::rows(&windows[..depth * count], count);
        let left = Matrix::rows(weight, depth);
        integer_accumulate(scratch, rows, count, depth, left, right, &mut y[first * width..], out_plane);
    }
}

fn kernel(conv: &Conv) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (rows, columns) = (conv.kernel_height, conv.kernel_width);
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

/// The element at one place of the kernel for every window of an output row; 0 in the padding.
fn read_line<T: Byte + Default>(conv: &Conv, plane: &[T], row: usize, at: usize, column: usize, out: &mut [T]) {
    let y = (row * conv.stride[0] + at * conv.dilation[0]).wrapping_sub(conv.low[0]);
    if y >= conv.height {
        return out.fill(T::default());
    }
    let line = &plane[y * conv.width..][..conv.width];
    let (first, last, start) = inside(conv, column, out.len());
    out[..first].fill(T::default());
    out[last..].fill(T::default());
    let out = &mut out[first..last];
    match conv.stride[1] {
        1 if !out.is_empty() => out.copy_from_slice(&line[start..][..out.len()]),
        step => out.iter_mut().enumerate().for_each(|(i, out)| *out = line[start + i * step]),
    }
}

/// Windows of a row whose element at this column of the kernel lies in the image: from, to, and where in the line the
/// first reads.
fn inside(conv: &Conv, column: usize, windows: usize) -> (usize, usize, usize) {
    let (step, low, offset) = (conv.stride[1], conv.low[1], column * conv.dilation[1]);
    let first = low.saturating_sub(offset).div_ceil(step).min(windows);
    let last = (conv.width + low).saturating_sub(offset).div_ceil(step).clamp(first, windows);
    (first, last, (first * step + offset).saturating_sub(low))
}

/// One channel with a kernel of its own.
fn depthwise<T: Byte>(conv: &Conv, image: &[T], weight: &[i8], y: &mut [i32]) {
    for (row, sums) in y.chunks_mut(conv.out_width).enumerate() {
        for ((at, column), weight) in kernel(conv).zip(weight) {
            let line = (row * conv.stride[0] + at * conv.dilation[0]).wrapping_sub(conv.low[0]);
            if line >= conv.height {
                continue;
            }
            let line = &image[line * conv.width..][..conv.width];
            let (first, last, start) = inside(conv, column, sums.len());
            if first == last {
                continue;
            }
            let (weight, step) = (i32::from(*weight), conv.stride[1]);
            let product = |x: &T| weight * Into::<i32>::into(*x);
            let sums = sums[first..last].iter_mut();
            match step {
                1 => sums.zip(&line[start..]).for_each(|(sum, x)| *sum += product(x)),
                step => sums.zip(line[start..].iter().step_by(step)).for_each(|(sum, x)| *sum += product(x)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Level;
    use super::*;

    fn bytes(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        // Every eleventh at an end of the range.
        (0..len).map(|i| if i % 11 == 0 { [0, 127, 128, 255][i % 4] } else { next() }).collect()
    }

    /// From the definition.
    fn plain<T: Byte>(conv: &Conv, x: &[T], weight: &[i8]) -> Vec<i32> {
        let (per_group, out_per_group) = (conv.channels / conv.groups, conv.out_channels / conv.groups);
        let mut y = Vec::new();
        for (n, o) in (0..conv.samples).flat_map(|n| (0..conv.out_channels).map(move |o| (n, o))) {
            for (oy, ox) in (0..conv.out_height).flat_map(|oy| (0..conv.out_width).map(move |ox| (oy, ox))) {
                let mut sum = 0;
                for c in 0..per_group {
                    for (ky, kx) in kernel(conv) {
                        let iy = (oy * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.low[0]);
                        let ix = (ox * conv.stride[1] + kx * conv.dilation[1]).wrapping_sub(conv.low[1]);
                        if iy >= conv.height || ix >= conv.width {
                            continue;
                        }
                        let channel = n * conv.channels + o / out_per_group * per_group + c;
                        let x: i32 = x[(channel * conv.height + iy) * conv.width + ix].into();
                        let w = ((o * per_group + c) * conv.kernel_height + ky) * conv.kernel_width + kx;
                        sum += x * i32::from(weight[w]);
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn sizes(image: [usize; 4], out: usize, kernel: [usize; 2], step: [usize; 2], pad: [usize; 4]) -> Conv {
        let [samples, channels, height, width] = image;
        let [low_y, high_y, low_x, high_x] = pad;
        let along = |extent: usize, kernel: usize, step: usize| (extent - kernel) / step + 1;
        Conv {
            samples,
            channels,
            height,
            width,
            out_channels: out,
            kernel_height: kernel[0],
            kernel_width: kernel[1],
            out_height: along(height + low_y + high_y, kernel[0], step[0]),
            out_width: along(width + low_x + high_x, kernel[1], step[1]),
            stride: step,
            dilation: [1, 1],
            low: [low_y, low_x],
            groups: 1,
        }
    }

    #[test]
    fn sums_are_exact_around_every_edge_at_every_level() {
        let square = |pad| [pad; 4];
        let dilated = Conv {
            dilation: [2, 3],
            out_height: 9,
            out_width: 3,
            ..sizes([2, 4, 11, 7], 6, [3, 3], [1, 1], [1, 1, 1, 1])
        };
        let cases = [
            sizes([1, 1, 1, 1], 1, [1, 1], [1, 1], square(0)),
            sizes([2, 3, 8, 8], 5, [3, 3], [1, 1], square(1)),
            sizes([2, 3, 8, 8], 5, [1, 1], [1, 1], square(0)),
            sizes([2, 3, 9, 7], 5, [1, 1], [2, 2], square(0)),
            sizes([1, 3, 13, 6], 4, [5, 4], [2, 3], [3, 0, 1, 4]),
            // More padding than image, windows all of padding among them.
            sizes([1, 2, 2, 3], 3, [2, 2], [1, 2], square(5)),
            dilated,
            Conv { groups: 2, ..dilated },
            // Depthwise, strided too.
            Conv { groups: 4, out_channels: 4, ..sizes([2, 4, 9, 17], 4, [3, 3], [1, 1], square(1)) },
            Conv { groups: 4, out_channels: 4, ..sizes([2, 4, 9, 17], 4, [3, 3], [2, 2], square(1)) },
            Conv { groups: 4, out_channels: 8, ..sizes([1, 4, 6, 5], 8, [3, 3], [1, 1], square(1)) },
            // Several blocks of rows; one of them shorter.
            sizes([1, 70, 45, 40], 9, [3, 3], [1, 1], square(1)),
        ];
        for conv in cases {
            let x = bytes(conv.samples * conv.channels * conv.height * conv.width, 3);
            let depth = conv.channels / conv.groups * conv.kernel_height * conv.kernel_width;
            let signed = |bytes: &[u8]| bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<i8>>();
            let weight = signed(&bytes(conv.out_channels * depth, 4));
            let expected = [plain(&conv, &signed(&x), &weight), plain(&conv, &x, &weight)];
            for level in Level::available() {
                let mut y = vec![9; expected[0].len()];
                convolve(&conv, &mut Scratch::at(level), &signed(&x), &weight, &mut y);
                assert!(y == expected[0], "i8 {conv:?} {level:?}");
                convolve(&conv, &mut Scratch::at(level), &x, &weight, &mut y);
                assert!(y == expected[1], "u8 {conv:?} {level:?}");
            }
        }
    }
}

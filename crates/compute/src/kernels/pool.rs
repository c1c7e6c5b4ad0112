//! Pooling over windows of an image. The greatest of a window is its first in row-major order among equals, and a NaN
//! never wins against an earlier element; padding never wins. Sums go in row-major order of the window from +0.

/// Where the windows of one image lie.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) image: [usize; 2],
    pub(crate) out: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) low: [usize; 2],
}

impl Pool {
    fn image_len(&self) -> usize {
        self.image[0] * self.image[1]
    }

    fn out_len(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Calls `f` with the position of each element of a window that lies in the image, in row-major order.
    #[inline(always)]
    fn each(&self, oy: usize, ox: usize, mut f: impl FnMut(usize)) {
        for ky in 0..self.kernel[0] {
            let y = (oy * self.stride[0] + ky * self.dilation[0]).wrapping_sub(self.low[0]);
            if y >= self.image[0] {
                continue;
            }
            for kx in 0..self.kernel[1] {
                let x = (ox * self.stride[1] + kx * self.dilation[1]).wrapping_sub(self.low[1]);
                if x < self.image[1] {
                    f(y * self.image[1] + x);
                }
            }
        }
    }

    /// Position of the greatest element of a window; none where all of it is padding.
    #[inline(always)]
    fn winner<T: Copy + PartialOrd>(&self, image: &[T], oy: usize, ox: usize) -> Option<usize> {
        let mut best = None;
        self.each(oy, ox, |at| {
            if best.is_none_or(|best| image[at] > image[best]) {
                best = Some(at);
            }
        });
        best
    }

    /// y \[…, oh, ow\]: greatest of each window of x \[…, h, w\], `least` where all of it is padding.
    pub(crate) fn max<T: Copy + PartialOrd>(&self, x: &[T], y: &mut [T], least: T) {
        if self.halves() {
            return self.max_of_halves(x, y);
        }
        for (image, y) in x.chunks(self.image_len()).zip(y.chunks_mut(self.out_len())) {
            for (oy, line) in y.chunks_mut(self.out[1]).enumerate() {
                for (ox, y) in line.iter_mut().enumerate() {
                    *y = self.winner(image, oy, ox).map_or(least, |at| image[at]);
                }
            }
        }
    }

    /// dx: each dy to the greatest element of its window.
    pub(crate) fn max_grad(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        if self.halves() {
            return self.max_grad_of_halves(x, dy, dx);
        }
        let images = x.chunks(self.image_len()).zip(dx.chunks_mut(self.image_len()));
        for ((image, dx), dy) in images.zip(dy.chunks(self.out_len())) {
            for (oy, line) in dy.chunks(self.out[1]).enumerate() {
                for (ox, dy) in line.iter().enumerate() {
                    if let Some(at) = self.winner(image, oy, ox) {
                        dx[at] += dy;
                    }
                }
            }
        }
    }

    /// y: sum of each window.
    pub(crate) fn sum(&self, x: &[f32], y: &mut [f32]) {
        for (image, y) in x.chunks(self.image_len()).zip(y.chunks_mut(self.out_len())) {
            for (oy, line) in y.chunks_mut(self.out[1]).enumerate() {
                for (ox, y) in line.iter_mut().enumerate() {
                    *y = 0.0;
                    self.each(oy, ox, |at| *y += image[at]);
                }
            }
        }
    }

    /// dx: each dy to every element of its window, windows in row-major order.
    pub(crate) fn sum_grad(&self, dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        for (dx, dy) in dx.chunks_mut(self.image_len()).zip(dy.chunks(self.out_len())) {
            for (oy, line) in dy.chunks(self.out[1]).enumerate() {
                for (ox, dy) in line.iter().enumerate() {
                    self.each(oy, ox, |at| dx[at] += dy);
                }
            }
        }
    }

    /// The usual case: windows of 2 × 2 beside each other.
    fn halves(&self) -> bool {
        [self.kernel, self.stride] == [[2, 2]; 2]
            && self.dilation == [1, 1]
            && self.low == [0, 0]
            && self.out[0] * 2 <= self.image[0]
            && self.out[1] * 2 <= self.image[1]
    }

    fn max_of_halves<T: Copy + PartialOrd>(&self, x: &[T], y: &mut [T]) {
        let greater = |a: T, b: T| if b > a { b } else { a };
        let (width, out_width) = (self.image[1], self.out[1]);
        for (image, y) in x.chunks(self.image_len()).zip(y.chunks_mut(self.out_len())) {
            for (lines, y) in image.chunks(2 * width).zip(y.chunks_mut(out_width)) {
                let (top, bottom) = (lines[..width].as_chunks::<2>().0, lines[width..].as_chunks::<2>().0);
                for ((y, top), bottom) in y.iter_mut().zip(top).zip(bottom) {
                    *y = greater(greater(greater(top[0], top[1]), bottom[0]), bottom[1]);
                }
            }
        }
    }

    fn max_grad_of_halves(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (width, out_width) = (self.image[1], self.out[1]);
        let images = x.chunks(self.image_len()).zip(dx.chunks_mut(self.image_len()));
        for ((image, dx), dy) in images.zip(dy.chunks(self.out_len())) {
            let lines = image.chunks(2 * width).zip(dx.chunks_mut(2 * width));
            for ((lines, dx), dy) in lines.zip(dy.chunks(out_width)) {
                let (top, bottom) = (lines[..width].as_chunks::<2>().0, lines[width..].as_chunks::<2>().0);
                let (dx_top, dx_bottom) = dx.split_at_mut(width);
                let (dx_top, dx_bottom) = (dx_top.as_chunks_mut::<2>().0, dx_bottom.as_chunks_mut::<2>().0);
                for (at, dy) in dy.iter().enumerate() {
                    let ([a, b], [c, d]) = (top[at], bottom[at]);
                    let (b_wins, upper) = if b > a { (true, b) } else { (false, a) };
                    let (c_wins, greatest) = if c > upper { (true, c) } else { (false, upper) };
                    let d_wins = d > greatest;
                    // As everywhere, a gradient is added to +0.
                    let pass = |wins: bool| if wins { 0.0 + dy } else { 0.0 };
                    dx_top[at] = [pass(!b_wins & !c_wins & !d_wins), pass(b_wins & !c_wins & !d_wins)];
                    dx_bottom[at] = [pass(c_wins & !d_wins), pass(d_wins)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_windows_like_others() {
        let pool = Pool { image: [5, 7], out: [2, 3], kernel: [2, 2], stride: [2, 2], dilation: [1, 1], low: [0, 0] };
        assert!(pool.halves());
        // Few values, so that ties are many; −0, NaN and infinities among them.
        let values = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            values[(state >> 24) as usize % values.len()]
        };
        let x: Vec<f32> = (0..40 * 35).map(|_| next()).collect();
        let dy: Vec<f32> = (0..40 * 6).map(|_| next()).collect();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let (mut y, mut dx) = (vec![9.0; dy.len()], vec![9.0; x.len()]);
        pool.max(&x, &mut y, f32::NEG_INFINITY);
        pool.max_grad(&x, &dy, &mut dx);
        let (mut plain, mut plain_dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
        for image in 0..40 {
            for (oy, ox) in (0..2).flat_map(|oy| (0..3).map(move |ox| (oy, ox))) {
                let at = pool.winner(&x[image * 35..][..35], oy, ox).unwrap();
                plain[image * 6 + oy * 3 + ox] = x[image * 35 + at];
                plain_dx[image * 35 + at] += dy[image * 6 + oy * 3 + ox];
            }
        }
        assert_eq!(bits(&y), bits(&plain));
        assert_eq!(bits(&dx), bits(&plain_dx));
    }
}

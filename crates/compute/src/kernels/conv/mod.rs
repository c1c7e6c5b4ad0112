//! Convolution and its gradients as matrix products over unfolded images (im2col), one sample at a time. The order of
//! K is (input channel, kernel row, kernel column) forward, (output channel, kernel row, kernel column) for the input
//! gradient, and (sample, output row, output column) for the weight gradient; padding takes part as +0.

use super::gemm::{Matrix, gemm_accumulate};

/// Sizes of a convolution, forward view.
#[derive(Clone, Copy)]
pub(crate) struct Conv {
    pub(crate) samples: usize,
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_channels: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Conv {
    fn sample_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_positions(&self) -> usize {
        self.out_height * self.out_width
    }

    fn depth(&self) -> usize {
        self.channels * self.kernel_height * self.kernel_width
    }

    /// y \[n, o, oh, ow\] from x \[n, c, h, w\] and weight \[o, c, kh, kw\].
    pub(crate) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let (depth, positions) = (self.depth(), self.out_positions());
        let mut y = vec![0.0; self.samples * self.out_channels * positions];
        let mut unfolded = vec![0.0; depth * positions];
        for (x, y) in x.chunks(self.sample_len()).zip(y.chunks_mut(self.out_channels * positions)) {
            self.unfold(x, &mut unfolded);
            let (weight, columns) = (Matrix::rows(weight, depth), Matrix::rows(&unfolded, positions));
            gemm_accumulate(self.out_channels, positions, depth, weight, columns, y);
        }
        y
    }

    /// dweight \[o, c, kh, kw\] from x and dy.
    pub(crate) fn grad_weight(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let (depth, positions) = (self.depth(), self.out_positions());
        let mut dweight = vec![0.0; self.out_channels * depth];
        let mut unfolded = vec![0.0; depth * positions];
        for (x, dy) in x.chunks(self.sample_len()).zip(dy.chunks(self.out_channels * positions)) {
            self.unfold(x, &mut unfolded);
            let (dy, columns) = (Matrix::rows(dy, positions), Matrix::transposed(&unfolded, positions));
            gemm_accumulate(self.out_channels, depth, positions, dy, columns, &mut dweight);
        }
        dweight
    }

    /// dx \[n, c, h, w\] from weight and dy.
    pub(crate) fn grad_input(&self, weight: &[f32], dy: &[f32]) -> Vec<f32> {
        let kernel = self.kernel_height * self.kernel_width;
        let depth = self.out_channels * kernel;
        let positions = self.height * self.width;
        let by_channel = self.weight_by_input_channel(weight);
        let mut dx = vec![0.0; self.samples * self.channels * positions];
        let mut unfolded = vec![0.0; depth * positions];
        for (dy, dx) in dy.chunks(self.out_channels * self.out_positions()).zip(dx.chunks_mut(self.sample_len())) {
            self.unfold_gradient(dy, &mut unfolded);
            let (weight, columns) = (Matrix::rows(&by_channel, depth), Matrix::rows(&unfolded, positions));
            gemm_accumulate(self.channels, positions, depth, weight, columns, dx);
        }
        dx
    }

    /// \[c, o, kh, kw\] from \[o, c, kh, kw\].
    fn weight_by_input_channel(&self, weight: &[f32]) -> Vec<f32> {
        let kernel = self.kernel_height * self.kernel_width;
        let mut out = Vec::with_capacity(weight.len());
        for channel in 0..self.channels {
            for out_channel in 0..self.out_channels {
                out.extend_from_slice(&weight[(out_channel * self.channels + channel) * kernel..][..kernel]);
            }
        }
        out
    }

    /// \[c·kh·kw, oh·ow\]: row (c, ky, kx) holds, for every output position, the input element under that weight.
    fn unfold(&self, x: &[f32], unfolded: &mut [f32]) {
        let mut rows = unfolded.chunks_mut(self.out_positions());
        for image in x.chunks(self.height * self.width) {
            for ky in 0..self.kernel_height {
                for kx in 0..self.kernel_width {
                    let row = rows.next().expect("one row for each weight of an output channel");
                    for (oy, out) in row.chunks_mut(self.out_width).enumerate() {
                        let iy = (oy * self.stride + ky).wrapping_sub(self.padding);
                        if iy >= self.height {
                            out.fill(0.0);
                            continue;
                        }
                        let line = &image[iy * self.width..][..self.width];
                        for (ox, out) in out.iter_mut().enumerate() {
                            let ix = (ox * self.stride + kx).wrapping_sub(self.padding);
                            *out = line.get(ix).copied().unwrap_or(0.0);
                        }
                    }
                }
            }
        }
    }

    /// \[o·kh·kw, h·w\]: row (o, ky, kx) holds, for every input position, the output gradient that this weight carried
    /// it to, or +0 where there is none.
    fn unfold_gradient(&self, dy: &[f32], unfolded: &mut [f32]) {
        let mut rows = unfolded.chunks_mut(self.height * self.width);
        for image in dy.chunks(self.out_positions()) {
            for ky in 0..self.kernel_height {
                for kx in 0..self.kernel_width {
                    let row = rows.next().expect("one row for each weight of an input channel");
                    for (iy, out) in row.chunks_mut(self.width).enumerate() {
                        let line = self
                            .output_index(iy, ky)
                            .filter(|oy| *oy < self.out_height)
                            .map(|oy| &image[oy * self.out_width..][..self.out_width]);
                        for (ix, out) in out.iter_mut().enumerate() {
                            let ox = self.output_index(ix, kx);
                            *out = line.zip(ox).and_then(|(line, ox)| line.get(ox)).copied().unwrap_or(0.0);
                        }
                    }
                }
            }
        }
    }

    /// The output position whose window has the input position under this kernel position, if one does.
    fn output_index(&self, input: usize, kernel: usize) -> Option<usize> {
        let offset = (input + self.padding).checked_sub(kernel)?;
        offset.is_multiple_of(self.stride).then_some(offset / self.stride)
    }
}

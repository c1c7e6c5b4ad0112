//! Convolution and its gradients as matrix products over unfolded images (im2col), one sample at a time. The order of
//! K is (input channel, kernel row, kernel column) forward, (output channel, kernel row, kernel column) for the input
//! gradient, and (sample, output row, output column) for the weight gradient; padding takes part as +0.

use super::gemm::{Matrix, Scratch, gemm_accumulate};

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
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) low: [usize; 2],
    pub(crate) groups: usize,
}

impl Conv {
    fn sample_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_positions(&self) -> usize {
        self.out_height * self.out_width
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    fn kernel(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    fn depth(&self) -> usize {
        self.group_channels() * self.kernel()
    }

    /// y \[n, o, oh, ow\] from x \[n, c, h, w\] and weight \[o, c/groups, kh, kw\].
    pub(crate) fn forward(&self, scratch: &mut Scratch, x: &[f32], weight: &[f32], y: &mut [f32]) {
        let (depth, positions, outputs) = (self.depth(), self.out_positions(), self.group_outputs());
        y.fill(0.0);
        let mut unfolded = vec![0.0; depth * positions];
        for (x, y) in x.chunks(self.sample_len()).zip(y.chunks_mut(self.out_channels * positions)) {
            let groups = x.chunks(self.sample_len() / self.groups).zip(weight.chunks(outputs * depth));
            for ((x, weight), y) in groups.zip(y.chunks_mut(outputs * positions)) {
                self.unfold(x, &mut unfolded);
                let (weight, columns) = (Matrix::rows(weight, depth), Matrix::rows(&unfolded, positions));
                gemm_accumulate(scratch, outputs, positions, depth, weight, columns, y);
            }
        }
    }

    /// dweight \[o, c/groups, kh, kw\] from x and dy.
    pub(crate) fn grad_weight(&self, scratch: &mut Scratch, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
        let (depth, positions, outputs) = (self.depth(), self.out_positions(), self.group_outputs());
        dweight.fill(0.0);
        let mut unfolded = vec![0.0; depth * positions];
        for (x, dy) in x.chunks(self.sample_len()).zip(dy.chunks(self.out_channels * positions)) {
            let groups = x.chunks(self.sample_len() / self.groups).zip(dy.chunks(outputs * positions));
            for ((x, dy), dweight) in groups.zip(dweight.chunks_mut(outputs * depth)) {
                self.unfold(x, &mut unfolded);
                let (dy, columns) = (Matrix::rows(dy, positions), Matrix::transposed(&unfolded, positions));
                gemm_accumulate(scratch, outputs, depth, positions, dy, columns, dweight);
            }
        }
    }

    /// dx \[n, c, h, w\] from weight and dy.
    pub(crate) fn grad_input(&self, scratch: &mut Scratch, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
        let depth = self.group_outputs() * self.kernel();
        let positions = self.height * self.width;
        dx.fill(0.0);
        let mut unfolded = vec![0.0; depth * positions];
        for (dy, dx) in dy.chunks(self.out_channels * self.out_positions()).zip(dx.chunks_mut(self.sample_len())) {
            let groups =
                weight.chunks(weight.len() / self.groups).zip(dy.chunks(self.group_outputs() * self.out_positions()));
            for ((weight, dy), dx) in groups.zip(dx.chunks_mut(self.group_channels() * positions)) {
                let by_channel = self.weight_by_input_channel(weight);
                self.unfold_gradient(dy, &mut unfolded);
                let (weight, columns) = (Matrix::rows(&by_channel, depth), Matrix::rows(&unfolded, positions));
                gemm_accumulate(scratch, self.group_channels(), positions, depth, weight, columns, dx);
            }
        }
    }

    /// \[c, o, kh, kw\] from \[o, c, kh, kw\], of one group.
    fn weight_by_input_channel(&self, weight: &[f32]) -> Vec<f32> {
        let kernel = self.kernel();
        let mut out = Vec::with_capacity(weight.len());
        for channel in 0..self.group_channels() {
            for out_channel in 0..self.group_outputs() {
                out.extend_from_slice(&weight[(out_channel * self.group_channels() + channel) * kernel..][..kernel]);
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
                        let iy = (oy * self.stride[0] + ky * self.dilation[0]).wrapping_sub(self.low[0]);
                        if iy >= self.height {
                            out.fill(0.0);
                            continue;
                        }
                        let line = &image[iy * self.width..][..self.width];
                        for (ox, out) in out.iter_mut().enumerate() {
                            let ix = (ox * self.stride[1] + kx * self.dilation[1]).wrapping_sub(self.low[1]);
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
                            .output_index(0, iy, ky)
                            .filter(|oy| *oy < self.out_height)
                            .map(|oy| &image[oy * self.out_width..][..self.out_width]);
                        for (ix, out) in out.iter_mut().enumerate() {
                            let ox = self.output_index(1, ix, kx);
                            *out = line.zip(ox).and_then(|(line, ox)| line.get(ox)).copied().unwrap_or(0.0);
                        }
                    }
                }
            }
        }
    }

    /// The output position whose window has the input position under this kernel position, if one does.
    fn output_index(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let offset = (input + self.low[axis]).checked_sub(kernel * self.dilation[axis])?;
        offset.is_multiple_of(self.stride[axis]).then_some(offset / self.stride[axis])
    }
}

//! Convolutions whose groups have one channel that goes in and one that comes out. Lanes are channels: planes of a block
//! of channels are interleaved, so that one vector holds one position of all of them, and no lane waits for a row to
//! end. The order of K in each lane is that of other convolutions.
#![allow(unsafe_code, reason = "inner loops run over pointers; every reach is checked against the buffers first")]

use super::super::lanes::{FloatKernel, Floats, MOST_LANES};
use super::super::scratch::Scratch;
use super::planes::{Planes, Source};
use super::{Conv, Epilogue};

/// Channels of a block: the widest vector holds one position.
pub(crate) const CHANNELS: usize = MOST_LANES;

/// Channels from which on blocks are filled well enough.
pub(crate) const MIN_CHANNELS: usize = 8;

/// Positions of a row whose sums are in registers at once, for a vector of the whole block; fewer for narrower ones.
const POSITIONS: usize = 8;

impl Conv {
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups >= MIN_CHANNELS && self.channels == self.groups && self.out_channels == self.groups
    }
}

/// The product behind the forward pass and the input gradient.
pub(super) struct Correlation {
    pub(super) samples: usize,
    pub(super) channels: usize,
    pub(super) out: [usize; 2],
    /// Rows of the planes from one output row to the next.
    pub(super) row_step: usize,
    pub(super) planes: Planes,
    /// Where each step of K lies in the planes.
    pub(super) offsets: Vec<usize>,
}

impl Correlation {
    /// `out` \[samples, channels, out\] is overwritten.
    pub(super) fn run(
        &self,
        scratch: &mut Scratch,
        source: Source<'_>,
        weight: &[f32],
        epilogue: Epilogue<'_>,
        out: &mut [f32],
    ) {
        let Self { samples, channels, out: [height, width], row_step, planes, ref offsets } = *self;
        if height == 0 || width == 0 {
            return;
        }
        let level = scratch.level;
        let kernel = offsets.len();
        let lens = [CHANNELS * planes.len(), CHANNELS * kernel + CHANNELS, CHANNELS * width];
        let ([padded, weights, line], _) = scratch.planes(lens, 0);
        let (weights, bias) = weights.split_at_mut(CHANNELS * kernel);
        for first in (0..channels).step_by(CHANNELS) {
            let count = CHANNELS.min(channels - first);
            interleave(weights, count, |channel, step| weight[(first + channel) * kernel + step]);
            if let Epilogue::Bias(biases) | Epilogue::BiasRelu(biases) = epilogue {
                interleave(bias, count, |channel, _| biases[first + channel]);
            }
            for sample in 0..samples {
                let start = sample * channels + first;
                planes.fill_interleaved(source, start, count, CHANNELS, padded);
                for oy in 0..height {
                    let row = Row {
                        plane: &padded[CHANNELS * oy * row_step * planes.pitch()..],
                        offsets,
                        weights,
                        bias: (!matches!(epilogue, Epilogue::Nothing)).then_some(&*bias),
                        relu: matches!(epilogue, Epilogue::BiasRelu(_)),
                        width,
                        line,
                    };
                    // SAFETY: the plane reaches beyond the last offset by a row of outputs, and all else holds whole blocks.
                    unsafe { level.run_floats(row) };
                    for channel in 0..count {
                        let out = &mut out[((start + channel) * height + oy) * width..][..width];
                        for (out, line) in out.iter_mut().zip(line.chunks_exact(CHANNELS)) {
                            *out = line[channel];
                        }
                    }
                }
            }
        }
    }
}

/// dweight \[channels, 1, kernel\] is overwritten.
pub(super) fn weight_gradient(conv: &Conv, scratch: &mut Scratch, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (height, width) = (conv.out_height, conv.out_width);
    if height == 0 || width == 0 {
        return dweight.fill(0.0);
    }
    let level = scratch.level;
    let planes = Planes::forward(conv);
    let offsets = offsets(conv, &planes);
    let lens = [CHANNELS * planes.len(), CHANNELS * offsets.len(), CHANNELS * width];
    let ([padded, sums, line], _) = scratch.planes(lens, 0);
    let source = Source { data: x, height: conv.height, width: conv.width };
    for first in (0..conv.channels).step_by(CHANNELS) {
        let count = CHANNELS.min(conv.channels - first);
        sums.fill(0.0);
        for sample in 0..conv.samples {
            let start = sample * conv.channels + first;
            planes.fill_interleaved(source, start, count, CHANNELS, padded);
            for oy in 0..height {
                interleave(line, count, |channel, ox| dy[((start + channel) * height + oy) * width + ox]);
                let row = WeightRow {
                    plane: &padded[CHANNELS * oy * conv.stride[0] * planes.pitch()..],
                    offsets: &offsets,
                    line,
                    width,
                    sums,
                };
                // SAFETY: the plane reaches beyond the last offset by a row of outputs, and all else holds whole blocks.
                unsafe { level.run_floats(row) };
            }
        }
        for (channel, out) in
            dweight[first * offsets.len()..][..count * offsets.len()].chunks_exact_mut(offsets.len()).enumerate()
        {
            for (out, sums) in out.iter_mut().zip(sums.chunks_exact(CHANNELS)) {
                *out = sums[channel];
            }
        }
    }
}

/// Where each step of K reads a plane, forward.
pub(super) fn offsets(conv: &Conv, planes: &Planes) -> Vec<usize> {
    let rows = 0..conv.kernel_height;
    rows.flat_map(|ky| (0..conv.kernel_width).map(move |kx| planes.offset(ky, kx))).collect()
}

/// Puts what each of `count` channels has side by side, with zeros for the rest of the block.
fn interleave(out: &mut [f32], count: usize, of: impl Fn(usize, usize) -> f32) {
    for (at, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
        let (present, rest) = out.split_at_mut(count);
        for (channel, out) in present.iter_mut().enumerate() {
            *out = of(channel, at);
        }
        rest.fill(0.0);
    }
}

/// One row of outputs of a block of channels.
struct Row<'a> {
    plane: &'a [f32],
    offsets: &'a [usize],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    width: usize,
    line: &'a mut [f32],
}

impl FloatKernel for Row<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match CHANNELS / V::COUNT {
                1 => self.all::<V, 1, POSITIONS>(),
                2 => self.all::<V, 2, { POSITIONS / 2 }>(),
                _ => self.all::<V, 4, { POSITIONS / 4 }>(),
            }
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    unsafe fn all<V: Floats, const N: usize, const P: usize>(self) {
        let whole = self.width - self.width % P;
        // SAFETY: the caller's promise.
        unsafe {
            for x in (0..whole).step_by(P) {
                self.tile::<V, N, P>(x);
            }
            for x in whole..self.width {
                self.tile::<V, N, 1>(x);
            }
        }
    }

    /// P positions from `x` on, N vectors each.
    #[inline(always)]
    unsafe fn tile<V: Floats, const N: usize, const P: usize>(&self, x: usize) {
        let zeros = [0.0f32; MOST_LANES];
        let plane = self.plane[x * CHANNELS..].as_ptr();
        let line = self.line[x * CHANNELS..][..P * CHANNELS].as_ptr().cast_mut();
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::load(zeros.as_ptr()); N]; P];
            for (step, offset) in self.offsets.iter().enumerate() {
                let from = plane.add(offset * CHANNELS);
                let weight = self.weights.as_ptr().add(step * CHANNELS);
                for n in 0..N {
                    let weight = V::load(weight.add(n * V::COUNT));
                    for (p, sums) in sums.iter_mut().enumerate() {
                        sums[n] = sums[n].step(V::load(from.add(p * CHANNELS + n * V::COUNT)), weight);
                    }
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (n, mut sum) in sums.into_iter().enumerate() {
                    if let Some(bias) = self.bias {
                        sum = sum.plus(V::load(bias.as_ptr().add(n * V::COUNT)));
                    }
                    if self.relu {
                        sum = sum.relu();
                    }
                    sum.store(line.add(p * CHANNELS + n * V::COUNT));
                }
            }
        }
    }
}

/// What one row of dy adds to all weights of a block of channels.
struct WeightRow<'a> {
    plane: &'a [f32],
    offsets: &'a [usize],
    line: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
}

impl FloatKernel for WeightRow<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match CHANNELS / V::COUNT {
                1 => self.all::<V, 1>(),
                2 => self.all::<V, 2>(),
                _ => self.all::<V, 4>(),
            }
        }
    }
}

impl WeightRow<'_> {
    #[inline(always)]
    unsafe fn all<V: Floats, const N: usize>(mut self) {
        // As equal as can be, as for other weight gradients.
        let tiles = self.offsets.len().div_ceil(3);
        for tile in 0..tiles {
            let (first, end) = (tile * self.offsets.len() / tiles, (tile + 1) * self.offsets.len() / tiles);
            // SAFETY: the caller's promise.
            unsafe {
                match end - first {
                    3 => self.tile::<V, N, 3>(first),
                    2 => self.tile::<V, N, 2>(first),
                    _ => self.tile::<V, N, 1>(first),
                }
            }
        }
    }

    /// R weights from `first` on, N vectors each.
    #[inline(always)]
    unsafe fn tile<V: Floats, const N: usize, const R: usize>(&mut self, first: usize) {
        let to = self.sums[first * CHANNELS..][..R * CHANNELS].as_mut_ptr();
        let line = self.line[..self.width * CHANNELS].as_ptr();
        let mut from = [self.plane.as_ptr(); R];
        for (from, offset) in from.iter_mut().zip(&self.offsets[first..]) {
            *from = self.plane[offset * CHANNELS..][..self.width * CHANNELS].as_ptr();
        }
        // SAFETY: the caller's promise; slices above have the lengths.
        unsafe {
            let mut sums = [[V::load(to); N]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (n, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(to.add(r * CHANNELS + n * V::COUNT));
                }
            }
            for x in 0..self.width {
                for n in 0..N {
                    let at = x * CHANNELS + n * V::COUNT;
                    let dy = V::load(line.add(at));
                    for (from, sums) in from.iter().zip(&mut sums) {
                        sums[n] = sums[n].step(V::load(from.add(at)), dy);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store(to.add(r * CHANNELS + n * V::COUNT));
                }
            }
        }
    }
}

//! The product behind the forward pass and the input gradient: rows are the channels that come out, columns the positions
//! of a plane, K the channels that go in times the kernel.
#![allow(unsafe_code, reason = "register tiles run over pointers; every reach is checked against the buffers first")]

use super::super::gemm::lanes::{FloatKernel, Floats, LEAST_TILE_ROWS, MOST_LANES};
use super::super::gemm::pack::{Panels, pack};
use super::super::gemm::{Matrix, Scratch};
use super::Epilogue;
use super::planes::{Planes, SLACK, Source};
use super::tile::{Slot, Store, Tile};

/// Floats of the planes that one block of K reads: they stay in the second-level cache.
const BLOCK_LEN: usize = 1 << 16;

#[derive(Clone, Copy)]
pub(super) struct Correlation {
    pub(super) samples: usize,
    pub(super) groups: usize,
    /// Channels of a group that go in, and that come out.
    pub(super) channels: usize,
    pub(super) rows: usize,
    pub(super) kernel: [usize; 2],
    pub(super) out: [usize; 2],
    /// Rows of the planes from one output row to the next.
    pub(super) row_step: usize,
    pub(super) planes: Planes,
    /// Whether the kernel runs from its last position to the first, with weights \[in, out, …\] instead of \[out, in, …\].
    pub(super) flipped: bool,
}

impl Correlation {
    /// `out` \[samples, groups · rows, out\] is overwritten.
    pub(super) fn run(
        &self,
        scratch: &mut Scratch,
        source: Source<'_>,
        weight: &[f32],
        epilogue: Epilogue<'_>,
        out: &mut [f32],
    ) {
        let positions = self.out[0] * self.out[1];
        if positions == 0 || self.rows == 0 {
            return;
        }
        let kernel = self.kernel[0] * self.kernel[1];
        let depth = self.channels * kernel;
        let block = (BLOCK_LEN / self.planes.len()).clamp(1, self.channels.max(1));
        let level = scratch.level.narrowed_to(self.out[1]);
        let planes_len = block * self.planes.len() + SLACK;
        let regrouped_len = if self.flipped { self.rows * depth } else { 0 };
        let ([planes, packed, regrouped], offsets) =
            scratch.planes([planes_len, weight.len(), regrouped_len], block * kernel);
        self.pack_weights(weight, block, packed, regrouped);
        self.list_offsets(offsets);
        planes.fill(0.0);
        for sample in 0..self.samples {
            for group in 0..self.groups {
                let first_row = group * self.rows;
                let out = &mut out[(sample * self.groups + group) * self.rows * positions..][..self.rows * positions];
                if depth == 0 {
                    out.fill(0.0);
                }
                for channel in (0..self.channels).step_by(block) {
                    let channels = block.min(self.channels - channel);
                    let first = (sample * self.groups + group) * self.channels + channel;
                    self.planes.fill(source, first, &mut planes[..channels * self.planes.len()]);
                    let last = channel + channels == self.channels;
                    let (bias, relu) = match epilogue {
                        Epilogue::Bias(bias) if last => (Some(&bias[first_row..][..self.rows]), false),
                        Epilogue::BiasRelu(bias) if last => (Some(&bias[first_row..][..self.rows]), true),
                        _ => (None, false),
                    };
                    let block = Block {
                        shape: self,
                        planes,
                        packed: &packed[first_row * depth + channel * kernel * self.rows..],
                        offsets: &offsets[..channels * kernel],
                        out,
                        continued: channel > 0,
                        bias,
                        relu,
                    };
                    // SAFETY: the planes reach SLACK beyond what the offsets and positions name; the weights of the
                    // block are packed; `out` holds every row.
                    unsafe { level.run_floats(block) };
                }
            }
        }
    }

    /// Every group's weights, block of channels after block, in panels of rows.
    fn pack_weights(&self, weight: &[f32], block: usize, packed: &mut [f32], regrouped: &mut [f32]) {
        let kernel = self.kernel[0] * self.kernel[1];
        let depth = self.channels * kernel;
        for group in 0..self.groups {
            let start = group * self.rows * depth;
            let mut weight = &weight[start..][..self.rows * depth];
            if self.flipped {
                for (row, out) in regrouped.chunks_exact_mut(depth.max(1)).enumerate() {
                    for (channel, out) in out.chunks_exact_mut(kernel).enumerate() {
                        out.copy_from_slice(&weight[(channel * self.rows + row) * kernel..][..kernel]);
                    }
                }
                weight = regrouped;
            }
            for channel in (0..self.channels).step_by(block) {
                let steps = block.min(self.channels - channel) * kernel;
                let out = &mut packed[start + channel * kernel * self.rows..];
                let weight = Matrix::transposed(weight, depth);
                pack(weight, channel * kernel, steps, 0, Panels::rows(LEAST_TILE_ROWS, self.rows), out);
            }
        }
    }

    /// Where each step of K reads the planes, in bytes.
    fn list_offsets(&self, offsets: &mut [i32]) {
        let [height, width] = self.kernel;
        for (channel, offsets) in offsets.chunks_exact_mut((height * width).max(1)).enumerate() {
            for (i, out) in offsets.iter_mut().enumerate() {
                let (ky, kx) = (i / width, i % width);
                let (ky, kx) = if self.flipped { (height - 1 - ky, width - 1 - kx) } else { (ky, kx) };
                let at = channel * self.planes.len() + self.planes.offset(ky, kx);
                *out = i32::try_from(at * size_of::<f32>()).expect("a block's planes are below 2 GiB");
            }
        }
    }
}

/// One sample, one group, some channels.
struct Block<'a> {
    shape: &'a Correlation,
    planes: &'a [f32],
    packed: &'a [f32],
    offsets: &'a [i32],
    out: &'a mut [f32],
    continued: bool,
    bias: Option<&'a [f32]>,
    relu: bool,
}

impl FloatKernel for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            for (row, rows, _) in Panels::rows(LEAST_TILE_ROWS, self.shape.rows).iter() {
                match rows {
                    4 => self.panel::<V, 4, 2>(row),
                    3 => self.panel::<V, 3, 2>(row),
                    2 => self.panel::<V, 2, 2>(row),
                    _ => self.panel::<V, 1, 4>(row),
                }
            }
        }
    }
}

impl Block<'_> {
    /// R rows over all positions, N vectors at a time, wherever these lie.
    #[inline(always)]
    unsafe fn panel<V: Floats, const R: usize, const N: usize>(&self, row: usize) {
        let [height, width] = self.shape.out;
        let depth = self.offsets.len();
        let mut bias = [0.0; R];
        if let Some(biases) = self.bias {
            bias.copy_from_slice(&biases[row..][..R]);
        }
        let store = Store {
            row_len: height * width,
            continued: self.continued,
            biased: self.bias.is_some(),
            bias,
            relu: self.relu,
        };
        let tile = Tile { depth, a: self.packed[row * depth..].as_ptr(), offsets: self.offsets.as_ptr() };
        let out = self.out.as_ptr().cast_mut().wrapping_add(row * store.row_len);
        let unused = Slot { b: self.planes.as_ptr(), c: out, width: 0 };
        let mut slots = [unused; N];
        let (mut x, mut line, mut c) = (0, self.planes, out);
        let vectors = height * width.div_ceil(V::COUNT);
        let overlaps = !self.continued && width >= V::COUNT;
        // Slots after the last position store nothing.
        for i in 0..vectors.next_multiple_of(N) {
            slots[i % N] = if i < vectors {
                // A row's last vector may make positions again that the one before it made, from the same start.
                let at = if overlaps { x.min(width - V::COUNT) } else { x };
                Slot { b: line[at..].as_ptr(), c: c.wrapping_add(at), width: V::COUNT.min(width - at) }
            } else {
                unused
            };
            x += V::COUNT;
            if x >= width {
                x = 0;
                line = line.get(self.shape.row_step * self.shape.planes.pitch()..).unwrap_or_default();
                c = c.wrapping_add(width);
            }
            if i % N == N - 1 {
                // SAFETY: the caller's promise.
                unsafe { tile.run::<V, R, N>(&slots, &store) };
            }
        }
    }
}

const _: () = assert!(SLACK >= 2 * MOST_LANES, "a vector that starts within a row ends within the slack");

//! The product behind the forward pass and the input gradient: of the channels that come out with the positions of a plane,
//! over the channels that go in times the kernel. Lanes run over channels where these fill them ([`Channels`]), else over
//! positions ([`Positions`]).
#![allow(unsafe_code, reason = "register tiles run over pointers; every reach is checked against the buffers first")]

use super::super::gemm::tile::TILE_VECTORS;
use super::super::lanes::LEAST_TILE_ROWS;
use super::super::pack::{Panels, pack};
use super::super::{matrix::Matrix, scratch::Scratch};
use super::Epilogue;
use super::channels::Channels;
use super::planes::{Planes, SLACK, Source};
use super::positions::Positions;

/// Floats of the planes that one block of K reads: they leave the second-level cache room for the weights.
const BLOCK_LEN: usize = 1 << 15;

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
        let level = scratch.level.narrowed_to(self.rows);
        let by_channel = channels_fill(level.lanes(), self.rows);
        let (level, panels) = if by_channel {
            (level, channel_panels(level.lanes(), self.rows))
        } else {
            (scratch.level.narrowed_to(self.out[1]), Panels::rows(LEAST_TILE_ROWS, self.rows))
        };
        let group_len = panels.packed_len(depth);
        let planes_len = block * self.planes.len() + SLACK;
        let regrouped_len = if self.flipped { self.rows * depth } else { 0 };
        let ([planes, packed, regrouped], offsets) =
            scratch.planes([planes_len, self.groups * group_len, regrouped_len], block * kernel);
        self.pack_weights(weight, block, panels, packed, regrouped);
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
                        packed: &packed[group * group_len + panels.packed_len(channel * kernel)..],
                        offsets: &offsets[..channels * kernel],
                        out,
                        continued: channel > 0,
                        bias,
                        relu,
                    };
                    // SAFETY: the planes reach SLACK beyond what the offsets and positions name; the weights of the
                    // block are packed in the kernel's panels; `out` holds every row.
                    unsafe {
                        if by_channel {
                            level.run_floats(Channels(block));
                        } else {
                            level.run_floats(Positions(block));
                        }
                    }
                }
            }
        }
    }

    /// Every group's weights, block of channels after block, in panels of the channels that come out.
    fn pack_weights(&self, weight: &[f32], block: usize, panels: Panels, packed: &mut [f32], regrouped: &mut [f32]) {
        let kernel = self.kernel[0] * self.kernel[1];
        let depth = self.channels * kernel;
        for group in 0..self.groups {
            let mut weight = &weight[group * self.rows * depth..][..self.rows * depth];
            let packed = &mut packed[group * panels.packed_len(depth)..];
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
                let out = &mut packed[panels.packed_len(channel * kernel)..];
                pack(Matrix::transposed(weight, depth), channel * kernel, steps, 0, panels, out);
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

/// The channels that come out as the columns of a product.
pub(super) fn channel_panels(lanes: usize, channels: usize) -> Panels {
    let width = lanes * TILE_VECTORS;
    Panels { width, rest_width: width, len: channels, grain: lanes }
}

/// Whether at least two thirds of the lanes would hold a channel. Lanes of positions are slower by more than a third:
/// they load vectors that straddle cache lines.
fn channels_fill(lanes: usize, channels: usize) -> bool {
    3 * channels >= 2 * channels.next_multiple_of(lanes)
}

/// One sample, one group, some channels.
pub(super) struct Block<'a> {
    pub(super) shape: &'a Correlation,
    pub(super) planes: &'a [f32],
    pub(super) packed: &'a [f32],
    pub(super) offsets: &'a [i32],
    pub(super) out: &'a mut [f32],
    pub(super) continued: bool,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

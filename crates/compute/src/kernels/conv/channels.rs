//! A correlation with the channels that come out in the lanes, as the columns of a matrix product: weights are vectors,
//! packed as the right operand of a product, and an image's elements single factors, read where the planes hold them. Sums
//! lie position by position until a block of them is stored plane by plane.
#![allow(unsafe_code, reason = "register tiles run over pointers; every reach is checked against the buffers first")]

use super::super::gemm::tile::{Advance, TILE_VECTORS};
use super::super::lanes::{Element, FloatKernel, Floats, LEAST_TILE_ROWS, Lanes, MOST_LANES, Quad};
use super::correlate::{Block, channel_panels};

/// Positions of a register tile.
const ROWS: usize = LEAST_TILE_ROWS;
/// Positions whose sums are held: a panel of weights is read once for all of them.
const HELD: usize = 16 * ROWS;
const MOST_WIDTH: usize = TILE_VECTORS * MOST_LANES;

/// The weights are packed in [`channel_panels`].
pub(super) struct Channels<'a>(pub(super) Block<'a>);

impl FloatKernel for Channels<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        let block = self.0;
        let [height, width] = block.shape.out;
        let (depth, positions) = (block.offsets.len(), height * width);
        let line_len = block.shape.row_step * block.shape.planes.pitch();
        let mut sums = [0.0; HELD * MOST_WIDTH];
        for first in (0..positions).step_by(HELD) {
            let count = HELD.min(positions - first);
            // A tile's positions after the last are the last again, and are not stored.
            let at = |i: usize| (first + i).min(positions - 1);
            let factors: [*const f32; HELD] =
                std::array::from_fn(|i| block.planes[at(i) / width * line_len + at(i) % width..].as_ptr());
            for (channel, present, stored) in channel_panels(V::COUNT, block.shape.rows).iter() {
                let mut bias = [0.0; MOST_WIDTH];
                if let Some(biases) = block.bias {
                    bias[..present].copy_from_slice(&biases[channel..][..present]);
                }
                let held = Held { first, count, plane_len: positions, pitch: stored };
                let out = &mut block.out[channel * positions..][..present * positions];
                if block.continued {
                    held.load(out, &mut sums);
                }
                let tile = Tile {
                    depth,
                    weights: block.packed[channel * depth..][..stored * depth].as_ptr(),
                    offsets: block.offsets.as_ptr(),
                    continued: block.continued,
                    bias: block.bias.map(|_| bias.as_ptr()),
                    relu: block.relu,
                };
                let tiles = sums.chunks_exact_mut(ROWS * stored).take(count.div_ceil(ROWS));
                for (factors, sums) in factors.chunks_exact(ROWS).zip(tiles) {
                    let factors: [_; ROWS] = std::array::from_fn(|i| factors[i]);
                    // SAFETY: the caller's promise; a tile's sums are whole.
                    unsafe { tile.run::<V>(&factors, stored / V::COUNT, sums.as_mut_ptr()) };
                }
                held.store(&sums, out);
            }
        }
    }
}

/// What the tiles of a panel share.
struct Tile {
    depth: usize,
    /// Step after step, as many vectors as the panel has.
    weights: *const f32,
    /// Where each step of K lies from a factor on, in bytes.
    offsets: *const i32,
    /// Whether sums go on from what they hold, else from +0.
    continued: bool,
    bias: Option<*const f32>,
    relu: bool,
}

impl Tile {
    /// # Safety
    /// The machine has the instructions of `V`; weights, planes, bias and sums reach as far as the fields say.
    #[inline(always)]
    unsafe fn run<V: Floats>(&self, factors: &[*const f32; ROWS], vectors: usize, sums: *mut f32) {
        let together = (1..ROWS).all(|i| factors[i] == factors[0].wrapping_add(i));
        // SAFETY: the caller's promise.
        unsafe {
            match (vectors, together) {
                (TILE_VECTORS, true) => self.fixed::<V, TILE_VECTORS, true>(factors, sums),
                (TILE_VECTORS, false) => self.fixed::<V, TILE_VECTORS, false>(factors, sums),
                (_, true) => self.fixed::<V, 1, true>(factors, sums),
                (_, false) => self.fixed::<V, 1, false>(factors, sums),
            }
        }
    }

    /// `TOGETHER`: the positions follow each other in a row of the planes.
    ///
    /// # Safety
    /// As for `run`.
    // Small functions for V8, as for the tile of the matrix product.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    unsafe fn fixed<V: Floats, const N: usize, const TOGETHER: bool>(&self, at: &[*const f32; ROWS], c: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            let zeros = [0.0f32; MOST_LANES];
            let mut sums = [[V::load(zeros.as_ptr()); N]; ROWS];
            if self.continued {
                for (i, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                    *sum = V::load(c.add(i * V::COUNT));
                }
            }
            let at = *at;
            let (mut b, mut offsets, mut left) = (self.weights, self.offsets, self.depth);
            let advance = Advance::by(4, 4 * N * V::COUNT);
            while left > 0 {
                step::<V, N, TOGETHER>(&mut sums, &at, *offsets, b);
                if left == 1 {
                    break;
                }
                step::<V, N, TOGETHER>(&mut sums, &at, *offsets.add(1), b.add(N * V::COUNT));
                if left == 2 {
                    break;
                }
                step::<V, N, TOGETHER>(&mut sums, &at, *offsets.add(2), b.add(2 * N * V::COUNT));
                if left == 3 {
                    break;
                }
                step::<V, N, TOGETHER>(&mut sums, &at, *offsets.add(3), b.add(3 * N * V::COUNT));
                offsets = advance.a(offsets);
                b = advance.b(b);
                left -= 4;
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (j, mut sum) in sums.into_iter().enumerate() {
                    if let Some(bias) = self.bias {
                        sum = sum.plus(V::load(bias.add(j * V::COUNT)));
                    }
                    if self.relu {
                        sum = sum.relu();
                    }
                    sum.store(c.add((row * N + j) * V::COUNT));
                }
            }
        }
    }
}

/// One step of K.
///
/// # Safety
/// As for [`Tile::run`].
#[inline(always)]
unsafe fn step<V: Floats, const N: usize, const TOGETHER: bool>(
    sums: &mut [[V; N]; ROWS],
    at: &[*const f32; ROWS],
    offset: i32,
    b: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut weights = [V::load(b); N];
        for (j, weight) in weights.iter_mut().enumerate().skip(1) {
            *weight = V::load(b.add(j * V::COUNT));
        }
        let first = at[0].byte_add(offset as usize);
        for (i, sums) in sums.iter_mut().enumerate() {
            let factor = V::splat(if TOGETHER { first.add(i) } else { at[i].byte_add(offset as usize) });
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = sum.step(factor, weight);
            }
        }
    }
}

/// The positions whose sums are held, out of every plane.
struct Held {
    first: usize,
    count: usize,
    /// Positions of a plane.
    plane_len: usize,
    /// Sums from one position to the next.
    pitch: usize,
}

impl Held {
    fn load(&self, planes: &[f32], sums: &mut [f32]) {
        for (channel, plane) in planes.chunks_exact(self.plane_len).enumerate() {
            for (i, x) in plane[self.first..][..self.count].iter().enumerate() {
                sums[i * self.pitch + channel] = *x;
            }
        }
    }

    /// 4 × 4 transposes, and element by element what is left.
    fn store(&self, sums: &[f32], planes: &mut [f32]) {
        type Quad4 = <f32 as Element>::Quad;
        let channels = planes.len() / self.plane_len;
        for channel in (0..channels).step_by(4) {
            for i in (0..self.count).step_by(4) {
                let from = &sums[i * self.pitch + channel..];
                if channels - channel >= 4 && self.count - i >= 4 {
                    let from = &from[..3 * self.pitch + 4];
                    let to = &mut planes[channel * self.plane_len + self.first + i..][..3 * self.plane_len + 4];
                    // SAFETY: both slices reach over four rows of four at their strides.
                    unsafe {
                        let row = |i: usize| Quad4::load(from.as_ptr().add(i * self.pitch));
                        for (i, row) in Quad4::transposed([row(0), row(1), row(2), row(3)]).into_iter().enumerate() {
                            row.store(to.as_mut_ptr().add(i * self.plane_len));
                        }
                    }
                } else {
                    for channel in channel..channels.min(channel + 4) {
                        for i in i..self.count.min(i + 4) {
                            planes[channel * self.plane_len + self.first + i] = sums[i * self.pitch + channel];
                        }
                    }
                }
            }
        }
    }
}

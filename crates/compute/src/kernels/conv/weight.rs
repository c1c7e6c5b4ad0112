//! The weight gradient: rows are the weights under one output channel, read as broadcasts from the planes; lanes are output
//! channels, so dy is packed like a transposed right operand; K runs over the samples' output positions.
#![allow(unsafe_code, reason = "register tiles run over pointers; every reach is checked against the buffers first")]

use super::super::gemm::blocks::{DEPTH, right_panels};
use super::super::gemm::tile::{Advance, step};
use super::super::lanes::{FloatKernel, Floats};
use super::super::pack::{Panels, pack};
use super::super::{matrix::Matrix, scratch::Scratch};
use super::Conv;
use super::planes::{Planes, SLACK, Source};

/// Rows of a register tile.
const TILE_ROWS: usize = 4;

pub(super) fn gradient(conv: &Conv, scratch: &mut Scratch, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (depth, columns) = (conv.depth(), conv.group_out_channels());
    let positions = conv.out_height * conv.out_width;
    if positions == 0 || depth == 0 || columns == 0 {
        return dweight.fill(0.0);
    }
    let planes = Planes::forward(conv);
    let level = scratch.level.narrowed_to(columns);
    let panels = right_panels(level, columns);
    // Whole output rows, so that a tile walks along them.
    let lines = (DEPTH / conv.out_width).clamp(1, conv.out_height);
    let channels = conv.group_channels();
    let plane_len = planes.len();
    let stored = columns.next_multiple_of(panels.grain);
    let planes_len = channels * plane_len + SLACK;
    let sums_len = depth * stored;
    let ([padded, packed, sums], offsets) =
        scratch.planes([planes_len, panels.packed_len(lines * conv.out_width), sums_len], depth);
    let kernel = conv.kernel_height * conv.kernel_width;
    for (i, out) in offsets.iter_mut().enumerate() {
        let (channel, at) = (i / kernel, i % kernel);
        let at = channel * plane_len + planes.offset(at / conv.kernel_width, at % conv.kernel_width);
        *out = i32::try_from(at).expect("a sample's planes are below 8 GiB");
    }
    let source = Source { data: x, height: conv.height, width: conv.width };
    padded.fill(0.0);
    for group in 0..conv.groups {
        sums.fill(0.0);
        for sample in 0..conv.samples {
            let first = (sample * conv.groups + group) * channels;
            planes.fill(source, first, &mut padded[..channels * plane_len]);
            let dy = &dy[(sample * conv.groups + group) * columns * positions..][..columns * positions];
            for line in (0..conv.out_height).step_by(lines) {
                let lines = lines.min(conv.out_height - line);
                let steps = lines * conv.out_width;
                let dy = Matrix::transposed(dy, positions);
                pack(dy, line * conv.out_width, steps, 0, panels, packed);
                let block = Block {
                    planes: &padded[line * conv.stride[0] * planes.pitch()..],
                    line_step: conv.stride[0] * planes.pitch(),
                    lines,
                    width: conv.out_width,
                    packed,
                    panels,
                    offsets,
                    sums,
                    stored,
                };
                // SAFETY: every offset plus `lines` rows lies within the planes; dy is packed; `sums` holds `depth` rows.
                unsafe { level.run_floats(block) };
            }
        }
        let out = &mut dweight[group * columns * depth..][..columns * depth];
        for (column, out) in out.chunks_exact_mut(depth).enumerate() {
            for (row, out) in out.iter_mut().enumerate() {
                *out = sums[row * stored + column];
            }
        }
    }
}

/// One sample, one group, some output rows.
struct Block<'a> {
    planes: &'a [f32],
    line_step: usize,
    lines: usize,
    width: usize,
    packed: &'a [f32],
    panels: Panels,
    offsets: &'a [i32],
    sums: &'a mut [f32],
    stored: usize,
}

impl FloatKernel for Block<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        let depth = self.offsets.len();
        // As equal as can be: three tiles of 3 rows are faster than two of 4 and one of 1.
        let tiles = depth.div_ceil(TILE_ROWS);
        for (j, _, stored) in self.panels.iter() {
            for i in 0..tiles {
                let (row, end) = (i * depth / tiles, (i + 1) * depth / tiles);
                let tile = Tile {
                    planes: self.planes.as_ptr(),
                    offsets: &self.offsets[row..end],
                    line_step: self.line_step,
                    lines: self.lines,
                    width: self.width,
                    b: self.packed[j * self.lines * self.width..].as_ptr(),
                    c: self.sums[row * self.stored + j..].as_mut_ptr(),
                    c_row: self.stored,
                };
                // SAFETY: the caller's promise.
                unsafe {
                    match (end - row, stored / V::COUNT) {
                        (4, 2) => tile.run::<V, 4, 2>(),
                        (3, 2) => tile.run::<V, 3, 2>(),
                        (2, 2) => tile.run::<V, 2, 2>(),
                        (1, 2) => tile.run::<V, 1, 2>(),
                        (4, 1) => tile.run::<V, 4, 1>(),
                        (3, 1) => tile.run::<V, 3, 1>(),
                        (2, 1) => tile.run::<V, 2, 1>(),
                        _ => tile.run::<V, 1, 1>(),
                    }
                }
            }
        }
    }
}

struct Tile<'a> {
    planes: *const f32,
    offsets: &'a [i32],
    line_step: usize,
    lines: usize,
    width: usize,
    b: *const f32,
    c: *mut f32,
    c_row: usize,
}

impl Tile<'_> {
    /// # Safety
    /// The machine has the instructions of `V`; the planes, the panel and the sums reach as far as the fields say.
    // Small functions for V8, as for the tile of the matrix product.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    unsafe fn run<V: Floats, const R: usize, const N: usize>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::load(self.c); N]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(self.c.add(row * self.c_row + j * V::COUNT));
                }
            }
            let mut rows = [self.planes; R];
            for (at, offset) in rows.iter_mut().zip(self.offsets) {
                *at = at.add(*offset as usize);
            }
            let mut b = self.b;
            let b_step = N * V::COUNT;
            let advance = Advance::by(4, 4 * b_step);
            for _ in 0..self.lines {
                let mut at = rows;
                let mut left = self.width;
                while left > 0 {
                    step::<V, R, N>(&mut sums, &at, 0, b);
                    if left == 1 {
                        break;
                    }
                    step::<V, R, N>(&mut sums, &at, 1, b.add(b_step));
                    if left == 2 {
                        break;
                    }
                    step::<V, R, N>(&mut sums, &at, 2, b.add(2 * b_step));
                    if left == 3 {
                        break;
                    }
                    step::<V, R, N>(&mut sums, &at, 3, b.add(3 * b_step));
                    for at in &mut at {
                        *at = advance.a(*at);
                    }
                    b = advance.b(b);
                    left -= 4;
                }
                b = b.add(left * b_step);
                for at in &mut rows {
                    *at = at.wrapping_add(self.line_step);
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    sum.store(self.c.add(row * self.c_row + j * V::COUNT));
                }
            }
        }
    }
}

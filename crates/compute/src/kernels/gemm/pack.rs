//! Packing: blocks of A and B copied into panels that the register tile reads in order. A panel is K-major and as wide
//! as its tile, the last one narrower. An operand stored the other way round is transposed on the way, 4 × 4 at a time.
#![allow(unsafe_code, reason = "transposes move whole vectors; every block is checked against its slice first")]

use super::Matrix;
use super::lanes::{Element, LEAST_TILE_ROWS, Lanes, Quad};

/// Steps of K packed for all panels before the next ones: 16 floats are one cache line of a transposed operand, and a
/// power-of-two stride maps few lines to one set.
const CHUNK: usize = 16;

/// Where the panels of one side are: `widths` first whole ones, then what is left.
#[derive(Clone, Copy)]
pub(crate) struct Panels {
    /// Columns of B, or rows of A, of a whole panel.
    pub(crate) width: usize,
    /// Of the panels after the whole ones, of which the last may be narrower.
    pub(crate) rest_width: usize,
    /// Columns or rows in all.
    pub(crate) len: usize,
    /// A last panel is stored this wide or a multiple of it, with zeros: one vector, or 1 where a tile has any height.
    pub(crate) grain: usize,
}

impl Panels {
    /// Rows of A for tiles of that height.
    pub(crate) fn rows(height: usize, len: usize) -> Self {
        Self { width: height, rest_width: LEAST_TILE_ROWS, len, grain: 1 }
    }

    /// First column or row, those present and those stored, panel after panel.
    pub(crate) fn iter(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let whole = self.len / self.width * self.width;
        let rest = (whole..self.len).step_by(self.rest_width).map(move |first| {
            let present = self.rest_width.min(self.len - first);
            (first, present, present.next_multiple_of(self.grain))
        });
        (0..whole).step_by(self.width).map(move |first| (first, self.width, self.width)).chain(rest)
    }

    /// Elements of all panels over a depth.
    pub(crate) fn packed_len(self, depth: usize) -> usize {
        self.len.next_multiple_of(self.grain) * depth
    }
}

/// The block of `source` at (k0, first), `depth` steps of K long, into panels. The source's rows run along K for B, so
/// A is handed in transposed. The panel whose first column is j starts at `packed[j · depth]`.
pub(crate) fn pack<E: Element>(
    source: Matrix<'_, E>,
    k0: usize,
    depth: usize,
    first: usize,
    panels: Panels,
    packed: &mut [E],
) {
    assert!(packed.len() >= panels.packed_len(depth), "the panels have room");
    if depth == 0 || panels.len == 0 {
        return;
    }
    let last = (k0 + depth - 1) * source.row_stride + (first + panels.len - 1) * source.column_stride;
    assert!(last < source.data.len(), "the block lies within the matrix");
    for k in (0..depth).step_by(CHUNK) {
        let steps = CHUNK.min(depth - k);
        for (j, present, stored) in panels.iter() {
            let out = &mut packed[j * depth + k * stored..][..steps * stored];
            let start = (k0 + k) * source.row_stride + (first + j) * source.column_stride;
            let block = Block { source, start, steps, present, stored };
            if source.column_stride == 1 {
                block.copy(out);
            } else if source.row_stride == 1 {
                block.transpose(out);
            } else {
                block.gather(0, 0, out);
            }
        }
    }
}

/// `steps` steps of K of one panel.
struct Block<'a, E> {
    source: Matrix<'a, E>,
    start: usize,
    steps: usize,
    present: usize,
    stored: usize,
}

impl<E: Element> Block<'_, E> {
    /// K-major already: vectors are copied.
    fn copy(&self, out: &mut [E]) {
        let columns = self.present / 4 * 4;
        let stride = self.source.row_stride;
        let from = &self.source.data[self.start..][..(self.steps - 1) * stride + self.present];
        assert!(out.len() >= self.steps * self.stored && self.stored >= self.present, "the panel has room");
        for j in (0..columns).step_by(4) {
            for k in 0..self.steps {
                // SAFETY: both slices reach over every step at their strides.
                unsafe {
                    E::Quad::load(from.as_ptr().add(k * stride + j)).store(out.as_mut_ptr().add(k * self.stored + j))
                };
            }
        }
        if columns < self.stored {
            self.gather(columns, 0, out);
        }
    }

    /// Columns lie along K: 4 × 4 transposes, and element by element what is left.
    fn transpose(&self, out: &mut [E]) {
        let (columns, steps) = (self.present / 4 * 4, self.steps / 4 * 4);
        let stride = self.source.column_stride;
        for j in (0..columns).step_by(4) {
            for k in (0..steps).step_by(4) {
                let from = &self.source.data[self.start + j * stride + k..][..3 * stride + 4];
                let to = &mut out[k * self.stored + j..][..3 * self.stored + 4];
                // SAFETY: both slices reach over four rows of four at their strides.
                unsafe {
                    let row = |i: usize| E::Quad::load(from.as_ptr().add(i * stride));
                    let columns = E::Quad::transposed([row(0), row(1), row(2), row(3)]);
                    for (i, column) in columns.into_iter().enumerate() {
                        column.store(to.as_mut_ptr().add(i * self.stored));
                    }
                }
            }
        }
        if columns < self.stored {
            self.gather(columns, 0, &mut out[..steps * self.stored]);
        }
        if steps < self.steps {
            self.gather(0, steps, out);
        }
    }

    /// Columns from `column` on and steps from `step` on, element by element; zeros where the matrix ends.
    fn gather(&self, column: usize, step: usize, out: &mut [E]) {
        for (k, out) in out.chunks_exact_mut(self.stored).enumerate().skip(step) {
            for (j, out) in out.iter_mut().enumerate().skip(column) {
                let at = self.start + k * self.source.row_stride + j * self.source.column_stride;
                *out = if j < self.present { self.source.data[at] } else { E::default() };
            }
        }
    }
}

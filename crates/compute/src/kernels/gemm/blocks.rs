//! The blocked product: B packed a block at a time unless it was before, A packed or read where it lies.
#![allow(unsafe_code, reason = "register tiles run over pointers; every operand is checked against its slice first")]

use super::super::lanes::{FloatKernel, Floats, IntegerKernel, LEAST_TILE_ROWS, Lanes, Level, MOST_LANES};
use super::super::pack::{Panels, pack};
use super::super::{matrix::Matrix, scratch::Scratch};
use super::PackedB;
use super::tile::{TILE_VECTORS, Tile};

/// Depth of a block: a panel of B stays in the first-level cache, and C is read and written once a block.
pub(crate) const DEPTH: usize = 256;
/// Rows of a block of A: 120 KiB, within the second-level cache. Whole tiles of every height.
pub(crate) const ROWS: usize = 120;
/// Columns of a block of B, whole panels at every level: 512 KiB.
pub(crate) const COLUMNS: usize = 512;
/// With fewer columns than this, packing A costs more than it saves.
const PACK_FROM_COLUMNS: usize = 192;

const _: () = assert!(ROWS.is_multiple_of(4) && ROWS.is_multiple_of(6) && ROWS.is_multiple_of(8));
const _: () = assert!(COLUMNS.is_multiple_of(TILE_VECTORS * MOST_LANES), "blocks hold whole panels");

/// The right operand.
pub(super) enum Right<'a> {
    InPlace(Matrix<'a>),
    Packed(&'a PackedB),
}

pub(crate) fn right_panels(level: Level, columns: usize) -> Panels {
    let grain = level.lanes();
    let width = grain * TILE_VECTORS;
    Panels { width, rest_width: width, len: columns, grain }
}

/// Operands are checked against m, n and k by the caller.
pub(super) fn multiply(
    scratch: &mut Scratch,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_>,
    b: Right<'_>,
    c: &mut [f32],
) {
    let level = match b {
        Right::InPlace(_) => scratch.level.narrowed_to(n),
        Right::Packed(b) => b.level(),
    };
    let tile_rows = level.tile_rows();
    let direct = a.column_stride == 1 && n < PACK_FROM_COLUMNS;
    let (most_rows, most_depth) = (m.min(ROWS), k.min(DEPTH));
    let a_len = if direct { 0 } else { Panels::rows(tile_rows, most_rows).packed_len(most_depth) };
    let b_len = match b {
        Right::InPlace(_) => right_panels(level, n.min(COLUMNS)).packed_len(most_depth),
        Right::Packed(_) => 0,
    };
    let (packed_a, packed_b) = scratch.buffers(a_len, b_len);
    for j0 in (0..n).step_by(COLUMNS) {
        let panels = right_panels(level, COLUMNS.min(n - j0));
        for k0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - k0);
            let right: &[f32] = match b {
                Right::InPlace(b) => {
                    pack(b, k0, depth, j0, panels, packed_b);
                    packed_b
                }
                Right::Packed(b) => b.block(k0, j0),
            };
            assert!(right.len() >= panels.packed_len(depth), "the block of B is whole");
            for i0 in (0..m).step_by(ROWS) {
                let rows = ROWS.min(m - i0);
                let c = &mut c[i0 * n + j0..];
                let left = if direct {
                    Left::InPlace(&a.data[i0 * a.row_stride + k0..], a.row_stride)
                } else {
                    pack(a.transpose(), k0, depth, i0, Panels::rows(tile_rows, rows), packed_a);
                    Left::Packed(packed_a)
                };
                assert!(c.len() >= (rows - 1) * n + panels.len, "the block of C is whole");
                // SAFETY: B and C are checked above, A by `pack` or by the caller.
                unsafe { level.run_floats(Block { left, right, c, rows, panels, depth, n }) };
            }
        }
    }
}

/// The left operand: in panels, or row-major with its stride.
pub(crate) enum Left<'a, E> {
    Packed(&'a [E]),
    InPlace(&'a [E], usize),
}

/// Some rows of C over some depth.
pub(crate) struct Block<'a, E> {
    pub(crate) left: Left<'a, E>,
    pub(crate) right: &'a [E],
    pub(crate) c: &'a mut [E],
    pub(crate) rows: usize,
    pub(crate) panels: Panels,
    pub(crate) depth: usize,
    /// Columns of the whole C.
    pub(crate) n: usize,
}

impl FloatKernel for Block<'_, f32> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.left {
                Left::Packed(a) => self.tiles::<V, false>(V::TILE_ROWS, a, 0),
                Left::InPlace(a, row) => self.tiles::<V, true>(LEAST_TILE_ROWS, a, row),
            }
        }
    }
}

impl IntegerKernel for Block<'_, i32> {
    #[inline(always)]
    unsafe fn run<V: Lanes<Element = i32>>(self) {
        let Left::Packed(a) = self.left else { unreachable!("bytes are widened while they are packed") };
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<V, false>(V::TILE_ROWS, a, 0) }
    }
}

impl<E: Copy + Default> Block<'_, E> {
    /// `a_row` is the stride of a left operand that is read where it lies.
    #[inline(always)]
    unsafe fn tiles<V: Lanes<Element = E>, const DIRECT: bool>(self, tile_rows: usize, a: &[E], a_row: usize) {
        let c = self.c.as_mut_ptr();
        for (j, width, stored) in self.panels.iter() {
            for (i, rows, _) in Panels::rows(tile_rows, self.rows).iter() {
                let tile = Tile {
                    depth: self.depth,
                    a: a[i * if DIRECT { a_row } else { self.depth }..].as_ptr(),
                    a_row,
                    b: self.right[j * self.depth..].as_ptr(),
                    // SAFETY: the block of C is whole.
                    c: unsafe { c.add(i * self.n + j) },
                    c_row: self.n,
                    width,
                };
                // SAFETY: the caller's promise.
                unsafe { tile.run::<V, DIRECT>(rows, stored / V::COUNT) };
            }
        }
    }
}

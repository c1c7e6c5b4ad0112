//! The register tile: some rows by two vectors of C, read once, continued over a depth, written once.
#![allow(unsafe_code, reason = "inner loops run over pointers that the callers have checked as whole blocks")]

use std::mem::MaybeUninit;

use super::super::lanes::{Lanes, MOST_LANES};

/// Vectors in a row of the register tile.
pub(crate) const TILE_VECTORS: usize = 2;

/// One tile's work. B is a panel, K-major, as wide as the tile; A is read at `a + row·a_row + k·a_step`.
#[derive(Clone, Copy)]
pub(crate) struct Tile<E> {
    pub(crate) depth: usize,
    pub(crate) a: *const E,
    /// Used only by tiles that read A where it lies; a packed A has its rows side by side.
    pub(crate) a_row: usize,
    pub(crate) b: *const E,
    pub(crate) c: *mut E,
    pub(crate) c_row: usize,
    /// Columns of C that exist: fewer than the panel's at the right edge.
    pub(crate) width: usize,
}

impl<E: Copy + Default> Tile<E> {
    /// Continues some rows and `vectors` vectors of C. `DIRECT`: A is row-major where it lies, else packed K-major.
    ///
    /// # Safety
    /// The machine has the instructions of `V`; A, the panel of B and C reach as far as the fields say.
    #[inline(always)]
    pub(crate) unsafe fn run<V: Lanes<Element = E>, const DIRECT: bool>(self, rows: usize, vectors: usize) {
        // SAFETY: the caller's promise. Tiles that the level never asks for are not compiled.
        unsafe {
            match (rows, vectors) {
                (8, 2) if const { V::TILE_ROWS == 8 && !DIRECT } => self.fixed::<V, 8, 2, DIRECT>(),
                (8, 1) if const { V::TILE_ROWS == 8 && !DIRECT } => self.fixed::<V, 8, 1, DIRECT>(),
                (6, 2) if const { V::TILE_ROWS == 6 && !DIRECT } => self.fixed::<V, 6, 2, DIRECT>(),
                (6, 1) if const { V::TILE_ROWS == 6 && !DIRECT } => self.fixed::<V, 6, 1, DIRECT>(),
                (4, 2) => self.fixed::<V, 4, 2, DIRECT>(),
                (3, 2) => self.fixed::<V, 3, 2, DIRECT>(),
                (2, 2) => self.fixed::<V, 2, 2, DIRECT>(),
                (1, 2) => self.fixed::<V, 1, 2, DIRECT>(),
                (4, 1) => self.fixed::<V, 4, 1, DIRECT>(),
                (3, 1) => self.fixed::<V, 3, 1, DIRECT>(),
                (2, 1) => self.fixed::<V, 2, 1, DIRECT>(),
                _ => self.fixed::<V, 1, 1, DIRECT>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn fixed<V: Lanes<Element = E>, const R: usize, const N: usize, const DIRECT: bool>(mut self) {
        const MOST_WIDTH: usize = TILE_VECTORS * MOST_LANES;
        let mut edge = MaybeUninit::<[[E; MOST_WIDTH]; R]>::uninit();
        let (c, c_row, is_edge) = (self.c, self.c_row, self.width < N * V::COUNT);
        // SAFETY: the caller's promise; the edge buffer holds R whole rows. One call for both cases: a tile is much code.
        unsafe {
            if is_edge {
                let edge = edge.write([[E::default(); MOST_WIDTH]; R]).as_mut_ptr().cast();
                copy_rows(c, c_row, edge, MOST_WIDTH, R, self.width);
                (self.c, self.c_row) = (edge, MOST_WIDTH);
            }
            self.whole::<V, R, N, DIRECT>();
            if is_edge {
                copy_rows(self.c, MOST_WIDTH, c, c_row, R, self.width);
            }
        }
    }

    // V8 allocates registers for a small function far better than for one that holds every tile; elsewhere a call would
    // lose the instructions of the level.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    unsafe fn whole<V: Lanes<Element = E>, const R: usize, const N: usize, const DIRECT: bool>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::load(self.c); N]; R];
            for (row, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(self.c.add(row * self.c_row + j * V::COUNT));
                }
            }
            let (a_row, a_step) = if DIRECT { (self.a_row, 1) } else { (1, R) };
            let mut rows = [self.a; R];
            for (row, at) in rows.iter_mut().enumerate() {
                *at = at.add(row * a_row);
            }
            let mut b = self.b;
            let mut left = self.depth;
            let advance = Advance::by(UNROLL * a_step, UNROLL * N * V::COUNT);
            while left > 0 {
                step::<V, R, N>(&mut sums, &rows, 0, b);
                if left == 1 {
                    break;
                }
                step::<V, R, N>(&mut sums, &rows, a_step, b.add(N * V::COUNT));
                if left == 2 {
                    break;
                }
                step::<V, R, N>(&mut sums, &rows, 2 * a_step, b.add(2 * N * V::COUNT));
                if left == 3 {
                    break;
                }
                step::<V, R, N>(&mut sums, &rows, 3 * a_step, b.add(3 * N * V::COUNT));
                for at in &mut rows {
                    *at = advance.a(*at);
                }
                b = advance.b(b);
                left -= UNROLL;
            }
            for (row, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    sum.store(self.c.add(row * self.c_row + j * V::COUNT));
                }
            }
        }
    }
}

/// # Safety
/// Both reach over `rows` rows of that width.
#[inline(never)]
unsafe fn copy_rows<E: Copy>(from: *const E, from_row: usize, to: *mut E, to_row: usize, rows: usize, width: usize) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { to.add(row * to_row).copy_from_nonoverlapping(from.add(row * from_row), width) };
    }
}

/// Steps of K in one turn of the loop. Each may be the last: a block boundary between them keeps compilers from
/// gathering the additions of all four, for which there are not enough registers.
const UNROLL: usize = 4;

/// How far the operands move in one turn. On WebAssembly the distances are read anew each turn, so that LLVM's strength
/// reduction leaves the constant offsets of the four steps in the instructions, where they are free.
pub(crate) struct Advance {
    a: usize,
    b: usize,
}

impl Advance {
    pub(crate) fn by(a: usize, b: usize) -> Self {
        Self { a, b }
    }

    /// # Safety
    /// The operand reaches as far.
    #[inline(always)]
    pub(crate) unsafe fn a<E>(&self, at: *const E) -> *const E {
        // SAFETY: the caller's promise.
        unsafe {
            if cfg!(target_arch = "wasm32") { at.add((&raw const self.a).read_volatile()) } else { at.add(self.a) }
        }
    }

    /// # Safety
    /// The operand reaches as far.
    #[inline(always)]
    pub(crate) unsafe fn b<E>(&self, at: *const E) -> *const E {
        // SAFETY: the caller's promise.
        unsafe {
            if cfg!(target_arch = "wasm32") { at.add((&raw const self.b).read_volatile()) } else { at.add(self.b) }
        }
    }
}

/// One step of K.
///
/// # Safety
/// As for [`Tile::run`].
#[inline(always)]
pub(crate) unsafe fn step<V: Lanes, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    rows: &[*const V::Element; R],
    offset: usize,
    b: *const V::Element,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut factors = [V::load(b); N];
        for (j, factor) in factors.iter_mut().enumerate().skip(1) {
            *factor = V::load(b.add(j * V::COUNT));
        }
        for (sums, row) in sums.iter_mut().zip(rows) {
            let a = V::splat(row.add(offset));
            for (sum, b) in sums.iter_mut().zip(factors) {
                *sum = sum.step(a, b);
            }
        }
    }
}

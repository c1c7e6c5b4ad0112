//! The register tile of a correlation: R rows by N vectors of positions, which may lie anywhere.
#![allow(unsafe_code, reason = "inner loops run over pointers that the callers have checked as whole blocks")]

use super::super::gemm::lanes::{Floats, MOST_LANES};
use super::super::gemm::tile::Advance;

/// The work that all tiles of a panel share: A is packed K-major, R side by side.
pub(super) struct Tile {
    pub(super) depth: usize,
    pub(super) a: *const f32,
    /// Where each step of K lies from a slot's `b` on, in bytes.
    pub(super) offsets: *const i32,
}

/// One vector of positions; a width of 0 stores nothing.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) b: *const f32,
    pub(super) c: *mut f32,
    pub(super) width: usize,
}

/// What happens around the sums.
pub(super) struct Store<const R: usize> {
    /// From one row of C to the next.
    pub(super) row_len: usize,
    /// Whether the sums continue what C holds, else +0.
    pub(super) continued: bool,
    pub(super) biased: bool,
    pub(super) bias: [f32; R],
    pub(super) relu: bool,
}

impl Tile {
    /// # Safety
    /// The machine has the instructions of `V`; A, the planes and C reach as far as the fields say.
    // Small functions for V8, as for the tile of the matrix product.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) unsafe fn run<V: Floats, const R: usize, const N: usize>(&self, slots: &[Slot; N], store: &Store<R>) {
        // SAFETY: the caller's promise.
        unsafe {
            let zeros = [0.0f32; MOST_LANES];
            let mut sums = [[V::load(zeros.as_ptr()); N]; R];
            if store.continued {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (slot, sum) in slots.iter().zip(sums) {
                        *sum = load(slot.c.wrapping_add(row * store.row_len), slot.width);
                    }
                }
            }
            self.add::<V, R, N>(slots, &mut sums);
            for (row, sums) in sums.into_iter().enumerate() {
                for (slot, mut sum) in slots.iter().zip(sums) {
                    if store.biased {
                        sum = sum.plus(V::splat(store.bias.as_ptr().add(row)));
                    }
                    if store.relu {
                        sum = sum.relu();
                    }
                    save(sum, slot.c.wrapping_add(row * store.row_len), slot.width);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn add<V: Floats, const R: usize, const N: usize>(&self, slots: &[Slot; N], sums: &mut [[V; N]; R]) {
        let at: [*const f32; N] = slots.map(|slot| slot.b);
        let (mut a, mut offsets, mut left) = (self.a, self.offsets, self.depth);
        let advance = Advance::by(4 * R, 4);
        // SAFETY: the caller's promise.
        unsafe {
            while left > 0 {
                step(sums, a, &at, offsets);
                if left == 1 {
                    break;
                }
                step(sums, a.add(R), &at, offsets.add(1));
                if left == 2 {
                    break;
                }
                step(sums, a.add(2 * R), &at, offsets.add(2));
                if left == 3 {
                    break;
                }
                step(sums, a.add(3 * R), &at, offsets.add(3));
                a = advance.a(a);
                offsets = advance.b(offsets);
                left -= 4;
            }
        }
    }
}

/// One step of K.
///
/// # Safety
/// As for [`Tile::run`].
#[inline(always)]
unsafe fn step<V: Floats, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    a: *const f32,
    at: &[*const f32; N],
    offset: *const i32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let offset = *offset as usize;
        let mut factors = [V::load(at[0].byte_add(offset)); N];
        for (factor, at) in factors.iter_mut().zip(at).skip(1) {
            *factor = V::load(at.byte_add(offset));
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let a = V::splat(a.add(row));
            for (sum, b) in sums.iter_mut().zip(factors) {
                *sum = sum.step(a, b);
            }
        }
    }
}

/// The first `width` elements, then zeros.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn load<V: Floats>(at: *const f32, width: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        if width == V::COUNT {
            return V::load(at);
        }
        let mut edge = [0.0; MOST_LANES];
        at.copy_to_nonoverlapping(edge.as_mut_ptr(), width);
        V::load(edge.as_ptr())
    }
}

/// Stores the first `width` elements.
///
/// # Safety
/// They can be written.
#[inline(always)]
unsafe fn save<V: Floats>(sum: V, at: *mut f32, width: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if width == V::COUNT {
            return sum.store(at);
        }
        let mut edge = [0.0; MOST_LANES];
        sum.store(edge.as_mut_ptr());
        at.copy_from_nonoverlapping(edge.as_ptr(), width);
    }
}

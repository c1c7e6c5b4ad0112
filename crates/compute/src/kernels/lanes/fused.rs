//! Vectors whose step rounds once: contraction, in the words of IEEE 754. Faster where the machine has the instruction,
//! and not exact/1: for tolerant work alone.

use super::{Floats, LEAST_TILE_ROWS, Lanes};

/// A vector that can fuse its step.
pub(crate) trait Fuse: Floats {
    /// [`Lanes::TILE_ROWS`] of fused steps.
    const FUSED_TILE_ROWS: usize = LEAST_TILE_ROWS;

    /// self + a·b, rounded once; relaxed SIMD may round twice, as the engine likes.
    ///
    /// # Safety
    /// The machine has the instructions of this type, and a fused multiplication and addition.
    unsafe fn fused_step(self, a: Self, b: Self) -> Self;
}

/// A vector of f32 that fuses.
#[derive(Clone, Copy)]
pub(crate) struct Fused<V>(V);

impl<V: Fuse> Lanes for Fused<V> {
    type Element = f32;
    const COUNT: usize = V::COUNT;
    const TILE_ROWS: usize = V::FUSED_TILE_ROWS;

    #[inline(always)]
    unsafe fn splat(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { V::splat(at) })
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { V::load(at) })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.0.store(at) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { self.0.fused_step(a.0, b.0) })
    }
}

impl<V: Fuse> Floats for Fused<V> {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { self.0.plus(other.0) })
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { self.0.relu() })
    }
}

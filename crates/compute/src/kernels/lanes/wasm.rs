//! SIMD128, and relaxed SIMD in a module that is built for it.

use std::arch::wasm32::*;

#[cfg(target_feature = "relaxed-simd")]
use super::fused::Fuse;
use super::{Floats, Lanes, Quad};

#[derive(Clone, Copy)]
pub(crate) struct F32x4(v128);

impl Lanes for F32x4 {
    type Element = f32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { v128_load32_splat(at.cast()) })
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { v128_load(at.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(at.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        Self(f32x4_add(self.0, f32x4_mul(a.0, b.0)))
    }
}

impl Floats for F32x4 {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // pmax(a, b) is b where a < b, else a.
        Self(f32x4_pmax(f32x4_splat(0.0), self.0))
    }
}

#[cfg(target_feature = "relaxed-simd")]
impl Fuse for F32x4 {
    #[inline(always)]
    unsafe fn fused_step(self, a: Self, b: Self) -> Self {
        Self(f32x4_relaxed_madd(a.0, b.0, self.0))
    }
}

impl Quad for F32x4 {
    #[inline(always)]
    unsafe fn transposed([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        transposed([a.0, b.0, c.0, d.0]).map(Self)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct I32x4(v128);

impl Lanes for I32x4 {
    type Element = i32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { v128_load32_splat(at.cast()) })
    }

    #[inline(always)]
    unsafe fn load(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { v128_load(at.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { v128_store(at.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(a.0, b.0)))
    }
}

impl Quad for I32x4 {
    #[inline(always)]
    unsafe fn transposed([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        transposed([a.0, b.0, c.0, d.0]).map(Self)
    }
}

#[inline(always)]
fn transposed([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    let (ab_low, ab_high) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let (cd_low, cd_high) = (i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i64x2_shuffle::<0, 2>(ab_low, cd_low),
        i64x2_shuffle::<1, 3>(ab_low, cd_low),
        i64x2_shuffle::<0, 2>(ab_high, cd_high),
        i64x2_shuffle::<1, 3>(ab_high, cd_high),
    ]
}

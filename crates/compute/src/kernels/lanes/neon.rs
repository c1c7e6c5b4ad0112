//! AArch64 NEON. `vmulq` and `vaddq` stay two roundings; only `vfmaq`, of the fused level, rounds once.

use std::arch::aarch64::*;

use super::fused::Fuse;
use super::{Floats, Lanes, Quad};

#[derive(Clone, Copy)]
pub(crate) struct F32x4(float32x4_t);

impl Lanes for F32x4 {
    type Element = f32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_dup_f32(at) })
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_f32(at) })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(at, self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        // SAFETY: every AArch64 has NEON.
        Self(unsafe { vaddq_f32(self.0, vmulq_f32(a.0, b.0)) })
    }
}

impl Floats for F32x4 {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: every AArch64 has NEON.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // SAFETY: every AArch64 has NEON.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            Self(vbslq_f32(vcgtq_f32(self.0, zero), self.0, zero))
        }
    }
}

impl Fuse for F32x4 {
    #[inline(always)]
    unsafe fn fused_step(self, a: Self, b: Self) -> Self {
        // SAFETY: every AArch64 has NEON.
        Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }
}

impl Quad for F32x4 {
    #[inline(always)]
    unsafe fn transposed([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        // SAFETY: every AArch64 has NEON.
        unsafe {
            let wide = |x: float32x4_t| vreinterpretq_f64_f32(x);
            let narrow = |x: float64x2_t| Self(vreinterpretq_f32_f64(x));
            let (ab_low, ab_high) = (wide(vzip1q_f32(a.0, b.0)), wide(vzip2q_f32(a.0, b.0)));
            let (cd_low, cd_high) = (wide(vzip1q_f32(c.0, d.0)), wide(vzip2q_f32(c.0, d.0)));
            [
                narrow(vzip1q_f64(ab_low, cd_low)),
                narrow(vzip2q_f64(ab_low, cd_low)),
                narrow(vzip1q_f64(ab_high, cd_high)),
                narrow(vzip2q_f64(ab_high, cd_high)),
            ]
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct I32x4(int32x4_t);

impl Lanes for I32x4 {
    type Element = i32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_dup_s32(at) })
    }

    #[inline(always)]
    unsafe fn load(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_s32(at) })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_s32(at, self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        // SAFETY: every AArch64 has NEON.
        unsafe {
            let (a, b) = (vreinterpretq_s16_s32(a.0), vreinterpretq_s16_s32(b.0));
            let low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
            let high = vmull_high_s16(a, b);
            Self(vaddq_s32(self.0, vpaddq_s32(low, high)))
        }
    }
}

impl Quad for I32x4 {
    #[inline(always)]
    unsafe fn transposed(rows: [Self; 4]) -> [Self; 4] {
        // SAFETY: every AArch64 has NEON, and moving lanes as floats changes no bit.
        unsafe {
            let floats = rows.map(|row| F32x4(vreinterpretq_f32_s32(row.0)));
            F32x4::transposed(floats).map(|column| Self(vreinterpretq_s32_f32(column.0)))
        }
    }
}

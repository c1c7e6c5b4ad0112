//! Vectors as arrays: what a target without a module of its own runs, and the level that tests compare with.

use super::{Floats, Lanes, Quad};

#[derive(Clone, Copy)]
pub(crate) struct F32x4([f32; 4]);

impl Lanes for F32x4 {
    type Element = f32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self([unsafe { *at }; 4])
    }

    #[inline(always)]
    unsafe fn load(at: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { at.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }
}

impl Floats for F32x4 {
    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|x| if x > 0.0 { x } else { 0.0 }))
    }
}

impl Quad for F32x4 {
    #[inline(always)]
    unsafe fn transposed(rows: [Self; 4]) -> [Self; 4] {
        std::array::from_fn(|i| Self(std::array::from_fn(|j| rows[j].0[i])))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct I32x4([i32; 4]);

impl Lanes for I32x4 {
    type Element = i32;
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self([unsafe { *at }; 4])
    }

    #[inline(always)]
    unsafe fn load(at: *const i32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { at.cast::<[i32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut i32) {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<[i32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn step(self, a: Self, b: Self) -> Self {
        let dot = |a: i32, b: i32| {
            let low = i32::from(a as i16) * i32::from(b as i16);
            low.wrapping_add((a >> 16) * (b >> 16))
        };
        Self(std::array::from_fn(|i| self.0[i].wrapping_add(dot(a.0[i], b.0[i]))))
    }
}

impl Quad for I32x4 {
    #[inline(always)]
    unsafe fn transposed(rows: [Self; 4]) -> [Self; 4] {
        std::array::from_fn(|i| Self(std::array::from_fn(|j| rows[j].0[i])))
    }
}

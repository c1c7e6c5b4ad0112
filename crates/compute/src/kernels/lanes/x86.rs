//! x86-64: SSE2, which every one of them has, AVX2 and AVX-512. Multiplications fuse only where a fused level asks for it:
//! a fused step rounds once, and its bits are not ours.

use std::arch::x86_64::*;

use super::fused::{Fuse, Fused};
use super::{FloatKernel, Floats, IntegerKernel, Lanes, Quad};

/// # Safety
/// The machine has AVX2; the kernel's pointers are valid.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn floats_avx2(kernel: impl FloatKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<F32x8>() }
}

/// # Safety
/// The machine has AVX-512F and BW; the kernel's pointers are valid.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn floats_avx512(kernel: impl FloatKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<F32x16>() }
}

/// # Safety
/// The machine has AVX2 and FMA; the kernel's pointers are valid.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn floats_avx2_fused(kernel: impl FloatKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Fused<F32x8>>() }
}

/// # Safety
/// The machine has AVX-512F and BW; the kernel's pointers are valid.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn floats_avx512_fused(kernel: impl FloatKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Fused<F32x16>>() }
}

/// # Safety
/// The machine has AVX2; the kernel's pointers are valid.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn integers_avx2(kernel: impl IntegerKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<I32x8>() }
}

/// # Safety
/// The machine has AVX-512F and BW; the kernel's pointers are valid.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn integers_avx512(kernel: impl IntegerKernel) {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<I32x16>() }
}

/// One vector of floats and one of integers at one width.
macro_rules! width {
    ($count:literal, $tile_rows:literal, $floats:ident = $f:ty, $integers:ident = $i:ty,
     $fset:ident $fload:ident $fstore:ident $fadd:ident $fmul:ident $fmax:ident $fzero:ident,
     $iset:ident $iload:ident $istore:ident $iadd:ident $madd:ident) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $floats($f);

        impl Lanes for $floats {
            type Element = f32;
            const COUNT: usize = $count;
            const TILE_ROWS: usize = $tile_rows;

            #[inline(always)]
            unsafe fn splat(at: *const f32) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $fset(*at) })
            }

            #[inline(always)]
            unsafe fn load(at: *const f32) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $fload(at) })
            }

            #[inline(always)]
            unsafe fn store(self, at: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { $fstore(at, self.0) }
            }

            #[inline(always)]
            unsafe fn step(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $fadd(self.0, $fmul(a.0, b.0)) })
            }
        }

        impl Floats for $floats {
            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $fadd(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn relu(self) -> Self {
                // SAFETY: the caller's promise. max(a, b) is a where a > b, else b.
                Self(unsafe { $fmax(self.0, $fzero()) })
            }
        }

        #[derive(Clone, Copy)]
        pub(crate) struct $integers($i);

        impl Lanes for $integers {
            type Element = i32;
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn splat(at: *const i32) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $iset(*at) })
            }

            #[inline(always)]
            unsafe fn load(at: *const i32) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $iload(at.cast()) })
            }

            #[inline(always)]
            unsafe fn store(self, at: *mut i32) {
                // SAFETY: the caller's promise.
                unsafe { $istore(at.cast(), self.0) }
            }

            #[inline(always)]
            unsafe fn step(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $iadd(self.0, $madd(a.0, b.0)) })
            }
        }
    };
}

width!(4, 4, F32x4 = __m128, I32x4 = __m128i,
    _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_add_ps _mm_mul_ps _mm_max_ps _mm_setzero_ps,
    _mm_set1_epi32 _mm_loadu_si128 _mm_storeu_si128 _mm_add_epi32 _mm_madd_epi16);
width!(8, 4, F32x8 = __m256, I32x8 = __m256i,
    _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_mul_ps _mm256_max_ps _mm256_setzero_ps,
    _mm256_set1_epi32 _mm256_loadu_si256 _mm256_storeu_si256 _mm256_add_epi32 _mm256_madd_epi16);
width!(16, 8, F32x16 = __m512, I32x16 = __m512i,
    _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_mul_ps _mm512_max_ps _mm512_setzero_ps,
    _mm512_set1_epi32 _mm512_loadu_si512 _mm512_storeu_si512 _mm512_add_epi32 _mm512_madd_epi16);

impl Fuse for F32x8 {
    // No register is needed between multiplication and addition.
    const FUSED_TILE_ROWS: usize = 6;

    #[inline(always)]
    unsafe fn fused_step(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }
}

impl Fuse for F32x16 {
    const FUSED_TILE_ROWS: usize = 8;

    #[inline(always)]
    unsafe fn fused_step(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }
}

impl Quad for F32x4 {
    #[inline(always)]
    unsafe fn transposed([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        let (mut a, mut b, mut c, mut d) = (a.0, b.0, c.0, d.0);
        // SAFETY: every x86-64 has SSE2.
        unsafe { _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d) };
        [Self(a), Self(b), Self(c), Self(d)]
    }
}

impl Quad for I32x4 {
    #[inline(always)]
    unsafe fn transposed(rows: [Self; 4]) -> [Self; 4] {
        // SAFETY: every x86-64 has SSE2, and moving lanes as floats changes no bit.
        unsafe {
            let floats = rows.map(|row| F32x4(_mm_castsi128_ps(row.0)));
            F32x4::transposed(floats).map(|column| Self(_mm_castps_si128(column.0)))
        }
    }
}

//! One vector of 4-byte elements and the single step that every product here is made of: sum + a·b, rounded twice for
//! f32 and exact for pairs of 16-bit integers. Kernels are written once over [`Lanes`] and run at a [`Level`], which
//! says which instructions the machine has; no exact level changes a bit, because lanes never share a sum. Fused levels
//! round a step once and are for tolerant work.
#![allow(
    unsafe_code,
    reason = "vector instructions and target features have no safe spelling; each is wrapped here once"
)]

#[cfg(any(
    target_arch = "aarch64",
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "relaxed-simd")
))]
mod fused;
mod plain;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The widest vector, in elements.
pub(crate) const MOST_LANES: usize = 16;

/// Rows of the register tile where there are 16 registers, and on NEON, whose 32 are not made use of yet.
pub(crate) const LEAST_TILE_ROWS: usize = 4;
/// A vector of sums or factors.
pub(crate) trait Lanes: Copy {
    /// f32, or i32 for sums of integer products, whose factors are pairs of i16 in one i32.
    type Element: Copy + Default;
    const COUNT: usize;
    /// Rows of the register tile of a matrix product, each of two vectors: as many as registers hold beside two vectors of B
    /// and one of A; on WebAssembly four of A, because V8 moves the loads of a step before its sums.
    const TILE_ROWS: usize = LEAST_TILE_ROWS;

    /// # Safety
    /// `at` can be read, and the machine has the instructions of this type.
    unsafe fn splat(at: *const Self::Element) -> Self;

    /// # Safety
    /// As for `splat`, for `COUNT` elements.
    unsafe fn load(at: *const Self::Element) -> Self;

    /// # Safety
    /// As for `load`, to be written.
    unsafe fn store(self, at: *mut Self::Element);

    /// self + a·b in every lane.
    ///
    /// # Safety
    /// The machine has the instructions of this type.
    unsafe fn step(self, a: Self, b: Self) -> Self;
}

/// A vector of f32, with what an epilogue needs.
pub(crate) trait Floats: Lanes<Element = f32> {
    /// # Safety
    /// The machine has the instructions of this type.
    unsafe fn plus(self, other: Self) -> Self;

    /// x where x > 0, else +0.
    ///
    /// # Safety
    /// The machine has the instructions of this type.
    unsafe fn relu(self) -> Self;
}

/// Four elements that can be transposed with three other vectors.
pub(crate) trait Quad: Lanes {
    /// # Safety
    /// The machine has the instructions of this type.
    unsafe fn transposed(rows: [Self; 4]) -> [Self; 4];
}

/// What matrices are made of: f32, or pairs of i16 in one i32.
pub(crate) trait Element: Copy + Default + 'static {
    /// The vector of four that this target always has.
    type Quad: Quad<Element = Self>;
}

impl Element for f32 {
    type Quad = Native4;
}

impl Element for i32 {
    type Quad = NativePairs4;
}

/// The vector of four f32 that this target always has.
#[cfg(target_arch = "aarch64")]
pub(crate) type Native4 = neon::F32x4;
#[cfg(target_arch = "aarch64")]
pub(crate) type NativePairs4 = neon::I32x4;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) type Native4 = wasm::F32x4;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) type NativePairs4 = wasm::I32x4;
#[cfg(target_arch = "x86_64")]
pub(crate) type Native4 = x86::F32x4;
#[cfg(target_arch = "x86_64")]
pub(crate) type NativePairs4 = x86::I32x4;
#[cfg(not(any(
    target_arch = "aarch64",
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub(crate) type Native4 = plain::F32x4;
#[cfg(not(any(
    target_arch = "aarch64",
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub(crate) type NativePairs4 = plain::I32x4;

/// A kernel over f32, compiled once for each level. `run` must be `#[inline(always)]`, or it loses the level's
/// instructions.
pub(crate) trait FloatKernel {
    /// # Safety
    /// The machine has the instructions of `V`; the kernel's own pointers are valid.
    unsafe fn run<V: Floats>(self);
}

/// The same over integers.
pub(crate) trait IntegerKernel {
    /// # Safety
    /// The machine has the instructions of `V`; the kernel's own pointers are valid.
    unsafe fn run<V: Lanes<Element = i32>>(self);
}

/// Whether arrays of four are compiled as a level: where the target has no vectors of its own, and to compare with in tests.
const HAS_PLAIN: bool = cfg!(test)
    || !cfg!(any(
        target_arch = "aarch64",
        target_arch = "x86_64",
        all(target_arch = "wasm32", target_feature = "simd128")
    ));

/// The vector instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Arrays of four, for a machine without any of the others.
    Plain,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    RelaxedSimd,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx2Fused,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Fused,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonFused,
}

impl Level {
    /// Every exact level that this machine has, the best last.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "a target may have nothing to add")]
        let mut levels = if HAS_PLAIN { vec![Self::Plain] } else { Vec::new() };
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        levels.push(Self::Simd128);
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon);
        #[cfg(target_arch = "x86_64")]
        {
            levels.push(Self::Sse2);
            if std::arch::is_x86_feature_detected!("avx2") {
                levels.push(Self::Avx2);
            }
            if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw") {
                levels.push(Self::Avx512);
            }
        }
        levels
    }

    /// The fastest exact level.
    pub(crate) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Plain)
    }

    /// The fastest level for work that need not be exact.
    pub(crate) fn fastest() -> Self {
        match Self::best() {
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::Simd128 => Self::RelaxedSimd,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 if std::arch::is_x86_feature_detected!("fma") => Self::Avx2Fused,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 if std::arch::is_x86_feature_detected!("fma") => Self::Avx512Fused,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Self::NeonFused,
            exact => exact,
        }
    }

    /// Elements in a vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::Avx2Fused => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Fused => 16,
            _ => 4,
        }
    }

    /// Rows of the register tile of a product of floats: [`Lanes::TILE_ROWS`] of the level's vectors.
    pub(crate) fn tile_rows(self) -> usize {
        struct TileRows<'a>(&'a mut usize);
        impl FloatKernel for TileRows<'_> {
            #[inline(always)]
            unsafe fn run<V: Floats>(self) {
                *self.0 = V::TILE_ROWS;
            }
        }
        let mut rows = LEAST_TILE_ROWS;
        // SAFETY: the kernel has no pointers.
        unsafe { self.run_floats(TileRows(&mut rows)) };
        rows
    }

    /// The same or a narrower level whose vectors are not wider than `width` elements need.
    pub(crate) fn narrowed_to(self, width: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if self == Self::Avx512 && width <= 8 {
                return Self::Avx2.narrowed_to(width);
            }
            if self == Self::Avx512Fused && width <= 8 {
                return Self::Avx2Fused.narrowed_to(width);
            }
            if matches!(self, Self::Avx2 | Self::Avx2Fused) && width <= 4 {
                return Self::Sse2;
            }
        }
        let _ = width;
        self
    }

    /// # Safety
    /// The kernel's pointers are valid.
    pub(crate) unsafe fn run_floats(self, kernel: impl FloatKernel) {
        // SAFETY: a level is only made by `available`, which asked the machine.
        unsafe {
            match self {
                Self::Plain if HAS_PLAIN => kernel.run::<plain::F32x4>(),
                Self::Plain => unreachable!("a level is one of those available"),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                Self::Simd128 => kernel.run::<wasm::F32x4>(),
                #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
                Self::RelaxedSimd => kernel.run::<fused::Fused<wasm::F32x4>>(),
                #[cfg(target_arch = "x86_64")]
                Self::Sse2 => kernel.run::<x86::F32x4>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::floats_avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2Fused => x86::floats_avx2_fused(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::floats_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Fused => x86::floats_avx512_fused(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => kernel.run::<neon::F32x4>(),
                #[cfg(target_arch = "aarch64")]
                Self::NeonFused => kernel.run::<fused::Fused<neon::F32x4>>(),
            }
        }
    }

    /// # Safety
    /// The kernel's pointers are valid.
    pub(crate) unsafe fn run_integers(self, kernel: impl IntegerKernel) {
        // SAFETY: a level is only made by `available`, which asked the machine.
        unsafe {
            match self {
                Self::Plain if HAS_PLAIN => kernel.run::<plain::I32x4>(),
                Self::Plain => unreachable!("a level is one of those available"),
                #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                Self::Simd128 => kernel.run::<wasm::I32x4>(),
                #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
                Self::RelaxedSimd => kernel.run::<wasm::I32x4>(),
                #[cfg(target_arch = "x86_64")]
                Self::Sse2 => kernel.run::<x86::I32x4>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 | Self::Avx2Fused => x86::integers_avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 | Self::Avx512Fused => x86::integers_avx512(kernel),
                #[cfg(target_arch = "aarch64")]
                Self::Neon | Self::NeonFused => kernel.run::<neon::I32x4>(),
            }
        }
    }
}

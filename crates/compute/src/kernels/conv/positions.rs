//! A correlation with positions in the lanes: R channels that come out by N vectors of positions, which may lie anywhere. For
//! few channels, which would leave lanes empty if they were in them.
#![allow(unsafe_code, reason = "inner loops run over pointers that the callers have checked as whole blocks")]

use std::mem::MaybeUninit;

use super::super::gemm::tile::Advance;
use super::super::lanes::{FloatKernel, Floats, LEAST_TILE_ROWS, MOST_LANES};
use super::super::pack::Panels;
use super::correlate::Block;
use super::planes::SLACK;

/// The weights are packed in panels of [`LEAST_TILE_ROWS`] rows.
pub(super) struct Positions<'a>(pub(super) Block<'a>);

impl FloatKernel for Positions<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            for (row, rows, _) in Panels::rows(LEAST_TILE_ROWS, self.0.shape.rows).iter() {
                match rows {
                    4 => self.panel::<V, 4, 2>(row),
                    3 => self.panel::<V, 3, 2>(row),
                    2 => self.panel::<V, 2, 2>(row),
                    _ => self.panel::<V, 1, 4>(row),
                }
            }
        }
    }
}

impl Positions<'_> {
    /// R rows over all positions, N vectors at a time, wherever these lie.
    #[inline(always)]
    unsafe fn panel<V: Floats, const R: usize, const N: usize>(&self, row: usize) {
        let [height, width] = self.0.shape.out;
        let depth = self.0.offsets.len();
        let mut bias = [0.0; R];
        if let Some(biases) = self.0.bias {
            bias.copy_from_slice(&biases[row..][..R]);
        }
        let store = Store {
            row_len: height * width,
            continued: self.0.continued,
            biased: self.0.bias.is_some(),
            bias,
            relu: self.0.relu,
        };
        let tile = Tile { depth, a: self.0.packed[row * depth..].as_ptr(), offsets: self.0.offsets.as_ptr() };
        let out = self.0.out.as_ptr().cast_mut().wrapping_add(row * store.row_len);
        let unused = Slot { b: self.0.planes.as_ptr(), c: out, width: 0 };
        let mut slots = [unused; N];
        let (mut x, mut line, mut c) = (0, self.0.planes, out);
        let vectors = height * width.div_ceil(V::COUNT);
        let overlaps = !self.0.continued && width >= V::COUNT;
        // Slots after the last position store nothing.
        for i in 0..vectors.next_multiple_of(N) {
            slots[i % N] = if i < vectors {
                // A row's last vector may make positions again that the one before it made, from the same start.
                let at = if overlaps { x.min(width - V::COUNT) } else { x };
                Slot { b: line[at..].as_ptr(), c: c.wrapping_add(at), width: V::COUNT.min(width - at) }
            } else {
                unused
            };
            x += V::COUNT;
            if x >= width {
                x = 0;
                line = line.get(self.0.shape.row_step * self.0.shape.planes.pitch()..).unwrap_or_default();
                c = c.wrapping_add(width);
            }
            if i % N == N - 1 {
                // SAFETY: the caller's promise.
                unsafe { tile.run::<V, R, N>(&slots, &store) };
            }
        }
    }
}

const _: () = assert!(SLACK >= 2 * MOST_LANES, "a vector that starts within a row ends within the slack");

/// The work that all tiles of a panel share: A is packed K-major, R side by side.
struct Tile {
    depth: usize,
    a: *const f32,
    /// Where each step of K lies from a slot's `b` on, in bytes.
    offsets: *const i32,
}

/// One vector of positions; a width of 0 stores nothing.
#[derive(Clone, Copy)]
struct Slot {
    b: *const f32,
    c: *mut f32,
    width: usize,
}

/// What happens around the sums.
struct Store<const R: usize> {
    /// From one row of C to the next.
    row_len: usize,
    /// Whether the sums continue what C holds, else +0.
    continued: bool,
    biased: bool,
    bias: [f32; R],
    relu: bool,
}

impl Tile {
    /// # Safety
    /// The machine has the instructions of `V`; A, the planes and C reach as far as the fields say.
    // Small functions for V8, as for the tile of the matrix product.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    unsafe fn run<V: Floats, const R: usize, const N: usize>(&self, slots: &[Slot; N], store: &Store<R>) {
        // SAFETY: the caller's promise.
        unsafe {
            let whole = slots.iter().all(|slot| slot.width == V::COUNT);
            let mut edge = MaybeUninit::<[[[f32; MOST_LANES]; N]; R]>::uninit();
            let mut c = slots.map(|slot| slot.c);
            let mut c_row = store.row_len;
            if !whole {
                let edge = edge.write([[[0.0; MOST_LANES]; N]; R]).as_mut_ptr().cast::<f32>();
                if store.continued {
                    exchange(edge, slots, R, store.row_len, false);
                }
                c_row = N * MOST_LANES;
                for (n, c) in c.iter_mut().enumerate() {
                    *c = edge.add(n * MOST_LANES);
                }
            }
            let zeros = [0.0f32; MOST_LANES];
            let mut sums = [[V::load(zeros.as_ptr()); N]; R];
            if store.continued {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (c, sum) in c.iter().zip(sums) {
                        *sum = V::load(c.add(row * c_row));
                    }
                }
            }
            self.add::<V, R, N>(slots, &mut sums);
            for (row, sums) in sums.into_iter().enumerate() {
                for (c, mut sum) in c.iter().zip(sums) {
                    if store.biased {
                        sum = sum.plus(V::splat(store.bias.as_ptr().add(row)));
                    }
                    if store.relu {
                        sum = sum.relu();
                    }
                    sum.store(c.add(row * c_row));
                }
            }
            if !whole {
                exchange(c[0], slots, R, store.row_len, true);
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

/// Copies the elements that exist between C and the edge buffer, whose rows hold MOST_LANES for each slot: back into C, or
/// out of it.
///
/// # Safety
/// Both reach over `rows` rows of all slots.
#[inline(never)]
unsafe fn exchange(edge: *mut f32, slots: &[Slot], rows: usize, row_len: usize, back: bool) {
    for row in 0..rows {
        for (n, slot) in slots.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let edge = edge.add((row * slots.len() + n) * MOST_LANES);
                let c = slot.c.wrapping_add(row * row_len);
                if back {
                    edge.copy_to_nonoverlapping(c, slot.width);
                } else {
                    c.copy_to_nonoverlapping(edge, slot.width);
                }
            }
        }
    }
}

//! Products of 8-bit integers, exact in 32 bits. Bytes are widened to i16 in pairs along K while they are packed; one
//! instruction multiplies both of a pair and adds the products, so the register tile is that of the float product with
//! half the depth. The sum is exact, hence the order free; that it fits i32 is the graph's promise.
#![allow(unsafe_code, reason = "register tiles run over pointers; every operand is checked against its slice first")]

use super::gemm::blocks::{Block, COLUMNS, DEPTH, Left, ROWS, right_panels};
use super::lanes::LEAST_TILE_ROWS;
use super::pack::{Panels, pack};
use super::{matrix::Matrix, scratch::Scratch};

/// i8 or u8.
pub(crate) trait Byte: Copy + Into<i16> + Into<i32> {}

impl Byte for i8 {}
impl Byte for u8 {}

/// c \[m, n\] continues with a \[m, k\] · b \[k, n\]. Each operand is contiguous along one of its sides; rows of C are `c_row`
/// apart.
#[allow(clippy::too_many_arguments, reason = "sizes and operands of one product")]
pub(crate) fn integer_accumulate<A: Byte, B: Byte>(
    scratch: &mut Scratch,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_, A>,
    b: Matrix<'_, B>,
    c: &mut [i32],
    c_row: usize,
) {
    a.check(m, k);
    b.check(k, n);
    assert!(c_row >= n && c.len() >= (m - 1) * c_row + n, "C has room for {m} × {n}");
    let level = scratch.level.narrowed_to(n);
    let depth = k.div_ceil(2).min(DEPTH);
    let (most_rows, most_columns) = (m.min(ROWS), n.min(COLUMNS));
    let a_len = Panels::rows(LEAST_TILE_ROWS, most_rows).packed_len(depth);
    let b_len = right_panels(level, most_columns).packed_len(depth);
    let [packed_a, packed_b, pairs] = scratch.integers([a_len, b_len, depth * most_rows.max(most_columns)]);
    for j0 in (0..n).step_by(COLUMNS) {
        let panels = right_panels(level, COLUMNS.min(n - j0));
        for k0 in (0..k).step_by(2 * DEPTH) {
            let steps = (2 * DEPTH).min(k - k0);
            let depth = steps.div_ceil(2);
            pack(widen(b, k0, steps, j0, panels.len, pairs), 0, depth, 0, panels, packed_b);
            for i0 in (0..m).step_by(ROWS) {
                let rows = Panels::rows(LEAST_TILE_ROWS, ROWS.min(m - i0));
                pack(widen(a.transpose(), k0, steps, i0, rows.len, pairs), 0, depth, 0, rows, packed_a);
                let c = &mut c[i0 * c_row + j0..];
                assert!(c.len() >= (rows.len - 1) * c_row + panels.len, "the block of C is whole");
                let (left, right) = (Left::Packed(packed_a), &*packed_b);
                // SAFETY: C is checked above; both operands are packed over `depth`.
                unsafe { level.run_integers(Block { left, right, c, rows: rows.len, panels, depth, n: c_row }) };
            }
        }
    }
}

/// The block at (k0, first) as pairs along K, the last of an odd number with 0: a matrix \[steps / 2, columns\] that is
/// contiguous along the same side as the source.
fn widen<'p, T: Byte>(
    source: Matrix<'_, T>,
    k0: usize,
    steps: usize,
    first: usize,
    columns: usize,
    pairs: &'p mut [i32],
) -> Matrix<'p, i32> {
    let depth = steps.div_ceil(2);
    let start = k0 * source.row_stride + first * source.column_stride;
    if source.row_stride == 1 {
        for (j, out) in pairs.chunks_exact_mut(depth).take(columns).enumerate() {
            let from = &source.data[start + j * source.column_stride..][..steps];
            // SAFETY: an i32 is two i16, and has the greater alignment; every target is little-endian.
            let out = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<i16>(), 2 * depth) };
            for (out, byte) in out.iter_mut().zip(from) {
                *out = (*byte).into();
            }
            if let Some(last) = out.get_mut(steps) {
                *last = 0;
            }
        }
        return Matrix { data: pairs, row_stride: 1, column_stride: depth };
    }
    assert_eq!(source.column_stride, 1, "an operand is contiguous along one side");
    for (i, out) in pairs.chunks_exact_mut(columns).take(depth).enumerate() {
        let at = start + 2 * i * source.row_stride;
        let low = &source.data[at..][..columns];
        if 2 * i + 1 == steps {
            for (out, low) in out.iter_mut().zip(low) {
                *out = pair(*low, 0);
            }
            continue;
        }
        let high = &source.data[at + source.row_stride..][..columns];
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            *out = pair(*low, (*high).into());
        }
    }
    Matrix { data: pairs, row_stride: columns, column_stride: 1 }
}

fn pair(low: impl Into<i32>, high: i32) -> i32 {
    (low.into() & 0xffff) | high << 16
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Level;
    use super::*;

    fn bytes(len: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        // Every eleventh at an end of the range.
        (0..len).map(|i| if i % 11 == 0 { [0, 127, 128, 255][i % 4] } else { next() }).collect()
    }

    fn check<A: Byte, B: Byte>(m: usize, n: usize, k: usize, a: &[A], b: &[B]) {
        for layout in 0..4 {
            let a = if layout & 1 == 0 { Matrix::rows(a, k) } else { Matrix::transposed(a, m) };
            let b = if layout & 2 == 0 { Matrix::rows(b, n) } else { Matrix::transposed(b, k) };
            let start: Vec<i32> = (0..m * n).map(|i| i as i32 * 7 - 100).collect();
            let mut expected = start.clone();
            for (i, row) in expected.chunks_mut(n).enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    for p in 0..k {
                        let a: i32 = a.data[i * a.row_stride + p * a.column_stride].into();
                        let b: i32 = b.data[p * b.row_stride + j * b.column_stride].into();
                        *sum += a * b;
                    }
                }
            }
            for level in Level::available() {
                let mut got = start.clone();
                integer_accumulate(&mut Scratch::at(level), m, n, k, a, b, &mut got, n);
                assert_eq!(got, expected, "{m}x{n}x{k} layout {layout} {level:?}");
            }
        }
    }

    #[test]
    fn sums_are_exact_in_every_layout_at_every_level() {
        let shapes =
            [(1, 1, 1), (2, 3, 2), (4, 8, 3), (5, 9, 515), (3, 33, 64), (9, 40, 17), (130, 70, 31), (6, 520, 1026)];
        for (m, n, k) in shapes {
            let (a, b) = (bytes(m * k, 1), bytes(k * n, 2));
            let signed = |v: &[u8]| v.iter().map(|x| *x as i8).collect::<Vec<i8>>();
            check(m, n, k, &signed(&a), &signed(&b));
            check(m, n, k, &a, &signed(&b));
        }
    }
}

//! Matrix product: every element accumulates over K ascending, one multiplication then one addition a step, starting
//! from what is already in C. Blocking follows Goto and van de Geijn (*Anatomy of High-Performance Matrix
//! Multiplication*, 2008), with one restriction: blocks split K only by continuing the accumulator, and vector lanes
//! never share one.
//!
//! [`PackedB`] is a right factor packed for many calls. Products with one row or one column take the way of `vector.rs`, unless B is packed.

pub(crate) mod blocks;
mod packed;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tile;
mod vector;

use super::{matrix::Matrix, scratch::Scratch};
pub(crate) use packed::PackedB;

/// c \[m, n\] continues with a \[m, k\] · b \[k, n\].
pub(crate) fn gemm_accumulate(
    scratch: &mut Scratch,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
) {
    a.check(m, k);
    b.check(k, n);
    assert!(c.len() >= m * n, "C has room for {m} × {n}");
    if m == 1 && vector::row_times_matrix(scratch, n, k, a, b, c) {
        return;
    }
    // One column: the same sums as one row of the transposed product.
    if n == 1 && vector::row_times_matrix(scratch, m, k, b.transpose(), a.transpose(), c) {
        return;
    }
    blocks::multiply(scratch, m, n, k, a, blocks::Right::InPlace(b), c);
}

/// The same with a B packed before.
pub(crate) fn gemm_accumulate_packed(scratch: &mut Scratch, m: usize, a: Matrix<'_>, b: &PackedB, c: &mut [f32]) {
    let (n, k) = (b.columns(), b.depth());
    a.check(m, k);
    assert!(c.len() >= m * n, "C has room for {m} × {n}");
    blocks::multiply(scratch, m, n, k, a, blocks::Right::Packed(b), c);
}

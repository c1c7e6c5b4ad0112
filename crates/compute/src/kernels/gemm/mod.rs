//! Matrix product: every element accumulates over K ascending, one multiplication then one addition a step, starting
//! from what is already in C. Blocking follows Goto and van de Geijn (*Anatomy of High-Performance Matrix
//! Multiplication*, 2008), with one restriction: blocks split K only by continuing the accumulator, and vector lanes
//! never share one.
//!
//! [`Matrix`] says where an operand lies, [`PackedB`] is one packed for many calls, [`Scratch`] what a thread keeps
//! between calls. Products with one row or one column take the way of `vector.rs`, unless B is packed.

pub(crate) mod blocks;
pub(crate) mod lanes;
pub(crate) mod pack;
mod packed;
mod scratch;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tile;
mod vector;

pub(crate) use packed::PackedB;
pub(crate) use scratch::Scratch;

/// A read-only matrix: element (row, column) is `data[row·row_stride + column·column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, E = f32> {
    pub(crate) data: &'a [E],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// Row-major with `columns` columns.
    pub(crate) fn rows(data: &'a [E], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a row-major matrix that has `columns` columns as stored.
    pub(crate) fn transposed(data: &'a [E], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns }
    }

    /// Rows for columns.
    pub(crate) fn transpose(self) -> Self {
        Self { data: self.data, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    pub(crate) fn check(&self, rows: usize, columns: usize) {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * self.row_stride + (columns - 1) * self.column_stride;
            assert!(last < self.data.len(), "a matrix of {rows} × {columns} lies within its data");
        }
    }
}

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
    blocks::multiply(scratch, m, n, k, a, blocks::Right::Here(b), c);
}

/// The same with a B packed before.
pub(crate) fn gemm_accumulate_packed(scratch: &mut Scratch, m: usize, a: Matrix<'_>, b: &PackedB, c: &mut [f32]) {
    let (n, k) = (b.columns(), b.depth());
    a.check(m, k);
    assert!(c.len() >= m * n, "C has room for {m} × {n}");
    blocks::multiply(scratch, m, n, k, a, blocks::Right::Packed(b), c);
}

//! Matrix product: every element accumulates over K ascending, one multiplication then one addition a step, starting
//! from what is already in C. Blocking follows Goto and van de Geijn (*Anatomy of High-Performance Matrix
//! Multiplication*, 2008), with one restriction: blocks split K only by continuing the accumulator, and vector lanes
//! run across columns of C.

/// Rows of the register tile.
const MR: usize = 4;
/// Columns of the register tile: two 128-bit vectors, so that 4 × 8 accumulators fit in 16 registers.
const NR: usize = 8;
/// Depth of a packed block: a panel of B (KC × NR) stays in the first-level cache.
const KC: usize = 256;
/// Rows of a packed block of A: 128 KiB, within the second-level cache.
const MC: usize = 128;
/// Columns of a packed block of B.
const NC: usize = 512;

const _: () = assert!(MC.is_multiple_of(MR) && NC.is_multiple_of(NR), "blocks must hold whole tiles");

/// A read-only matrix: element (row, column) is `data[row·row_stride + column·column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major with `columns` columns.
    pub(crate) fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: columns, column_stride: 1 }
    }

    /// The transpose of a row-major matrix that has `columns` columns as stored.
    pub(crate) fn transposed(data: &'a [f32], columns: usize) -> Self {
        Self { data, row_stride: 1, column_stride: columns }
    }
}

/// c \[m, n\] continues with a \[m, k\] · b \[k, n\].
pub(crate) fn gemm_accumulate(m: usize, n: usize, k: usize, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
    let depth = k.min(KC);
    let mut packed_a = vec![0.0; depth * m.min(MC).next_multiple_of(MR)];
    let mut packed_b = vec![0.0; depth * n.min(NC).next_multiple_of(NR)];
    for j0 in (0..n).step_by(NC) {
        let columns = NC.min(n - j0);
        for k0 in (0..k).step_by(KC) {
            let depth = KC.min(k - k0);
            pack_b(b, k0, depth, j0, columns, &mut packed_b);
            for i0 in (0..m).step_by(MC) {
                let rows = MC.min(m - i0);
                pack_a(a, i0, rows, k0, depth, &mut packed_a);
                let block = Block { i0, rows, j0, columns, depth, n };
                block.multiply(&packed_a, &packed_b, c);
            }
        }
    }
}

/// Panels of MR rows, each K-major; missing rows are zero and their results are dropped.
fn pack_a(a: Matrix<'_>, i0: usize, rows: usize, k0: usize, depth: usize, packed: &mut [f32]) {
    for (panel, out) in packed.chunks_mut(depth * MR).take(rows.div_ceil(MR)).enumerate() {
        let first = panel * MR;
        let present = MR.min(rows - first);
        for (k, out) in out.as_chunks_mut::<MR>().0.iter_mut().enumerate() {
            let start = (i0 + first) * a.row_stride + (k0 + k) * a.column_stride;
            for (i, out) in out.iter_mut().enumerate() {
                *out = if i < present { a.data[start + i * a.row_stride] } else { 0.0 };
            }
        }
    }
}

/// Panels of NR columns, each K-major; missing columns are zero and their results are dropped.
fn pack_b(b: Matrix<'_>, k0: usize, depth: usize, j0: usize, columns: usize, packed: &mut [f32]) {
    for (panel, out) in packed.chunks_mut(depth * NR).take(columns.div_ceil(NR)).enumerate() {
        let first = panel * NR;
        let present = NR.min(columns - first);
        for (k, out) in out.as_chunks_mut::<NR>().0.iter_mut().enumerate() {
            let start = (k0 + k) * b.row_stride + (j0 + first) * b.column_stride;
            if present == NR && b.column_stride == 1 {
                out.copy_from_slice(&b.data[start..start + NR]);
                continue;
            }
            for (j, out) in out.iter_mut().enumerate() {
                *out = if j < present { b.data[start + j * b.column_stride] } else { 0.0 };
            }
        }
    }
}

struct Block {
    i0: usize,
    rows: usize,
    j0: usize,
    columns: usize,
    depth: usize,
    n: usize,
}

impl Block {
    fn multiply(&self, packed_a: &[f32], packed_b: &[f32], c: &mut [f32]) {
        for j in (0..self.columns).step_by(NR) {
            let width = NR.min(self.columns - j);
            let panel_b = &packed_b[j * self.depth..][..NR * self.depth];
            for i in (0..self.rows).step_by(MR) {
                let height = MR.min(self.rows - i);
                let panel_a = &packed_a[i * self.depth..][..MR * self.depth];
                let corner = (self.i0 + i) * self.n + self.j0 + j;
                let mut tile = [[0.0; NR]; MR];
                for (row, tile) in tile.iter_mut().enumerate().take(height) {
                    tile[..width].copy_from_slice(&c[corner + row * self.n..][..width]);
                }
                multiply_tile(panel_a, panel_b, &mut tile);
                for (row, tile) in tile.iter().enumerate().take(height) {
                    c[corner + row * self.n..][..width].copy_from_slice(&tile[..width]);
                }
            }
        }
    }
}

/// The inner loop; everything about it is arranged so that the tile stays in vector registers.
#[inline]
fn multiply_tile(panel_a: &[f32], panel_b: &[f32], tile: &mut [[f32; NR]; MR]) {
    let mut sums = *tile;
    for (a, b) in panel_a.as_chunks::<MR>().0.iter().zip(panel_b.as_chunks::<NR>().0) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    *tile = sums;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: K ascending, multiply, add.
    fn plain(m: usize, n: usize, k: usize, a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32]) {
        for i in 0..m {
            for j in 0..n {
                for p in 0..k {
                    let a = a.data[i * a.row_stride + p * a.column_stride];
                    let b = b.data[p * b.row_stride + j * b.column_stride];
                    c[i * n + j] += a * b;
                }
            }
        }
    }

    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    #[test]
    fn blocks_change_no_bit() {
        // Sizes around every block edge, in all four layouts.
        for (m, n, k) in [(1, 1, 1), (4, 8, 256), (5, 9, 257), (3, 7, 1000), (130, 20, 300), (9, 515, 33)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            for layout in 0..4 {
                let a = if layout & 1 == 0 { Matrix::rows(&a, k) } else { Matrix::transposed(&a, m) };
                let b = if layout & 2 == 0 { Matrix::rows(&b, n) } else { Matrix::transposed(&b, k) };
                let start = numbers(m * n, 3);
                let (mut got, mut expected) = (start.clone(), start);
                gemm_accumulate(m, n, k, a, b, &mut got);
                plain(m, n, k, a, b, &mut expected);
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&expected), "{m}x{n}x{k} layout {layout}");
            }
        }
    }
}

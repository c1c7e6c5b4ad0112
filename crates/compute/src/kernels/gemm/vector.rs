//! A row vector times a matrix: bound by reading the matrix once, so it is neither packed nor read twice.
#![allow(unsafe_code, reason = "inner loops run over pointers; every operand is checked against its slice first")]

use super::super::lanes::{FloatKernel, Floats, Lanes, Native4, Quad};
use super::super::{matrix::Matrix, scratch::Scratch};

/// Rows of a row-major matrix that are added in one pass over the sums.
const PASS: usize = 8;
/// Groups of four columns that advance together: their chains of additions hide each other's latency.
const GROUPS: usize = 4;

/// c \[n\] continues with a \[k\] · b \[k, n\]; the operands are checked. Does nothing and says no where neither side of
/// B is contiguous.
pub(super) fn row_times_matrix(
    scratch: &mut Scratch,
    n: usize,
    k: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    c: &mut [f32],
) -> bool {
    if k == 0 || n == 0 {
        return true;
    }
    if b.column_stride != 1 && b.row_stride != 1 {
        return false;
    }
    let level = scratch.level.narrowed_to(n);
    let (buffer, _) = scratch.buffers(k, 0);
    for (i, out) in buffer.iter_mut().enumerate() {
        *out = a.data[i * a.column_stride];
    }
    let (a, c) = (&*buffer, &mut c[..n]);
    if b.column_stride == 1 {
        // SAFETY: `a` has k elements, `c` n, and the caller has checked B.
        unsafe { level.run_floats(RowMajor { a, b, c }) };
    } else {
        column_sums(a, b, c);
    }
    true
}

/// B \[k, n\] as stored.
struct RowMajor<'a> {
    a: &'a [f32],
    b: Matrix<'a>,
    c: &'a mut [f32],
}

impl FloatKernel for RowMajor<'_> {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        let (passes, rest) = self.a.as_chunks::<PASS>();
        // SAFETY: the caller's promise.
        unsafe {
            for (pass, a) in passes.iter().enumerate() {
                add_rows::<V, PASS>(a, &self.b.data[pass * PASS * self.b.row_stride..], self.b.row_stride, self.c);
            }
            for (i, a) in rest.iter().enumerate() {
                let row = (passes.len() * PASS + i) * self.b.row_stride;
                add_rows::<V, 1>(&[*a], &self.b.data[row..], self.b.row_stride, self.c);
            }
        }
    }
}

/// Adds N rows to the sums, each times its factor, one after the other.
///
/// # Safety
/// The machine has the instructions of `V`, and `b` has N rows as long as `c`.
#[inline(always)]
unsafe fn add_rows<V: Floats, const N: usize>(a: &[f32; N], b: &[f32], stride: usize, c: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut factors = [V::splat(a.as_ptr()); N];
        for (i, factor) in factors.iter_mut().enumerate() {
            *factor = V::splat(a.as_ptr().add(i));
        }
        let whole = c.len() / V::COUNT * V::COUNT;
        for j in (0..whole).step_by(V::COUNT) {
            let mut sum = V::load(c.as_ptr().add(j));
            for (i, factor) in factors.iter().enumerate() {
                sum = sum.step(*factor, V::load(b.as_ptr().add(i * stride + j)));
            }
            sum.store(c.as_mut_ptr().add(j));
        }
        for (j, sum) in c.iter_mut().enumerate().skip(whole) {
            for (i, a) in a.iter().enumerate() {
                *sum += a * b[i * stride + j];
            }
        }
    }
}

/// B \[n, k\] as stored, the columns of the product along its rows: squares of 4 × 4 are transposed in registers, so that
/// lanes are columns here too.
fn column_sums(a: &[f32], b: Matrix<'_>, c: &mut [f32]) {
    const WIDTH: usize = 4 * GROUPS;
    let stride = b.column_stride;
    let (wide, rest) = c.as_chunks_mut::<WIDTH>();
    for (j, c) in wide.iter_mut().enumerate() {
        advance::<GROUPS>(a, &b.data[j * WIDTH * stride..], stride, c);
    }
    let first = wide.len() * WIDTH;
    let (narrow, rest) = rest.as_chunks_mut::<4>();
    for (j, c) in narrow.iter_mut().enumerate() {
        advance::<1>(a, &b.data[(first + 4 * j) * stride..], stride, c);
    }
    let first = first + 4 * narrow.len();
    for (j, sum) in rest.iter_mut().enumerate() {
        for (a, b) in a.iter().zip(&b.data[(first + j) * stride..]) {
            *sum += a * b;
        }
    }
}

/// 4·G sums over all of K.
fn advance<const G: usize>(a: &[f32], b: &[f32], stride: usize, c: &mut [f32]) {
    assert!(c.len() == 4 * G && b.len() >= (4 * G - 1) * stride + a.len(), "there are 4·G rows");
    let whole = a.len() / 4 * 4;
    // SAFETY: the rows are as long as `a`, and every read ends before `whole`.
    unsafe {
        let mut sums = [Native4::load(c.as_ptr()); G];
        for (g, sum) in sums.iter_mut().enumerate() {
            *sum = Native4::load(c.as_ptr().add(4 * g));
        }
        for k in (0..whole).step_by(4) {
            let at = b.as_ptr().add(k);
            let factors = [
                Native4::splat(a.as_ptr().add(k)),
                Native4::splat(a.as_ptr().add(k + 1)),
                Native4::splat(a.as_ptr().add(k + 2)),
                Native4::splat(a.as_ptr().add(k + 3)),
            ];
            for (g, sum) in sums.iter_mut().enumerate() {
                let row = |i: usize| Native4::load(at.add((4 * g + i) * stride));
                let steps = Native4::transposed([row(0), row(1), row(2), row(3)]);
                for (factor, b) in factors.into_iter().zip(steps) {
                    *sum = sum.step(factor, b);
                }
            }
        }
        for (g, sum) in sums.into_iter().enumerate() {
            sum.store(c.as_mut_ptr().add(4 * g));
        }
    }
    for (k, a) in a.iter().enumerate().skip(whole) {
        for (j, sum) in c.iter_mut().enumerate() {
            *sum += a * b[j * stride + k];
        }
    }
}

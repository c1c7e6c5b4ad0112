//! Every product against the definition, bit for bit, at every level this machine has.

use super::super::lanes::Level;
use super::super::{matrix::Matrix, scratch::Scratch};
use super::{PackedB, gemm_accumulate, gemm_accumulate_packed};

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

/// Uniform in [−1, 1), every seventh −0, subnormal or tiny.
pub(crate) fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = (state >> 8) as f32 / 8_388_608.0 - 1.0;
            match i % 21 {
                3 => -0.0,
                10 => f32::from_bits(x.to_bits() & 0x807f_ffff),
                17 => x * 1e-19,
                _ => x,
            }
        })
        .collect()
}

pub(crate) fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

/// Around every edge of tiles, panels, chunks and blocks, and the shapes with ways of their own.
const SHAPES: [(usize, usize, usize); 22] = [
    (1, 1, 1),
    (1, 1, 40),
    (2, 3, 0),
    (1, 33, 19),
    (1, 64, 256),
    (1, 515, 300),
    (37, 1, 21),
    (2, 10, 33),
    (3, 4, 7),
    (3, 7, 1000),
    (4, 8, 256),
    (5, 9, 257),
    (6, 16, 16),
    (7, 31, 15),
    (8, 32, 17),
    (9, 515, 33),
    (64, 64, 32),
    (64, 10, 130),
    (127, 40, 5),
    (129, 200, 9),
    (130, 20, 300),
    (12, 1030, 513),
];

#[test]
fn blocks_and_levels_change_no_bit() {
    for (m, n, k) in SHAPES {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        for layout in 0..4 {
            let a = if layout & 1 == 0 { Matrix::rows(&a, k) } else { Matrix::transposed(&a, m) };
            let b = if layout & 2 == 0 { Matrix::rows(&b, n) } else { Matrix::transposed(&b, k) };
            let start = numbers(m * n, 3);
            let mut expected = start.clone();
            plain(m, n, k, a, b, &mut expected);
            for level in Level::available() {
                let mut scratch = Scratch::at(level);
                let mut got = start.clone();
                gemm_accumulate(&mut scratch, m, n, k, a, b, &mut got);
                assert_eq!(bits(&got), bits(&expected), "{m}x{n}x{k} layout {layout} {level:?}");
                let packed = PackedB::new(&scratch, k, n, b);
                let mut got = start.clone();
                gemm_accumulate_packed(&mut scratch, m, a, &packed, &mut got);
                assert_eq!(bits(&got), bits(&expected), "{m}x{n}x{k} layout {layout} {level:?} packed");
            }
        }
    }
}

#[test]
fn a_fused_level_is_near_double_precision() {
    let level = Level::fastest();
    let mut differ = 0;
    for (m, n, k) in SHAPES {
        let (left, right) = (numbers(m * k, 1), numbers(k * n, 2));
        let (a, b) = (Matrix::rows(&left, k), Matrix::transposed(&right, k));
        let (mut scratch, mut got, mut got_packed) = (Scratch::at(level), vec![0.0; m * n], vec![0.0; m * n]);
        gemm_accumulate(&mut scratch, m, n, k, a, b, &mut got);
        let packed = PackedB::new(&scratch, k, n, b);
        gemm_accumulate_packed(&mut scratch, m, a, &packed, &mut got_packed);
        for (at, (got, got_packed)) in got.iter().zip(got_packed).enumerate() {
            let terms = (0..k).map(|step| f64::from(left[at / n * k + step]) * f64::from(right[at % n * k + step]));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            // The worst case of a sum of k terms in order, each rounded at most twice.
            let bound = 2.0 * k as f64 * f64::from(f32::EPSILON) * size;
            for got in [*got, got_packed] {
                assert!((f64::from(got) - sum).abs() <= bound, "{m}x{n}x{k} {level:?}: {got}, not {sum}");
            }
        }
        let mut exact = vec![0.0; m * n];
        gemm_accumulate(&mut Scratch::exact(), m, n, k, a, b, &mut exact);
        differ += usize::from(bits(&got) != bits(&exact));
    }
    assert_eq!(differ > 0, level != Level::best(), "fused steps round less");
}

#[test]
fn strided_operands_change_no_bit() {
    // Every second element of both, as a view of an interleaved tensor: neither side is contiguous.
    for (m, n, k) in [(1, 9, 6), (5, 20, 35)] {
        let (a, b) = (numbers(2 * m * k, 4), numbers(2 * k * n, 5));
        let a = Matrix { data: &a, row_stride: 2 * k, column_stride: 2 };
        let b = Matrix { data: &b, row_stride: 2 * n, column_stride: 2 };
        let start = numbers(m * n, 6);
        let mut expected = start.clone();
        plain(m, n, k, a, b, &mut expected);
        for level in Level::available() {
            let mut got = start.clone();
            gemm_accumulate(&mut Scratch::at(level), m, n, k, a, b, &mut got);
            assert_eq!(bits(&got), bits(&expected), "{m}x{n}x{k} {level:?}");
        }
    }
}

#[test]
#[should_panic(expected = "lies within its data")]
fn a_matrix_beyond_its_data_is_refused() {
    let (a, b) = ([0.0; 6], [0.0; 5]);
    gemm_accumulate(&mut Scratch::exact(), 2, 2, 3, Matrix::rows(&a, 3), Matrix::rows(&b, 2), &mut [0.0; 4]);
}

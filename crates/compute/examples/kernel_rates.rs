//! How fast the kernels are next to what the core could do at all: a loop over registers alone that multiplies and adds at
//! the same vector level, in the same run. Every round gives each subject a turn, so that a machine that slows down slows
//! all of them; the median over the rounds counts. Nothing is asserted: the figures belong to the machine.
//!
//! Natively: `cargo run --release -p shoal-compute --example kernel_rates [FILTER] [--json FILE]`. For WebAssembly it needs
//! no crate: `rustc --edition 2024 --target wasm32-unknown-unknown -Copt-level=3 -Cpanic=abort -Ctarget-feature=+simd128
//! crates/compute/examples/kernel_rates.rs -o kernel_rates.wasm`, with the compiler that `cargo xtask setup` names (and
//! `+relaxed-simd` beside simd128 for the fused level, which Node 20 runs with `--experimental-relaxed-simd`), then
//! `node crates/compute/examples/kernel_rates.mjs kernel_rates.wasm [FILTER] [--json FILE]`.
//! The kernels are compiled into the example as they stand, because the crate does not show them.
#![allow(dead_code, reason = "the kernels have callers that are not here")]
#![allow(unsafe_code, reason = "the limits run at a chosen level, and JavaScript calls by C names")]

use std::{cell::RefCell, hint::black_box};

use conv::Conv;
use gemm::gemm_accumulate;
use integer::integer_accumulate;
use lanes::{FloatKernel, Floats, IntegerKernel, Lanes, Level};
use matrix::Matrix;
use scratch::Scratch;

#[path = "../src/kernels/conv/mod.rs"]
mod conv;
#[path = "../src/kernels/gemm/mod.rs"]
mod gemm;
#[path = "../src/kernels/integer.rs"]
mod integer;
#[path = "../src/kernels/lanes/mod.rs"]
mod lanes;
#[path = "../src/kernels/matrix.rs"]
mod matrix;
#[path = "../src/kernels/pack.rs"]
mod pack;
#[path = "../src/kernels/scratch.rs"]
mod scratch;

/// Independent sums of a limit's loop: enough to hide the latency of a multiplication and an addition.
const LIMIT_VECTORS: usize = 12;
const LIMIT_STEPS: usize = 4096;
/// Rows, columns, depth.
const PRODUCTS: [(usize, usize, usize); 8] = [
    (256, 256, 256),
    (512, 512, 512),
    (1024, 1024, 1024),
    (64, 64, 32),
    (64, 32, 64),
    (64, 10, 1568),
    (1, 1024, 1024),
    (16, 1024, 1024),
];
/// Name, samples, channels in and out, side, groups, stride; kernels are 3 × 3 with the padding that keeps the side.
const CONVOLUTIONS: [(&str, usize, usize, usize, usize, usize, usize); 7] = [
    ("1x28x28 to 16", 64, 1, 16, 28, 1, 1),
    ("16x14x14 to 32", 64, 16, 32, 14, 1, 1),
    ("64x28x28 to 64", 2, 64, 64, 28, 1, 1),
    ("64x28x28 to 128, stride 2", 2, 64, 128, 28, 1, 2),
    ("64x28x28 depthwise", 4, 64, 64, 28, 64, 1),
    ("64x28x28 depthwise, stride 2", 4, 64, 64, 28, 64, 2),
    ("256x7x7 depthwise", 8, 256, 256, 7, 256, 1),
];

/// Something that can be done again and again.
struct Case {
    name: String,
    /// Operations of one go, a multiplication and an addition being two.
    ops: f64,
    /// The case that is its limit.
    limit: usize,
    go: Box<dyn FnMut()>,
}

/// sum = factor + sum·factor over registers.
struct Limit;

impl Limit {
    #[inline(always)]
    unsafe fn steps<V: Lanes>(from: [V::Element; 16], to: [V::Element; 16]) {
        // SAFETY: arrays of the widest vector's length.
        unsafe {
            let (factor, start) = (V::load(black_box(from).as_ptr()), V::load(black_box(to).as_ptr()));
            let mut sums = [start; LIMIT_VECTORS];
            for _ in 0..LIMIT_STEPS {
                for sum in &mut sums {
                    *sum = factor.step(*sum, start);
                }
            }
            let mut out = [V::Element::default(); 16];
            for sum in sums {
                sum.store(out.as_mut_ptr());
                black_box(&out);
            }
        }
    }
}

impl FloatKernel for Limit {
    #[inline(always)]
    unsafe fn run<V: Floats>(self) {
        // SAFETY: the caller's promise.
        unsafe { Self::steps::<V>([1e-3; 16], [0.999; 16]) }
    }
}

impl IntegerKernel for Limit {
    #[inline(always)]
    unsafe fn run<V: Lanes<Element = i32>>(self) {
        // SAFETY: the caller's promise.
        unsafe { Self::steps::<V>([0x0005_0001; 16], [0x0003_0001; 16]) }
    }
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Every limit, and of the rest those whose name holds the filter.
fn cases(filter: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut levels = Level::available();
    if !levels.contains(&Level::fastest()) {
        levels.push(Level::fastest());
    }
    for level in levels {
        let limit = cases.len();
        let flops = (LIMIT_STEPS * LIMIT_VECTORS * 2 * level.lanes()) as f64;
        // SAFETY: the limits have no pointers of their own.
        let floats = move || unsafe { level.run_floats(Limit) };
        cases.push(Case { name: format!("{level:?} limit f32"), ops: flops, limit, go: Box::new(floats) });
        // SAFETY: as above.
        let integers = move || unsafe { level.run_integers(Limit) };
        let name = format!("{level:?} limit i8");
        cases.push(Case { name, ops: 2.0 * flops, limit: limit + 1, go: Box::new(integers) });
        let mut rest = Vec::new();
        for (m, n, k) in PRODUCTS {
            for layout in ["A·B", "A·Bᵀ", "Aᵀ·B"] {
                let ops = (2 * m * n * k) as f64;
                let name = format!("{level:?} f32 {m}x{n}x{k} {layout}");
                rest.push(Case { name, ops, limit, go: product(level, m, n, k, layout) });
                let name = format!("{level:?} i8 {m}x{n}x{k} {layout}");
                rest.push(Case { name, ops, limit: limit + 1, go: integer_product(level, m, n, k, layout) });
            }
        }
        for (name, samples, channels, out_channels, side, groups, stride) in CONVOLUTIONS {
            let out = (side - 1) / stride + 1;
            let conv = Conv {
                samples,
                channels,
                height: side,
                width: side,
                out_channels,
                kernel_height: 3,
                kernel_width: 3,
                out_height: out,
                out_width: out,
                stride: [stride; 2],
                dilation: [1; 2],
                low: [1; 2],
                groups,
            };
            for pass in ["forward", "input gradient", "weight gradient"] {
                let ops = (2 * samples * out_channels * out * out * channels / groups * 9) as f64;
                let name = format!("{level:?} conv {name} {pass}");
                rest.push(Case { name, ops, limit, go: convolution(level, conv, pass) });
            }
        }
        cases.extend(rest.into_iter().filter(|case| case.name.contains(filter)));
    }
    cases
}

fn operands<'a, E>(
    (m, n, k): (usize, usize, usize),
    layout: &str,
    a: &'a [E],
    b: &'a [E],
) -> (Matrix<'a, E>, Matrix<'a, E>) {
    let a = if layout == "Aᵀ·B" { Matrix::transposed(a, m) } else { Matrix::rows(a, k) };
    let b = if layout == "A·Bᵀ" { Matrix::transposed(b, k) } else { Matrix::rows(b, n) };
    (a, b)
}

fn product(level: Level, m: usize, n: usize, k: usize, layout: &'static str) -> Box<dyn FnMut()> {
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    let mut scratch = Scratch::at(level);
    Box::new(move || {
        let (a, b) = operands((m, n, k), layout, &a, &b);
        c.fill(0.0);
        gemm_accumulate(&mut scratch, m, n, k, a, b, &mut c);
        black_box(&c);
    })
}

fn integer_product(level: Level, m: usize, n: usize, k: usize, layout: &'static str) -> Box<dyn FnMut()> {
    let (a, b, mut c) = (vec![3i8; m * k], vec![-5i8; k * n], vec![0; m * n]);
    let mut scratch = Scratch::at(level);
    Box::new(move || {
        let (a, b) = operands((m, n, k), layout, &a, &b);
        c.fill(0);
        integer_accumulate(&mut scratch, m, n, k, a, b, &mut c, n);
        black_box(&c);
    })
}

fn convolution(level: Level, conv: Conv, pass: &'static str) -> Box<dyn FnMut()> {
    let mut x = numbers(conv.samples * conv.channels * conv.height * conv.width);
    let mut weight = numbers(conv.out_channels * conv.channels / conv.groups * 9);
    let mut y = numbers(conv.samples * conv.out_channels * conv.out_height * conv.out_width);
    let mut scratch = Scratch::at(level);
    Box::new(move || {
        match pass {
            "forward" => conv.forward(&mut scratch, &x, &weight, &mut y),
            "input gradient" => conv.grad_input(&mut scratch, &weight, &y, &mut x),
            _ => conv.grad_weight(&mut scratch, &x, &y, &mut weight),
        }
        black_box((&x, &weight, &y));
    })
}

thread_local! {
    /// What JavaScript drives: it has the clock.
    static CASES: RefCell<Vec<Case>> = const { RefCell::new(Vec::new()) };
}

/// Prepares every case and says how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn case_count() -> usize {
    CASES.with_borrow_mut(|all| {
        *all = cases("");
        all.len()
    })
}

/// Where the name of a case lies.
#[unsafe(no_mangle)]
pub extern "C" fn case_name(index: usize) -> *const u8 {
    CASES.with_borrow(|all| all[index].name.as_ptr())
}

/// Its length in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn case_name_len(index: usize) -> usize {
    CASES.with_borrow(|all| all[index].name.len())
}

/// Operations of one go.
#[unsafe(no_mangle)]
pub extern "C" fn case_ops(index: usize) -> f64 {
    CASES.with_borrow(|all| all[index].ops)
}

/// The index of its limit.
#[unsafe(no_mangle)]
pub extern "C" fn case_limit(index: usize) -> usize {
    CASES.with_borrow(|all| all[index].limit)
}

/// Does it some times.
#[unsafe(no_mangle)]
pub extern "C" fn case_run(index: usize, goes: usize) {
    CASES.with_borrow_mut(|all| (0..goes).for_each(|_| (all[index].go)()));
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Instant;

    const ROUNDS: usize = 11;
    const TURN_SECONDS: f64 = 0.004;
    let (mut filter, mut json) = (String::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--json" => json = arguments.next(),
            _ => filter = argument,
        }
    }
    let mut cases = cases(&filter);
    let mut seconds = vec![Vec::with_capacity(ROUNDS); cases.len()];
    let mut goes = vec![1; cases.len()];
    for round in 0..=ROUNDS {
        for ((case, seconds), goes) in cases.iter_mut().zip(&mut seconds).zip(&mut goes) {
            let start = Instant::now();
            (0..*goes).for_each(|_| (case.go)());
            let took = start.elapsed().as_secs_f64() / f64::from(*goes);
            // The first round warms up and says how many goes fill a turn.
            if round == 0 {
                *goes = (TURN_SECONDS / took).clamp(1.0, 100_000.0) as u32;
            } else {
                seconds.push(took);
            }
        }
    }
    let rate = |index: usize| {
        let mut sorted = seconds[index].clone();
        sorted.sort_by(f64::total_cmp);
        cases[index].ops / sorted[ROUNDS / 2] / 1e9
    };
    let mut rows = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let (value, ratio) = (rate(index), rate(index) / rate(case.limit));
        println!("{:48} {value:8.1} Gop/s {ratio:6.2}", case.name);
        let name = &case.name;
        rows.push(
            serde_json::json!({ "name": name, "subject": "shoal", "value": value, "unit": "Gop/s", "ratio": ratio }),
        );
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}

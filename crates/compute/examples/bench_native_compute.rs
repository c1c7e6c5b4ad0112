//! How fast the CPU backend is on one core, next to a named peer and to what the core could do at all.
//!
//! `cargo xtask bench native_compute [--json FILE]`. Everything is measured in one run: rounds in which each subject takes its
//! turn, so that a machine that slows down slows all of them, and the median over the rounds. Two peers:
//!
//! - the crate `matrixmultiply`, on the same matrices. It asks the processor what it can and uses wide vectors and fused
//!   multiply-add, which exact/1 excludes: a fused step rounds once instead of twice, so its bits are not ours.
//! - the multiply-add limit: a loop over registers alone that multiplies and adds without fusing, compiled for the same
//!   vector width as our kernels. Nothing exact at this width can be faster on this core.
//!
//! Ratios are printed, nothing is asserted: they belong to the machine.

use std::{error::Error, fs, hint::black_box, time::Instant};

use serde_json::json;
use shoal_compute::{Executable, Tensor, Tensors};
use shoal_graph::{Graph, GraphBuilder, Op, TensorType, Window2d, programs};
use shoal_wire::job::{LayerSpec, ModelSpec};

/// Odd, so that the median is a measurement.
const ROUNDS: usize = 21;
/// A turn lasts about this long: far above the clock's resolution, and short enough that most turns are not interrupted
/// by the scheduler.
const TURN_SECONDS: f64 = 0.003;
const SIZES: [u32; 4] = [128, 256, 512, 1024];
/// Samples in one training step of the digits example.
const BATCH: u32 = 16;
/// Independent sums of the limit's loop. With the two factors they fill the sixteen vector registers of x86-64 but for
/// two, which is enough to hide the latency of a multiplication and an addition.
const LIMIT_VECTORS: usize = 12;
const LANES: usize = 4;
const LIMIT_STEPS: usize = 4096;

const LIMIT: &str = "multiply-add limit";
const PEER: &str = "matrixmultiply (may fuse)";

/// Something that can be done again and again.
struct Subject {
    /// What is done.
    name: String,
    /// By whom.
    by: &'static str,
    /// Floating-point operations of one go, as the graph counts them.
    ops: f64,
    go: Box<dyn FnMut()>,
    /// Goes in a turn.
    goes: u32,
    /// Seconds a go, one a round.
    seconds: Vec<f64>,
}

impl Subject {
    fn new(name: impl Into<String>, by: &'static str, ops: f64, mut go: impl FnMut() + 'static) -> Self {
        // The first go warms caches and page tables, the second says how many fit a turn.
        go();
        let start = Instant::now();
        go();
        let goes = (TURN_SECONDS / start.elapsed().as_secs_f64()).clamp(1.0, 10_000.0) as u32;
        Self { name: name.into(), by, ops, go: Box::new(go), goes, seconds: Vec::with_capacity(ROUNDS) }
    }

    fn take_turn(&mut self) {
        let start = Instant::now();
        for _ in 0..self.goes {
            (self.go)();
        }
        self.seconds.push(start.elapsed().as_secs_f64() / f64::from(self.goes));
    }

    fn median_seconds(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn gops(&self) -> f64 {
        self.ops / self.median_seconds() / 1e9
    }
}

/// Our backend running a graph.
fn ours(name: impl Into<String>, graph: Graph) -> Subject {
    let inputs = inputs(&graph);
    let ops = graph.reference_ops() as f64;
    let mut executable = Executable::new(graph);
    Subject::new(name, "shoal", ops, move || {
        // A run consumes its inputs, so a copy is part of it, here as in a work unit.
        let run = executable.run(inputs.clone());
        let made = black_box(run.expect("the inputs are those of the graph"));
        executable.recycle(made);
    })
}

/// Tensors of every input's type: floats from −1 to 1, and class 0 for every label.
fn inputs(graph: &Graph) -> Tensors {
    let make = |(name, value): &(String, shoal_graph::ValueId)| {
        let TensorType { dtype, shape } = graph.value_type(*value);
        let len = shape.iter().map(|dim| *dim as usize).product();
        let tensor = match dtype {
            shoal_graph::DType::I32 => Tensor::i32(shape.clone(), vec![0; len]),
            _ => Tensor::f32(shape.clone(), numbers(len)),
        };
        (name.clone(), tensor)
    };
    graph.inputs().iter().map(make).collect()
}

fn numbers(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn product(n: u32) -> Result<Graph, Box<dyn Error>> {
    let mut b = GraphBuilder::new();
    let (left, right) = (b.input("a", TensorType::f32([n, n]))?, b.input("b", TensorType::f32([n, n]))?);
    let c = b.mat_mul(left, right, false, false)?;
    b.output("c", c);
    Ok(b.finish()?)
}

/// The second convolution of the digits net with both its gradients.
fn convolution() -> Result<Graph, Box<dyn Error>> {
    let (window, groups) = (Window2d::square(1, 1), 1);
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([BATCH, 8, 8, 8]))?;
    let weight = b.input("weight", TensorType::f32([16, 8, 3, 3]))?;
    let dy = b.input("dy", TensorType::f32([BATCH, 16, 8, 8]))?;
    let y = b.apply(Op::Conv2d { window, groups }, &[x, weight])?;
    let dx = b.apply(Op::Conv2dGradInput { window, groups, height: 8, width: 8 }, &[weight, dy])?;
    let dw = b.apply(Op::Conv2dGradWeight { window, groups, kernel_height: 3, kernel_width: 3 }, &[x, dy])?;
    for (name, value) in [("y", y), ("dx", dx), ("dw", dw)] {
        b.output(name, value);
    }
    Ok(b.finish()?)
}

/// The model of `examples/digits/job.toml`.
fn digits() -> ModelSpec {
    let conv = |out_channels| LayerSpec::Conv2d { out_channels, kernel: 3, stride: 1, padding: 1 };
    let layers = vec![
        conv(8),
        LayerSpec::Relu,
        conv(16),
        LayerSpec::Relu,
        LayerSpec::MaxPool2d { size: 2 },
        LayerSpec::Flatten,
        LayerSpec::Dense { units: 10 },
    ];
    ModelSpec { input: vec![1, 8, 8], layers }
}

fn peer(n: u32) -> Subject {
    let n = n as usize;
    let (a, b, mut c) = (numbers(n * n), numbers(n * n), vec![0.0; n * n]);
    Subject::new(product_name(n), PEER, 2.0 * (n as f64).powi(3), move || {
        let stride = n as isize;
        // SAFETY: the three matrices are n × n, row-major and do not overlap.
        #[allow(unsafe_code)]
        unsafe {
            let (a, b) = (black_box(a.as_ptr()), black_box(b.as_ptr()));
            matrixmultiply::sgemm(n, n, n, 1.0, a, stride, 1, b, stride, 1, 0.0, c.as_mut_ptr(), stride, 1);
        }
        black_box(&mut c);
    })
}

fn product_name(n: usize) -> String {
    format!("gemm {n}³")
}

fn limit() -> Subject {
    let ops = 2.0 * (LIMIT_STEPS * LIMIT_VECTORS * LANES) as f64;
    Subject::new(LIMIT, LIMIT, ops, || {
        // Converges to 1, never to a denormal number, which would be slow.
        let (factor, term) = (black_box(0.5f32), black_box(0.5f32));
        let mut sums = [[black_box(1.5f32); LANES]; LIMIT_VECTORS];
        for _ in 0..LIMIT_STEPS {
            for sums in &mut sums {
                for sum in sums {
                    *sum = *sum * factor + term;
                }
            }
        }
        black_box(sums);
    })
}

fn file_argument() -> Result<Option<String>, String> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, ..) => Ok(None),
        (Some("--json"), Some(file), None) => Ok(Some(file)),
        _ => Err("usage: bench_native_compute [--json FILE]".to_owned()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = file_argument()?;
    let mut subjects = vec![limit()];
    for n in SIZES {
        subjects.push(ours(product_name(n as usize), product(n)?));
        subjects.push(peer(n));
    }
    subjects.push(ours("conv2d 8→16 forward and backward", convolution()?));
    subjects.push(ours("digits training step", programs::training_step(&digits(), BATCH)?));
    for _ in 0..ROUNDS {
        subjects.iter_mut().for_each(Subject::take_turn);
    }
    let rate = |by: &str, name: &str| {
        subjects.iter().find(|subject| subject.by == by && subject.name == name).map(Subject::gops)
    };
    let mut rows = Vec::new();
    let mut row = |name: &str, subject: &str, value: f64, unit: &str, against: Option<(f64, &str)>| {
        let (ratio, peer) = against.map(|(ratio, peer)| (Some(ratio), Some(peer))).unwrap_or_default();
        let compared = against.map_or_else(String::new, |(ratio, peer)| format!("{ratio:.2} of {peer}"));
        println!("{name:<34} {subject:<26} {value:>9.2} {unit:<9}  {compared}");
        rows.push(
            json!({"name": name, "subject": subject, "value": value, "unit": unit, "ratio": ratio, "peer": peer}),
        );
    };
    let limit = rate(LIMIT, LIMIT).expect("the limit was measured");
    row(LIMIT, LIMIT, limit, "Gop/s", None);
    for subject in subjects.iter().filter(|subject| subject.by == "shoal") {
        let gops = subject.gops();
        row(&subject.name, "shoal", gops, "Gop/s", Some((gops / limit, LIMIT)));
        if let Some(peer) = rate(PEER, &subject.name) {
            row(&subject.name, "shoal", gops, "Gop/s", Some((gops / peer, PEER)));
            row(&subject.name, PEER, peer, "Gop/s", None);
        }
        if subject.name == "digits training step" {
            row(&subject.name, "shoal", f64::from(BATCH) / subject.median_seconds(), "samples/s", None);
        }
    }
    if let Some(file) = file {
        fs::write(&file, format!("{:#}\n", serde_json::Value::from(rows)))?;
    }
    Ok(())
}

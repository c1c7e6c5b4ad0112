//! How fast the GPU kernels are next to what the GPU could do at all: a loop in registers that multiplies and adds, one that
//! multiplies bytes, and a copy that no cache holds, measured in the same run on the same adapter. Each subject has a few
//! turns and the median counts; the device's own clock is read where it has one. Nothing is asserted: the figures belong to
//! the machine. Two minutes on a GPU; a software adapter takes small sizes.
//!
//! `cargo run --release -p shoal-compute --features webgpu --example gpu_rates -- [--adapter NAME] [--sizes 512,1024]
//! [--kernels chosen|registers|small|medium|large|all] [--only PART] [--json FILE]`

use std::{error::Error, pin::pin, task, time::Instant};

use shoal_compute::{
    AdapterChoice, Backend as _, Data, KernelChoice, Limit, Tensor, Tensors, TileSize, WebGpuBackend, adapter_names,
};
use shoal_graph::{
    Axis2d, DType, Graph, GraphBuilder, GraphError, Op, Reduction, TensorType, Unary, ValueId, Window2d,
    autodiff::gradients,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Seconds that a turn is meant to take.
const TURN_SECONDS: f64 = 0.15;
const TURNS: usize = 3;
/// Runs in one submission at most: a browser's watchdog ends what takes seconds.
const MAX_RUNS: u32 = 2000;

/// What one graph is measured in.
#[derive(Clone, Copy)]
enum Unit {
    Float,
    Integer,
    Bytes,
}

struct Case {
    name: String,
    graph: Graph,
    /// Operations of a run, or bytes read and written.
    amount: f64,
    unit: Unit,
}

#[derive(Default)]
struct Arguments {
    adapter: Option<String>,
    sizes: Vec<u32>,
    kernels: Option<String>,
    only: String,
    json: Option<String>,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let choice = arguments.adapter.clone().map_or(AdapterChoice::Fastest, AdapterChoice::Named);
    let mut gpu = ready(WebGpuBackend::on(&choice))?;
    let info = gpu.info();
    println!("adapters: {}", ready(adapter_names()).join(" | "));
    println!("measured: {}{}", info.adapter, if info.is_fallback { " (software)" } else { "" });
    let start = Instant::now();
    let now_s = move || start.elapsed().as_secs_f64();

    let mut rows = Vec::new();
    let mut report = |name: &str, subject: &str, value: f64, unit: &str, ratio: f64, clock: bool| {
        let clock = if clock { "" } else { " (by the host's clock)" };
        println!("{name:<44} {subject:<16} {value:>10.1} {unit:<7} {:>5.1} %{clock}", ratio * 100.0);
        rows.push(
            serde_json::json!({ "name": name, "subject": subject, "value": value, "unit": unit, "ratio": ratio }),
        );
    };
    let mut limits = [0.0; 3];
    for (limit, name, unit) in [
        (Limit::Arithmetic, "limit of f32 arithmetic", "Gop/s"),
        (Limit::IntegerArithmetic, "limit of int8 arithmetic", "Gop/s"),
        (Limit::Bandwidth, "limit of memory", "GB/s"),
    ] {
        let once = ready(gpu.measure_limit(limit, 1, &now_s))?;
        let rounds = (TURN_SECONDS / once.seconds).clamp(1.0, f64::from(MAX_RUNS)) as u32;
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(ready(gpu.measure_limit(limit, rounds, &now_s))?);
        }
        let best = turns.iter().max_by(|a, b| a.rate().total_cmp(&b.rate())).expect("there were turns");
        limits[limit as usize] = best.rate();
        report(name, "limit", best.rate() / 1e9, unit, 1.0, best.is_device_clock);
    }
    let kernels = kernels(arguments.kernels.as_deref())?;
    for case in cases(&sizes(&arguments.sizes, info.is_fallback), info.is_fallback)? {
        if !case.name.contains(&arguments.only) {
            continue;
        }
        let (limit, unit) = match case.unit {
            Unit::Float => (limits[Limit::Arithmetic as usize], "Gop/s"),
            Unit::Integer => (limits[Limit::IntegerArithmetic as usize], "Gop/s"),
            Unit::Bytes => (limits[Limit::Bandwidth as usize], "GB/s"),
        };
        for (subject, choice) in &kernels {
            gpu = gpu.with_kernels(*choice);
            let inputs = inputs(&case.graph);
            let once = match ready(gpu.measure(&case.graph, inputs.clone(), 1, &now_s)) {
                Ok(once) => once,
                Err(error) => {
                    println!("{:<44} {subject:<16} {error}", case.name);
                    continue;
                }
            };
            let runs = (TURN_SECONDS / once.seconds).clamp(1.0, f64::from(MAX_RUNS)) as u32;
            let mut turns = Vec::new();
            for _ in 0..TURNS {
                turns.push(ready(gpu.measure(&case.graph, inputs.clone(), runs, &now_s))?);
            }
            turns.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
            let rate = turns[TURNS / 2].rate() * case.amount;
            report(&case.name, subject, rate / 1e9, unit, rate / limit, turns[TURNS / 2].is_device_clock);
        }
    }
    println!("{:.0} s", start.elapsed().as_secs_f64());
    if let Some(path) = arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}

fn arguments() -> Result<Arguments> {
    let mut made = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} takes a value"))?;
        match &*name {
            "--adapter" => made.adapter = Some(value),
            "--sizes" => made.sizes = value.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?,
            "--kernels" => made.kernels = Some(value),
            "--only" => made.only = value,
            "--json" => made.json = Some(value),
            _ => return Err(format!("{name} is no argument; the head of this file names them").into()),
        }
    }
    Ok(made)
}

fn kernels(named: Option<&str>) -> Result<Vec<(&'static str, KernelChoice)>> {
    let all = [
        ("chosen", KernelChoice::ByShape),
        ("registers", KernelChoice::Registers),
        ("small", KernelChoice::Tiles(TileSize::Small)),
        ("medium", KernelChoice::Tiles(TileSize::Medium)),
        ("large", KernelChoice::Tiles(TileSize::Large)),
    ];
    let named = named.unwrap_or("chosen");
    let chosen: Vec<_> =
        all.into_iter().filter(|(name, _)| named == "all" || named.split(',').any(|n| n == *name)).collect();
    if chosen.is_empty() { Err(format!("no kernels {named:?}").into()) } else { Ok(chosen) }
}

fn sizes(given: &[u32], is_fallback: bool) -> Vec<u32> {
    match (given, is_fallback) {
        ([], true) => vec![128, 256],
        ([], false) => vec![512, 1024, 2048, 4096],
        (given, _) => given.to_vec(),
    }
}

/// The native backend waits for the device itself, so its futures are ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = task::Context::from_waker(task::Waker::noop());
    match pin!(future).poll(&mut context) {
        task::Poll::Ready(value) => value,
        task::Poll::Pending => unreachable!("the native backend waits for the device"),
    }
}

/// Numbers of both signs without a pattern that a cache or a clock could like.
fn inputs(graph: &Graph) -> Tensors {
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let inputs = graph.inputs().iter().map(|(name, value)| {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        let len: usize = shape.iter().map(|dim| *dim as usize).product();
        let data = match dtype {
            DType::F32 => Data::F32((0..len).map(|_| next() as f32 / 8_388_608.0 - 1.0).collect()),
            DType::I32 => Data::I32((0..len).map(|_| (next() % 10) as i32).collect()),
            DType::I8 => Data::I8((0..len).map(|_| next() as i8).collect()),
            DType::U8 => Data::U8((0..len).map(|_| next() as u8).collect()),
        };
        (name.clone(), Tensor::new(shape, data))
    });
    inputs.collect()
}

fn cases(sizes: &[u32], is_small: bool) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut add =
        |name: String, amount: f64, unit: Unit, graph: std::result::Result<Graph, GraphError>| -> Result<()> {
            cases.push(Case { name, graph: graph?, amount, unit });
            Ok(())
        };
    for size in sizes {
        for (name, trans_a, trans_b) in [("A·B", false, false), ("A·Bᵀ", false, true), ("Aᵀ·B", true, false)] {
            let ops = 2.0 * f64::from(*size).powi(3);
            add(format!("{name} of {size}"), ops, Unit::Float, product([*size; 3], trans_a, trans_b))?;
        }
        add(format!("bytes A·Bᵀ of {size}"), 2.0 * f64::from(*size).powi(3), Unit::Integer, bytes(*size))?;
    }
    let scale = if is_small { 8 } else { 1 };
    for [m, n, k] in [[16, 4096, 4096], [1, 4096, 4096], [4096, 64, 64], [64, 64, 65_536], [1000, 1001, 1003]] {
        let [m, n, k] = [m, n, k].map(|extent: u32| (extent / scale).max(1));
        let ops = 2.0 * f64::from(m) * f64::from(n) * f64::from(k);
        add(format!("A·Bᵀ {m}×{n}×{k}"), ops, Unit::Float, product([m, n, k], false, true))?;
    }
    for (batch, channels, outputs, side, groups) in
        [(64, 1, 16, 28, 1), (64, 16, 32, 14, 1), (32, 64, 64, 56, 1), (32, 256, 256, 14, 1), (32, 64, 64, 56, 64)]
    {
        let batch = batch / scale;
        let ops = 2.0 * f64::from(batch * outputs * side * side) * f64::from(channels / groups * 9);
        for (what, part) in [("", Part::Forward), (", dx", Part::GradInput), (", dw", Part::GradWeight)] {
            let graph = convolution([batch, channels, outputs, side, groups], part);
            add(format!("conv 3×3 {batch}×{channels}→{outputs}×{side}² /{groups}{what}"), ops, Unit::Float, graph)?;
        }
    }
    let net = conv_net(64 / scale)?;
    let ops = net.reference_ops() as f64;
    add(format!("training step of the conv net, batch {}", 64 / scale), ops, Unit::Float, Ok(net))?;
    for (heads, queries, keys, depth) in [(32, 1024, 1024, 64), (32, 1, 2048, 128)] {
        let heads = heads / scale;
        for is_causal in [false, true] {
            let ops = 4.0 * f64::from(heads * queries) * f64::from(keys * depth);
            let name = if is_causal { "causal attention" } else { "attention" };
            let graph = attention([heads, queries, keys, depth], is_causal);
            add(format!("{name} {heads}×{queries}×{keys}×{depth}"), ops, Unit::Float, graph)?;
        }
    }
    for [rows, width] in [[16_384, 1024], [64, 262_144]] {
        // Mesa's software driver ends a loop after 65,535 turns.
        let (rows, width) = (rows / scale, width / scale);
        let bytes = f64::from(rows * width) * 4.0;
        let one = |op| {
            graph(move |b| {
                let x = b.input("x", TensorType::f32([rows, width]))?;
                b.apply(op, &[x])
            })
        };
        add(format!("softmax {rows}×{width}"), 2.0 * bytes, Unit::Bytes, one(Op::Softmax))?;
        let sum = |axis| Op::Reduce { reduction: Reduction::Sum, axes: vec![axis] };
        add(format!("sums of rows {rows}×{width}"), bytes, Unit::Bytes, one(sum(1)))?;
        add(format!("sums of columns {rows}×{width}"), bytes, Unit::Bytes, one(sum(0)))?;
        let norm = graph(move |b| {
            let (x, w) = (b.input("x", TensorType::f32([rows, width]))?, b.input("w", TensorType::f32([width]))?);
            b.layer_norm(x, w, None, 1e-5)
        });
        add(format!("layer norm {rows}×{width}"), 2.0 * bytes, Unit::Bytes, norm)?;
        add(format!("transpose {rows}×{width}"), 2.0 * bytes, Unit::Bytes, one(Op::Transpose { axes: vec![1, 0] }))?;
        let gelu = graph(move |b| {
            let x = b.input("x", TensorType::f32([rows, width]))?;
            b.gelu(x)
        });
        add(format!("gelu {rows}×{width}"), 2.0 * bytes, Unit::Bytes, gelu)?;
    }
    Ok(cases)
}

fn graph(
    build: impl FnOnce(&mut GraphBuilder) -> std::result::Result<ValueId, GraphError>,
) -> std::result::Result<Graph, GraphError> {
    let mut b = GraphBuilder::new();
    let value = build(&mut b)?;
    b.output("made", value);
    b.finish()
}

fn product([m, n, k]: [u32; 3], trans_a: bool, trans_b: bool) -> std::result::Result<Graph, GraphError> {
    graph(|b| {
        let a = b.input("a", TensorType::f32(if trans_a { [k, m] } else { [m, k] }))?;
        let w = b.input("w", TensorType::f32(if trans_b { [n, k] } else { [k, n] }))?;
        b.mat_mul(a, w, trans_a, trans_b)
    })
}

fn bytes(size: u32) -> std::result::Result<Graph, GraphError> {
    graph(|b| {
        let a = b.input("a", TensorType::new(DType::U8, [size, size]))?;
        let w = b.input("w", TensorType::new(DType::I8, [size, size]))?;
        b.apply(Op::MatMulInteger { trans_b: true }, &[a, w])
    })
}

enum Part {
    Forward,
    GradInput,
    GradWeight,
}

fn convolution([n, c, o, side, groups]: [u32; 5], part: Part) -> std::result::Result<Graph, GraphError> {
    graph(|b| {
        let window = Window2d::square(1, 1);
        let (image, weight) = ([n, c, side, side], [o, c / groups, 3, 3]);
        let mut input = |name: &str, shape: [u32; 4]| b.input(name, TensorType::f32(shape));
        match part {
            Part::Forward => {
                let operands = [input("x", image)?, input("w", weight)?];
                b.apply(Op::Conv2d { window, groups }, &operands)
            }
            Part::GradInput => {
                let operands = [input("w", weight)?, input("dy", [n, o, side, side])?];
                b.apply(Op::Conv2dGradInput { window, groups, height: side, width: side }, &operands)
            }
            Part::GradWeight => {
                let operands = [input("x", image)?, input("dy", [n, o, side, side])?];
                b.apply(Op::Conv2dGradWeight { window, groups, kernel_height: 3, kernel_width: 3 }, &operands)
            }
        }
    })
}

fn attention([heads, queries, keys, depth]: [u32; 4], is_causal: bool) -> std::result::Result<Graph, GraphError> {
    graph(|b| {
        let q = b.input("q", TensorType::f32([heads, queries, depth]))?;
        let k = b.input("k", TensorType::f32([heads, keys, depth]))?;
        let v = b.input("v", TensorType::f32([heads, keys, depth]))?;
        b.attention(q, k, v, 1.0 / f64::from(depth).sqrt() as f32, is_causal)
    })
}

/// A step of the net of `cargo xtask bench compute`: two convolutions with pooling, two dense layers.
fn conv_net(batch: u32) -> std::result::Result<Graph, GraphError> {
    let mut b = GraphBuilder::new();
    let mut weights = Vec::new();
    let mut weight = |b: &mut GraphBuilder, shape: &[u32]| -> std::result::Result<ValueId, GraphError> {
        let value = b.input(format!("w{}", weights.len()), TensorType::f32(shape))?;
        weights.push(value);
        Ok(value)
    };
    let mut x = b.input("x", TensorType::f32([batch, 1, 28, 28]))?;
    for [channels, outputs] in [[1, 16], [16, 32]] {
        let (kernel, bias) = (weight(&mut b, &[outputs, channels, 3, 3])?, weight(&mut b, &[outputs])?);
        let y = b.conv2d(x, kernel, Some(bias), Window2d::square(1, 1), 1)?;
        let y = b.unary(Unary::Relu, y)?;
        let axis = Axis2d { stride: 2, ..Axis2d::DENSE };
        let window = Window2d { height: axis, width: axis };
        x = b.apply(Op::MaxPool2d { window, kernel_height: 2, kernel_width: 2 }, &[y])?;
    }
    let x = b.reshape(x, &[batch, 1568])?;
    let (w, bias) = (weight(&mut b, &[128, 1568])?, weight(&mut b, &[128])?);
    let x = b.dense(x, w, Some(bias))?;
    let x = b.unary(Unary::Relu, x)?;
    let (w, bias) = (weight(&mut b, &[10, 128])?, weight(&mut b, &[10])?);
    let logits = b.dense(x, w, Some(bias))?;
    let labels = b.input("y", TensorType::i32([batch]))?;
    let rate = b.input("rate", TensorType::f32([]))?;
    let loss = b.cross_entropy(logits, labels)?;
    let gradients = gradients(&mut b, loss, &weights)?;
    for (index, (weight, gradient)) in weights.into_iter().zip(gradients).enumerate() {
        let next = b.sgd(weight, gradient, rate)?;
        b.output(format!("w{index}"), next);
    }
    b.output("loss", loss);
    b.finish()
}

//! Small graphs, quantised and compared with what they were. Every layer is of random numbers, the samples too.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../../onnx/tests/common/mod.rs"]
mod common;

use std::{collections::BTreeMap, fs, process::Command};

use bytes::Bytes;

use shoal_compute::{Executable, Tensor, Tensors};
use shoal_graph::{DType, Graph, GraphBuilder, Literal, Op, TensorType, Unary, ValueId, Window2d};
use shoal_onnx::{Model, Sizes, Weight, export};
use shoal_quantize::{Options, Quantised, QuantizeError, RangeRule, compare, quantised_inputs, quantize};

/// A graph, its weights, and inputs that are no weights.
struct Net {
    b: GraphBuilder,
    weights: Tensors,
    state: u32,
}

impl Net {
    fn new() -> Self {
        Self { b: GraphBuilder::new(), weights: Tensors::new(), state: 1 }
    }

    fn number(&mut self) -> f32 {
        let state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.state = state;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, shape: &[u32], size: f32) -> Tensor {
        let len = shape.iter().product::<u32>();
        Tensor::f32(shape, (0..len).map(|_| self.number() * size).collect())
    }

    fn weight(&mut self, name: &str, shape: &[u32], size: f32) -> ValueId {
        let tensor = self.tensor(shape, size);
        self.weights.insert(name, tensor);
        self.b.input(name, TensorType::f32(shape)).unwrap()
    }

    fn input(&mut self, name: &str, shape: &[u32]) -> ValueId {
        self.b.input(name, TensorType::f32(shape)).unwrap()
    }

    fn dense(&mut self, name: &str, x: ValueId, units: u32) -> ValueId {
        let width = *self.b.shape(x).last().unwrap();
        let weight = self.weight(name, &[units, width], (1.5 / width as f32).sqrt());
        let bias = self.weight(&format!("{name}.b"), &[units], 0.3);
        self.b.dense(x, weight, Some(bias)).unwrap()
    }

    fn norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let width = *self.b.shape(x).last().unwrap();
        let weight = self.weight(name, &[width], 1.0);
        let bias = self.weight(&format!("{name}.b"), &[width], 0.2);
        self.b.layer_norm(x, weight, Some(bias), 1e-5).unwrap()
    }

    /// The net's graph with some samples of its inputs; masks and words are whole numbers below 9.
    fn samples(mut self, output: ValueId, count: usize) -> (Graph, Tensors, Vec<Tensors>) {
        self.b.output("y", output);
        let inputs: Vec<(String, TensorType)> = (self.b.inputs().iter())
            .filter(|(name, _)| self.weights.get(name).is_none())
            .map(|(name, value)| (name.clone(), self.b.value_type(*value).clone()))
            .collect();
        let mut samples = Vec::new();
        for _ in 0..count {
            let mut sample = Tensors::new();
            for (name, of) in &inputs {
                let tensor = match of.dtype {
                    DType::F32 => self.tensor(&of.shape, 1.0),
                    _ => {
                        let len = of.elements();
                        Tensor::i32(of.shape.clone(), (0..len).map(|_| ((self.number() + 1.0) * 4.5) as i32).collect())
                    }
                };
                sample.insert(name.clone(), tensor);
            }
            samples.push(sample);
        }
        let weights = self.weights;
        (self.b.finish().unwrap(), weights, samples)
    }
}

/// Quantises by half of the samples and judges by the others: the least cosine.
fn judged(name: &str, net: Net, output: ValueId) -> (Quantised, f64) {
    let (graph, weights, samples) = net.samples(output, 16);
    let (own, other) = samples.split_at(8);
    let made = quantize(&graph, &weights, own, Options::default()).unwrap();
    assert!(made.graph.types().iter().all(|value| value.dtype != DType::F32), "integers alone");
    let accuracy = compare(&graph, &weights, &made, other).unwrap();
    let y = &accuracy.outputs["y"];
    println!("{y:?}");
    assert!(y.rows > 8);
    let inputs = quantised_inputs(&made, &other[0]);
    let mut executable = Executable::new(made.graph.clone());
    executable.hold(made.weights.clone()).unwrap();
    let outputs = executable.run(inputs.clone()).unwrap();
    onnxruntime_agrees(name, &made, &inputs, &outputs);
    (made, y.least_cosine)
}

/// Written as ONNX, checked by its tools, computed by onnxruntime: the same integers. And read again, by us.
fn onnxruntime_agrees(name: &str, made: &Quantised, inputs: &Tensors, outputs: &Tensors) {
    let folder = std::env::temp_dir().join(format!("shoal-quantize-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let weights = made.weights.iter().map(|(name, tensor)| {
        let bytes = Bytes::from(tensor.data().to_bytes());
        (name.to_owned(), Weight { tensor_type: tensor.tensor_type(), bytes })
    });
    let model = export(&made.graph, &weights.collect()).unwrap();
    let read = Model::read(model.clone()).unwrap().graph(&Sizes::new()).unwrap();
    let floats: Vec<_> =
        read.graph.nodes().iter().filter(|node| read.graph.value_type(node.output).dtype == DType::F32).collect();
    assert!(floats.is_empty(), "integers alone, not {floats:?}");
    assert!(common::run(&read.graph, &read.weights, inputs.clone()) == *outputs, "read again, it makes others");
    fs::write(folder.join(format!("{name}.onnx")), model).unwrap();
    fs::write(folder.join(format!("{name}.inputs.safetensors")), inputs.to_bytes()).unwrap();
    fs::write(folder.join(format!("{name}.outputs.safetensors")), outputs.to_bytes()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../onnx/tests/export.py");
    let ran = Command::new(common::cached("onnx-python/bin/python")).arg(script).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    println!("{said}");
    assert!(ran.status.success(), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_dense_net_keeps_its_answers() {
    let mut net = Net::new();
    let x = net.input("x", &[4, 30]);
    let x = net.dense("first", x, 50);
    let x = net.b.unary(Unary::Relu, x).unwrap();
    let x = net.dense("second", x, 40);
    let x = net.b.unary(Unary::Tanh, x).unwrap();
    let y = net.dense("last", x, 10);
    let (made, cosine) = judged("dense", net, y);
    assert!(cosine > 0.999, "{cosine}");
    assert_eq!(made.graph.input_type("x").unwrap().dtype, DType::I8);
    let floats = (30 * 50 + 50 + 50 * 40 + 40 + 40 * 10 + 10) * 4;
    // Bytes, two numbers for each unit, and a table.
    assert!(made.weight_bytes() < floats / 4 + 100 * 8 + 4096 + 64, "{}", made.weight_bytes());
}

#[test]
fn a_convolutional_net_keeps_its_answers() {
    let mut net = Net::new();
    let x = net.input("x", &[2, 3, 12, 12]);
    let (weight, bias) = (net.weight("a", &[8, 3, 3, 3], 0.4), net.weight("a.b", &[8], 0.3));
    let x = net.b.conv2d(x, weight, Some(bias), Window2d::square(1, 1), 1).unwrap();
    // A batch norm that was not folded, some of whose factors are negative.
    let (factor, shift) = (net.weight("bn", &[8, 1, 1], 1.0), net.weight("bn.b", &[8, 1, 1], 0.3));
    let x = net.b.mul(x, factor).unwrap();
    let x = net.b.add(x, shift).unwrap();
    let x = net.b.unary(Unary::Relu, x).unwrap();
    let window = Window2d::square(2, 0);
    let pooled = net.b.apply(Op::MaxPool2d { window, kernel_height: 2, kernel_width: 2 }, &[x]).unwrap();
    let depthwise = net.weight("d", &[8, 1, 3, 3], 0.6);
    let y = net.b.conv2d(pooled, depthwise, None, Window2d::square(1, 1), 8).unwrap();
    let y = net.b.add(pooled, y).unwrap();
    let joined = net.b.apply(Op::Concat { axis: 1 }, &[pooled, y]).unwrap();
    let x = net.b.apply(Op::SumPool2d { window, kernel_height: 2, kernel_width: 2 }, &[joined]).unwrap();
    let x = net.b.scale(x, 0.25).unwrap();
    let x = net.b.mean(x, &[2, 3]).unwrap();
    let x = net.b.reshape(x, &[2, 16]).unwrap();
    let y = net.dense("last", x, 10);
    let (_, cosine) = judged("convolutional", net, y);
    assert!(cosine > 0.998, "{cosine}");
}

/// Embedding, two norms, attention under a mask, GELU, pooling by a mean and a vector of length one.
#[test]
fn a_transformer_keeps_its_vectors_and_their_bits_at_every_run() {
    const DIM: u32 = 32;
    let mut net = Net::new();
    let words = net.b.input("words", TensorType::i32([2, 10])).unwrap();
    let mask = net.b.input("mask", TensorType::i32([2, 10])).unwrap();
    let nothing = net.b.apply(Op::Constant(Literal::integer(0)), &[]).unwrap();
    let mask = net.b.binary(shoal_graph::Binary::Less, nothing, mask).unwrap();
    let table = net.weight("words.table", &[9, DIM], 1.0);
    let x = net.b.embedding(table, words).unwrap();
    let places = net.weight("places", &[10, DIM], 0.5);
    let x = net.b.add(x, places).unwrap();
    let x = net.norm("n1", x);
    let mut heads = Vec::new();
    for name in ["q", "k", "v"] {
        let made = net.dense(name, x, DIM);
        let split = net.b.reshape(made, &[2, 10, 4, 8]).unwrap();
        heads.push(net.b.transpose(split, &[0, 2, 1, 3]).unwrap());
    }
    let scores = net.b.mat_mul(heads[0], heads[1], false, true).unwrap();
    let scores = net.b.scale(scores, 0.35).unwrap();
    // (1 − mask)·−∞, as exporters spell it.
    let seen = net.b.cast(mask, DType::F32).unwrap();
    let one = net.b.scalar(1.0).unwrap();
    let unseen = net.b.sub(one, seen).unwrap();
    let unseen = net.b.scale(unseen, f32::MIN).unwrap();
    let unseen = net.b.reshape(unseen, &[2, 1, 1, 10]).unwrap();
    let scores = net.b.add(scores, unseen).unwrap();
    let weights = net.b.apply(Op::Softmax, &[scores]).unwrap();
    let joined = net.b.mat_mul(weights, heads[2], false, false).unwrap();
    let joined = net.b.transpose(joined, &[0, 2, 1, 3]).unwrap();
    let joined = net.b.reshape(joined, &[2, 10, DIM]).unwrap();
    let joined = net.dense("o", joined, DIM);
    let x = net.b.add(x, joined).unwrap();
    let x = net.norm("n2", x);
    let wide = net.dense("up", x, 64);
    let wide = net.b.gelu(wide).unwrap();
    let narrow = net.dense("down", wide, DIM);
    let x = net.b.add(x, narrow).unwrap();
    let seen = net.b.reshape(seen, &[2, 10, 1]).unwrap();
    let x = net.b.mul(x, seen).unwrap();
    let sum = net.b.reduce(shoal_graph::Reduction::Sum, x, &[1]).unwrap();
    let count = net.b.reduce(shoal_graph::Reduction::Sum, seen, &[1]).unwrap();
    let mean = net.b.div(sum, count).unwrap();
    let mean = net.b.reshape(mean, &[2, DIM]).unwrap();
    let square = net.b.mul(mean, mean).unwrap();
    let norm = net.b.reduce(shoal_graph::Reduction::Sum, square, &[1]).unwrap();
    let norm = net.b.unary(Unary::Sqrt, norm).unwrap();
    let y = net.b.div(mean, norm).unwrap();
    let (graph, weights, samples) = net.samples(y, 16);
    let made = quantize(&graph, &weights, &samples[..8], Options::default()).unwrap();
    let accuracy = compare(&graph, &weights, &made, &samples[8..]).unwrap();
    println!("{accuracy:?}");
    assert!(accuracy.outputs["y"].least_cosine > 0.995);
    let again = quantize(&graph, &weights, &samples[..8], Options::default()).unwrap();
    assert_eq!(again.graph.hash(), made.graph.hash(), "the same model and samples make the same graph");
    assert!(again.weights == made.weights);
    let run = || {
        let mut executable = Executable::new(made.graph.clone());
        executable.hold(made.weights.clone()).unwrap();
        executable.run(quantised_inputs(&made, &samples[9])).unwrap()
    };
    assert!(run() == run());
    // As an interpreter of the definitions has it.
    let reals = |tensors: &Tensors| -> BTreeMap<String, Vec<f64>> {
        let real = |tensor: &Tensor| match tensor.data() {
            shoal_compute::Data::F32(x) => x.iter().map(|x| f64::from(*x)).collect(),
            shoal_compute::Data::I32(x) => x.iter().map(|x| f64::from(*x)).collect(),
            shoal_compute::Data::I8(x) => x.iter().map(|x| f64::from(*x)).collect(),
            shoal_compute::Data::U8(x) => x.iter().map(|x| f64::from(*x)).collect(),
        };
        tensors.iter().map(|(name, tensor)| (name.to_owned(), real(tensor))).collect()
    };
    let mut given = reals(&quantised_inputs(&made, &samples[9]));
    given.extend(reals(&made.weights));
    assert_eq!(reals(&run()), shoal_reference::run(&made.graph, &given).unwrap());
    onnxruntime_agrees("transformer", &made, &quantised_inputs(&made, &samples[9]), &run());
}

#[test]
fn every_rule_gives_a_net_that_works() {
    for rule in [RangeRule::MinMax, RangeRule::MeanSquare, RangeRule::Percentile] {
        let mut net = Net::new();
        let x = net.input("x", &[4, 30]);
        let y = net.dense("only", x, 10);
        let (graph, weights, samples) = net.samples(y, 8);
        let made = quantize(&graph, &weights, &samples, Options { rule, ..Options::default() }).unwrap();
        let accuracy = compare(&graph, &weights, &made, &samples).unwrap();
        assert!(accuracy.outputs["y"].least_cosine > 0.999, "{rule:?}: {accuracy:?}");
    }
}

#[test]
fn what_has_no_integer_form_is_named_at_once() {
    let mut net = Net::new();
    let x = net.input("x", &[4, 30]);
    let greatest = net.b.apply(Op::ArgMax { axis: 1 }, &[x]).unwrap();
    let product = net.b.reduce(shoal_graph::Reduction::Product, x, &[1]).unwrap();
    net.b.output("greatest", greatest);
    let (graph, weights, samples) = net.samples(product, 2);
    let refused = quantize(&graph, &weights, &samples, Options::default()).unwrap_err();
    let QuantizeError::Unsupported(ops) = &refused else { panic!("{refused}") };
    assert_eq!(ops.iter().map(|op| op.op).collect::<Vec<_>>(), ["arg_max", "reduce_product"], "{refused}");
    let none = quantize(&graph, &weights, &[], Options::default());
    assert!(matches!(none, Err(QuantizeError::NoSamples)));
}

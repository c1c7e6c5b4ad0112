//! Units and graphs whose results must hash identically on every target. The expected hashes are committed in
//! `tests/vectors/exact/exact-1.json`; natively, in Node and in browsers, [`run_all`] is compared with that one file. All
//! inputs come from ChaCha8 seeded by the vector's name, so nothing but this code is needed to reproduce them.

use prost::Message as _;
use shoal_graph::{
    Axis2d, Binary, DType, Graph, GraphBuilder, Literal, Op, Reduction, TensorType, Unary, ValueId, Window2d, programs,
};
use shoal_wire::{
    ids::BlobId,
    job::{LayerSpec, ModelSpec},
    proto::{Class, Gradient, LocalTraining, Unit, unit::Program},
    unit::CheckedUnit,
};

use crate::{
    cpu::CpuBackend,
    init::initial_parameters,
    program::{Budget, run_unit_on_cpu, unit_cost},
    seed::{Uniform, job_seed},
    tensor::{Tensor, Tensors},
};

/// Name and hash (BLAKE3 of the output's safetensors bytes, hexadecimal) of one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorResult {
    /// What is computed.
    pub name: &'static str,
    /// Hash of the result.
    pub blake3: String,
}

/// Computes every vector.
pub fn run_all() -> Vec<VectorResult> {
    let graphs = [
        ("matmul_k1024", graph(|b| mat_mul(b, [37, 1024], [1024, 29], false, false))),
        ("matmul_trans_a_k1500", graph(|b| mat_mul(b, [1500, 5], [1500, 33], true, false))),
        ("matmul_trans_b_k2000", graph(|b| mat_mul(b, [6, 2000], [13, 2000], false, true))),
        ("conv2d_padded", graph(|b| conv(b, [3, 5, 9, 11], [7, 5, 3, 3], 1, 1))),
        ("conv2d_strided_k1152", graph(|b| conv(b, [2, 128, 7, 7], [9, 128, 3, 3], 2, 2))),
        ("max_pool2d_ties", graph(max_pool)),
        ("softmax_1000", graph(|b| unary(b, Op::Softmax, [4, 1000]))),
        ("softmax_cross_entropy", graph(cross_entropy)),
        ("relu_add_scale", graph(elementwise)),
    ];
    let mut results = Vec::new();
    for (name, graph) in &graphs {
        let made = CpuBackend::new().run_now(graph, numbers(name, graph, false)).expect("a vector runs");
        results.push(VectorResult { name, blake3: hex::encode(made.hash()) });
    }
    for (name, of) in [("edge_values_matmul", 0), ("edge_values_conv2d", 3), ("edge_values_elementwise", 8)] {
        let graph = &graphs[of].1;
        let made = CpuBackend::new().run_now(graph, numbers(name, graph, true)).expect("a vector runs");
        results.push(VectorResult { name, blake3: hex::encode(made.hash()) });
    }
    let model = model();
    let parameters = initial_parameters(&model, job_seed(1, "vectors")).expect("the model can be built");
    results.push(VectorResult { name: "initial_parameters", blake3: hex::encode(parameters.hash()) });
    let one_step = LocalTraining { steps: 1, batch: 16, learning_rate: 0.1, momentum: 0.9 };
    for (name, program) in [
        ("unit_training_step", Program::LocalTraining(one_step)),
        ("unit_local_training_8_steps", Program::LocalTraining(LocalTraining { steps: 8, ..one_step })),
        ("unit_gradient", Program::Gradient(Gradient { batch: 24 })),
    ] {
        let output = run_vector_unit(&vector_unit(program));
        results.push(VectorResult { name, blake3: BlobId::of(&output).to_string() });
    }
    results
}

/// A whole unit with its blobs, for tests of backends.
#[derive(Debug, Clone)]
pub struct VectorUnit {
    /// The unit.
    pub unit: CheckedUnit,
    /// Bytes of its graph.
    pub graph: Vec<u8>,
    /// Bytes of its parameters.
    pub parameters: Vec<u8>,
    /// Bytes of its data.
    pub data: Vec<u8>,
}

/// A unit of the given program on a small convolutional net and 40 random samples: exact, or tolerant for a gradient.
pub fn vector_unit(program: Program) -> VectorUnit {
    let model = model();
    let (class, graph) = match &program {
        Program::LocalTraining(training) => (Class::Exact, programs::training_step(&model, training.batch)),
        Program::Gradient(gradient) => (Class::Tolerant, programs::gradient(&model, gradient.batch)),
    };
    let graph = graph.expect("the model can be built");
    let parameters = initial_parameters(&model, job_seed(1, "vectors")).expect("the model can be built").to_bytes();
    let mut uniform = Uniform::new(job_seed(2, "vectors"));
    let samples = (0..40 * 64).map(|_| uniform.next()).collect();
    let labels = (0..40).map(|_| uniform.below(10) as i32).collect();
    let mut data = Tensors::new();
    data.insert(programs::SAMPLES, Tensor::f32([40, 1, 8, 8], samples));
    data.insert(programs::LABELS, Tensor::i32([40], labels));
    let data = data.to_bytes();
    let cost = unit_cost(&program, &graph);
    let message = Unit {
        job: vec![7; 32],
        round: 3,
        index: 5,
        class: class as i32,
        graph: BlobId::of(graph.bytes()).to_vec(),
        parameters: BlobId::of(&parameters).to_vec(),
        data: BlobId::of(&data).to_vec(),
        reference_ops: cost.reference_ops,
        memory_bytes: cost.memory_bytes,
        program: Some(program),
    };
    debug_assert!(message.encoded_len() < 1024, "a unit names its blobs and holds none");
    let unit = CheckedUnit::new(message).expect("the unit is well-formed");
    VectorUnit { unit, graph: graph.bytes().to_vec(), parameters, data }
}

fn run_vector_unit(unit: &VectorUnit) -> Vec<u8> {
    let budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };
    run_unit_on_cpu(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &budget).expect("a vector runs")
}

/// Convolutions, pooling and a dense layer, small enough for an interpreter in a test.
pub fn model() -> ModelSpec {
    let conv = |out_channels| LayerSpec::Conv2d { out_channels, kernel: 3, stride: 1, padding: 1 };
    ModelSpec {
        input: vec![1, 8, 8],
        layers: vec![
            conv(6),
            LayerSpec::Relu,
            conv(10),
            LayerSpec::Relu,
            LayerSpec::MaxPool2d { size: 2 },
            LayerSpec::Flatten,
            LayerSpec::Dense { units: 10 },
        ],
    }
}

fn graph(build: impl FnOnce(&mut GraphBuilder) -> ValueId) -> Graph {
    let mut builder = GraphBuilder::new();
    let value = build(&mut builder);
    builder.output("result", value);
    builder.finish().expect("a vector's graph is well-formed")
}

fn input<const N: usize>(b: &mut GraphBuilder, name: &str, shape: [u32; N]) -> ValueId {
    b.input(name, TensorType::f32(shape)).expect("a vector's shapes are within the limits")
}

fn apply(b: &mut GraphBuilder, op: Op, inputs: &[ValueId]) -> ValueId {
    b.apply(op, inputs).expect("a vector's shapes go together")
}

fn mat_mul(b: &mut GraphBuilder, a: [u32; 2], c: [u32; 2], trans_a: bool, trans_b: bool) -> ValueId {
    let (left, right) = (input(b, "a", a), input(b, "b", c));
    apply(b, Op::MatMul { trans_a, trans_b }, &[left, right])
}

/// A convolution and both its gradients, with its own result as dy, joined so that one output covers all.
fn conv(b: &mut GraphBuilder, x: [u32; 4], weight: [u32; 4], stride: u32, padding: u32) -> ValueId {
    let (window, groups) = (Window2d::square(stride, padding), 1);
    let (image, kernel) = (input(b, "x", x), input(b, "weight", weight));
    let y = apply(b, Op::Conv2d { window, groups }, &[image, kernel]);
    let dx = apply(b, Op::Conv2dGradInput { window, groups, height: x[2], width: x[3] }, &[kernel, y]);
    let op = Op::Conv2dGradWeight { window, groups, kernel_height: weight[2], kernel_width: weight[3] };
    let dweight = apply(b, op, &[dx, y]);
    b.output("dx", dx);
    b.output("dweight", dweight);
    y
}

fn unary(b: &mut GraphBuilder, op: Op, shape: [u32; 2]) -> ValueId {
    let x = input(b, "x", shape);
    apply(b, op, &[x])
}

fn max_pool(b: &mut GraphBuilder) -> ValueId {
    let (x, dy) = (input(b, "x", [2, 3, 7, 9]), input(b, "dy", [2, 3, 3, 4]));
    // Windows without a positive element are ties of four zeros; dy tells which of them won.
    let zeroed = apply(b, Op::Unary(Unary::Relu), &[x]);
    let axis = Axis2d { stride: 2, ..Axis2d::DENSE };
    let window = Window2d { height: axis, width: axis };
    let y = apply(b, Op::MaxPool2d { window, kernel_height: 2, kernel_width: 2 }, &[zeroed]);
    let dx = apply(b, Op::MaxPool2dGrad { window, kernel_height: 2, kernel_width: 2 }, &[zeroed, dy]);
    b.output("dx", dx);
    y
}

fn cross_entropy(b: &mut GraphBuilder) -> ValueId {
    let logits = input(b, "logits", [33, 21]);
    let labels = b.input("labels", TensorType::i32([33])).expect("a vector's shapes are within the limits");
    let factor = apply(b, Op::Constant(Literal::scalar(12.0)), &[]);
    let sharp = apply(b, Op::Binary(Binary::Mul), &[logits, factor]);
    let loss = apply(b, Op::SoftmaxCrossEntropy, &[sharp, labels]);
    let gradient = apply(b, Op::SoftmaxCrossEntropyGrad, &[sharp, labels, loss]);
    b.output("gradient", gradient);
    loss
}

fn elementwise(b: &mut GraphBuilder) -> ValueId {
    let (x, z, bias) = (input(b, "x", [5, 77]), input(b, "z", [5, 77]), input(b, "bias", [77]));
    let factor = apply(b, Op::Constant(Literal::scalar(0.333)), &[]);
    let scaled = apply(b, Op::Binary(Binary::Mul), &[x, factor]);
    let sum = apply(b, Op::Binary(Binary::Add), &[scaled, z]);
    let biased = apply(b, Op::Binary(Binary::Add), &[sum, bias]);
    let zero = apply(b, Op::Constant(Literal::scalar(0.0)), &[]);
    let is_positive = apply(b, Op::Binary(Binary::Less), &[zero, biased]);
    let dx = apply(b, Op::Where, &[is_positive, z, zero]);
    let channels = apply(b, Op::Reduce { reduction: Reduction::Sum, axes: vec![0] }, &[dx]);
    b.output("channels", channels);
    apply(b, Op::Unary(Unary::Relu), &[biased])
}

/// Inputs of a graph from the vector's name: uniform in [−1, 1); with `edges`, every fifth number is −0, a subnormal or
/// tiny instead. Labels are uniform over 21 classes.
fn numbers(name: &str, graph: &Graph, edges: bool) -> Tensors {
    let mut uniform = Uniform::new(job_seed(0, name));
    let mut tensors = Tensors::new();
    for (input, value) in graph.inputs() {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        let len: usize = shape.iter().map(|dim| *dim as usize).product();
        let tensor = match dtype {
            DType::I32 => Tensor::i32(shape, (0..len).map(|_| uniform.below(21) as i32).collect()),
            _ => Tensor::f32(shape, (0..len).map(|i| number(&mut uniform, edges && i % 5 == 0)).collect()),
        };
        tensors.insert(input.clone(), tensor);
    }
    tensors
}

fn number(uniform: &mut Uniform, edge: bool) -> f32 {
    let x = uniform.next();
    if !edge {
        return x;
    }
    match uniform.below(4) {
        0 => -0.0,
        // Any subnormal of either sign.
        1 => f32::from_bits(x.to_bits() & 0x807f_ffff),
        // Near the square root of the least normal, so that products are subnormal.
        2 => x * 1e-19,
        _ => f32::MIN_POSITIVE.copysign(x),
    }
}

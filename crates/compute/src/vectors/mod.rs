//! Units and graphs whose results must hash identically on every target. The expected hashes are committed in
//! `tests/vectors/exact/exact-1.json`; natively, in Node and in browsers, [`run_all`] is compared with that one file. All
//! inputs come from ChaCha8 seeded by the vector's name, so nothing but this code is needed to reproduce them.

mod functions;
mod graphs;
mod layers;
mod moves;
mod quantised;

use prost::Message as _;
use shoal_graph::{DType, Graph, GraphBuilder, TensorType, Unary, programs};
use shoal_wire::{
    ids::BlobId,
    job::{LayerSpec, ModelSpec},
    proto::{self, Class, Gradient, LocalTraining, Unit, unit::Program},
    unit::CheckedUnit,
};

use crate::{
    cpu::CpuBackend,
    init::initial_parameters,
    program::{Budget, run_unit_on_cpu, unit_cost},
    seed::{Uniform, job_seed},
    tensor::{Data, Tensor, Tensors},
};

/// Name and hash (BLAKE3 of the output's safetensors bytes, hexadecimal) of one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorResult {
    /// What is computed.
    pub name: String,
    /// Hash of the result.
    pub blake3: String,
}

/// Every graph with its name, in an order that is fixed.
fn all() -> Vec<(&'static str, Graph)> {
    [graphs::all(), quantised::all(), moves::all()].concat()
}

/// Computes every vector.
pub fn run_all() -> Vec<VectorResult> {
    let graphs = all();
    let mut results = Vec::new();
    for (name, graph) in &graphs {
        let made = CpuBackend::new().run_now(graph, numbers(name, graph, false)).expect("a vector runs");
        made.check_finite().expect("the bits of a NaN belong to the machine and are no vector");
        results.push(result(name, made.hash()));
    }
    for (name, of) in [("edge_values_matmul", 0), ("edge_values_conv2d", 3), ("edge_values_elementwise", 8)] {
        let graph = &graphs[of].1;
        let made = CpuBackend::new().run_now(graph, numbers(name, graph, true)).expect("a vector runs");
        results.push(result(name, made.hash()));
    }
    let model = model();
    let parameters = initial_parameters(&model, job_seed(1, "vectors")).expect("the model can be built");
    results.push(result("initial_parameters", parameters.hash()));
    let one_step = LocalTraining { steps: 1, batch: 16, learning_rate: 0.1, momentum: 0.9 };
    for (name, program) in [
        ("unit_training_step", Program::LocalTraining(one_step)),
        ("unit_local_training_8_steps", Program::LocalTraining(LocalTraining { steps: 8, ..one_step })),
        ("unit_gradient", Program::Gradient(Gradient { batch: 24 })),
        // The last run is filled up: 40 samples, 3 runs.
        ("unit_map_3_runs", Program::Map(proto::Map { batch: 16, rows: 40 })),
    ] {
        let output = run_vector_unit(&vector_unit(program));
        results.push(result(name, *BlobId::of(&output).as_bytes()));
    }
    let output = run_vector_unit(&not_finite_unit());
    results.push(result("unit_map_not_finite", *BlobId::of(&output).as_bytes()));
    results.extend(functions::all().into_iter().map(|(name, made)| result(&name, made.hash())));
    results
}

fn result(name: &str, hash: [u8; 32]) -> VectorResult {
    VectorResult { name: name.to_owned(), blake3: hex::encode(hash) }
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
        Program::Map(map) => (Class::Exact, programs::inference(&model, map.batch)),
    };
    let graph = graph.expect("the model can be built");
    let parameters = initial_parameters(&model, job_seed(1, "vectors")).expect("the model can be built").to_bytes();
    let mut uniform = Uniform::new(job_seed(2, "vectors"));
    let samples = (0..40 * 64).map(|_| uniform.next()).collect();
    let labels = (0..40).map(|_| uniform.below(10) as i32).collect();
    let mut data = Tensors::new();
    data.insert(programs::SAMPLES, Tensor::f32([40, 1, 8, 8], samples));
    if !matches!(program, Program::Map(_)) {
        data.insert(programs::LABELS, Tensor::i32([40], labels));
    }
    unit_of(program, class, &graph, parameters, data.to_bytes())
}

fn unit_of(program: Program, class: Class, graph: &Graph, parameters: Vec<u8>, data: Vec<u8>) -> VectorUnit {
    let cost = unit_cost(&program, graph);
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

/// A map unit whose rows give infinities and NaN: the logarithm of each element, and the element itself.
pub fn not_finite_unit() -> VectorUnit {
    // Any other bits of a NaN than those of an output.
    let nan = f32::from_bits(0xffc1_2345);
    let values: Vec<f32> = [1.0, 0.0, -1.0, f32::INFINITY, nan].repeat(2);
    let rows = values.len() as u32;
    let mut b = GraphBuilder::new();
    let x = b.input(programs::SAMPLES, TensorType::f32([4, 1])).expect("a name is free");
    let log = b.unary(Unary::Log, x).expect("a logarithm is of floats");
    b.output("log", log);
    b.output("same", x);
    let graph = b.finish().expect("the graph is whole");
    let mut data = Tensors::new();
    data.insert(programs::SAMPLES, Tensor::f32([rows, 1], values));
    let program = Program::Map(proto::Map { batch: 4, rows });
    unit_of(program, Class::Exact, &graph, Tensors::new().to_bytes(), data.to_bytes())
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

/// Inputs of a graph from the vector's name: uniform in [−1, 1); with `edges`, every fifth number is −0, a subnormal or
/// tiny instead. Labels are uniform over 21 classes, bytes over all there are.
fn numbers(name: &str, graph: &Graph, edges: bool) -> Tensors {
    let mut uniform = Uniform::new(job_seed(0, name));
    let mut tensors = Tensors::new();
    for (input, value) in graph.inputs() {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        let len: usize = shape.iter().map(|dim| *dim as usize).product();
        let tensor = match dtype {
            DType::I32 => Tensor::i32(shape, (0..len).map(|_| uniform.below(21) as i32).collect()),
            DType::I8 => {
                Tensor::new(shape, Data::I8((0..len).map(|_| (uniform.below(256) as i32 - 128) as i8).collect()))
            }
            DType::U8 => Tensor::new(shape, Data::U8((0..len).map(|_| uniform.below(256) as u8).collect())),
            DType::F32 => Tensor::f32(shape, (0..len).map(|i| number(&mut uniform, edges && i % 5 == 0)).collect()),
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::{all, numbers, quantised};
    use crate::{
        executable::Executable,
        kernels::gemm::lanes::Level,
        tensor::{Data, Tensor, Tensors},
    };

    #[test]
    fn every_graph_has_its_committed_hash_at_every_level() {
        let text = include_str!("../../../../tests/vectors/exact/exact-1.json");
        let committed: serde_json::Value = serde_json::from_str(text).expect("the vectors are JSON");
        for level in Level::available() {
            for (name, graph) in all() {
                let inputs = numbers(name, &graph, false);
                let made = Executable::at(graph, level).run(inputs).expect("a vector runs");
                assert_eq!(hex::encode(made.hash()), committed["blake3"][name], "{name} at {level:?}");
            }
        }
    }

    #[test]
    fn quantised_graphs_are_their_definition_and_say_something() {
        for (name, graph) in quantised::all() {
            let inputs = numbers(name, &graph, false);
            let reals = |tensors: &Tensors| -> shoal_reference::Reals {
                let real = |tensor: &Tensor| match tensor.data() {
                    Data::F32(x) => x.iter().map(|x| f64::from(*x)).collect(),
                    Data::I32(x) => x.iter().map(|x| f64::from(*x)).collect(),
                    Data::I8(x) => x.iter().map(|x| f64::from(*x)).collect(),
                    Data::U8(x) => x.iter().map(|x| f64::from(*x)).collect(),
                };
                tensors.iter().map(|(name, tensor)| (name.to_owned(), real(tensor))).collect()
            };
            let expected = shoal_reference::run(&graph, &reals(&inputs)).expect("a vector runs");
            let got = Executable::new(graph).run(inputs).expect("a vector runs");
            assert_eq!(reals(&got), expected, "{name}");
            // Not saturated: the results take many values.
            let distinct: std::collections::BTreeSet<i64> = expected.values().flatten().map(|x| *x as i64).collect();
            let few = expected.values().map(Vec::len).sum::<usize>().div_ceil(3).min(500);
            assert!(distinct.len() >= few, "{name}: {} values, {few} expected", distinct.len());
        }
    }
}

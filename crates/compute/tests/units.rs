//! Whole work units: the right answer, and every wrong thing that a unit's sender can do refused by name.

#![allow(clippy::unwrap_used)] // a panic is how a test fails
#![cfg(not(target_arch = "wasm32"))]

use shoal_compute::{
    ComputeError, CpuBackend, Tensor, Tensors, evaluate,
    program::{Budget, MapGraph, UnitRun, map_output_len, run_unit, run_unit_on_cpu, unit_cost},
    seed::{SHUFFLE, permutation, unit_seed},
    tolerance,
    vectors::{self, VectorUnit, vector_unit},
};
use shoal_graph::{Graph, GraphBuilder, GraphError, TensorType, programs};
use shoal_wire::{
    ids::BlobId,
    proto::{Class, Gradient, LocalTraining, Map, Unit, unit::Program},
    unit::CheckedUnit,
};

const PLENTY: Budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };

fn training(steps: u32, batch: u32) -> Program {
    Program::LocalTraining(LocalTraining { steps, batch, learning_rate: 0.1, momentum: 0.9 })
}

fn run(unit: &VectorUnit, budget: &Budget) -> Result<Vec<u8>, ComputeError> {
    run_unit_on_cpu(&unit.unit, &unit.graph, &unit.parameters, &unit.data, budget)
}

/// The unit with another message.
fn changed(unit: &VectorUnit, change: impl FnOnce(&mut Unit)) -> VectorUnit {
    let mut message = unit.unit.message.clone();
    change(&mut message);
    VectorUnit { unit: CheckedUnit::new(message).unwrap(), ..unit.clone() }
}

/// The unit with another data blob.
fn with_data(unit: &VectorUnit, data: &Tensors) -> VectorUnit {
    let data = data.to_bytes();
    let mut changed = changed(unit, |message| message.data = BlobId::of(&data).to_vec());
    changed.data = data;
    changed
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the CPU answers at once"),
    }
}

#[test]
fn local_training_is_its_graph_step_after_step() {
    // 40 samples, 3 steps of 16: the third batch wraps around.
    let unit = vector_unit(training(3, 16));
    let output = Tensors::from_bytes(&run(&unit, &PLENTY).unwrap()).unwrap();

    let graph = Graph::decode(&unit.graph).unwrap();
    let data = Tensors::from_bytes(&unit.data).unwrap();
    let (x, y) = (data.get("x").unwrap().as_f32().unwrap(), data.get("y").unwrap().as_i32().unwrap());
    let order = permutation(unit_seed(&unit.unit.job, 3, &unit.unit.id, SHUFFLE), 40);
    let mut state = Tensors::from_bytes(&unit.parameters).unwrap();
    let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
    for name in &names {
        let zeros = Tensor::zeros(state.get(name).unwrap().shape());
        state.insert(format!("velocity.{name}"), zeros);
    }
    for step in 0..3 {
        let rows: Vec<usize> = (0..16).map(|i| order[(step * 16 + i) % 40] as usize).collect();
        let samples = rows.iter().flat_map(|row| x[row * 64..][..64].to_vec()).collect();
        state.insert("x", Tensor::f32([16, 1, 8, 8], samples));
        state.insert("y", Tensor::i32([16], rows.iter().map(|row| y[*row]).collect()));
        state.insert("learning_rate", Tensor::f32([], vec![0.1]));
        state.insert("momentum", Tensor::f32([], vec![0.9]));
        state = CpuBackend::new().run_now(&graph, state).unwrap();
        assert!(state.remove("loss").unwrap().as_f32().unwrap()[0] > 0.0);
    }
    for name in &names {
        assert_eq!(output.get(name), state.get(name));
    }
    assert_eq!(output.len(), names.len());
}

#[test]
fn a_gradient_unit_holds_one_gradient_a_parameter() {
    let unit = vector_unit(Program::Gradient(Gradient { batch: 24 }));
    let output = Tensors::from_bytes(&run(&unit, &PLENTY).unwrap()).unwrap();
    let parameters = Tensors::from_bytes(&unit.parameters).unwrap();
    let shapes =
        |tensors: &Tensors| tensors.iter().map(|(n, t)| (n.to_owned(), t.shape().to_vec())).collect::<Vec<_>>();
    assert_eq!(shapes(&output), shapes(&parameters));
}

#[test]
fn a_map_unit_is_its_graph_over_all_rows_in_order() {
    // 40 rows in runs of 16: the last one is filled up with row 39.
    let unit = vector_unit(Program::Map(Map { batch: 16, rows: 40 }));
    let output = Tensors::from_bytes(&run(&unit, &PLENTY).unwrap()).unwrap();
    assert_eq!(output.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["logits"]);
    let logits = output.get("logits").unwrap();
    assert_eq!(logits.shape(), [40, 10]);

    // One row at a time gives the same bits.
    let one = programs::inference(&vectors::model(), 1).unwrap();
    let data = Tensors::from_bytes(&unit.data).unwrap();
    let x = data.get("x").unwrap().as_f32().unwrap();
    for (row, expected) in x.chunks(64).zip(logits.as_f32().unwrap().chunks(10)) {
        let mut inputs = Tensors::from_bytes(&unit.parameters).unwrap();
        inputs.insert("x", Tensor::f32([1, 1, 8, 8], row.to_vec()));
        let made = CpuBackend::new().run_now(&one, inputs).unwrap();
        assert_eq!(made.get("logits").unwrap().as_f32().unwrap(), expected);
    }
}

#[test]
fn the_length_and_the_cost_of_a_map_unit_are_known_before() {
    for (batch, rows) in [(16, 40), (40, 40), (64, 40), (1, 40)] {
        let program = Program::Map(Map { batch, rows });
        let unit = vector_unit(program);
        let graph = Graph::decode(&unit.graph).unwrap();
        assert_eq!(map_output_len(&graph, rows), run(&unit, &PLENTY).unwrap().len() as u64, "batch {batch}");
        let runs = u64::from(rows.div_ceil(batch));
        let cost = unit_cost(&program, &graph);
        assert_eq!(cost.reference_ops, graph.reference_ops() * runs);
        assert_eq!(cost.memory_bytes, graph.peak_memory_bytes() + 2 * runs * u64::from(batch) * 10 * 4);
    }
}

#[test]
fn a_shard_must_have_the_rows_and_the_inputs_that_are_said() {
    let unit = vector_unit(Program::Map(Map { batch: 16, rows: 40 }));
    let fewer = changed(&unit, |message| {
        message.program = Some(Program::Map(Map { batch: 16, rows: 39 }));
        let cost = unit_cost(message.program.as_ref().unwrap(), &Graph::decode(&unit.graph).unwrap());
        (message.reference_ops, message.memory_bytes) = (cost.reference_ops, cost.memory_bytes);
    });
    assert!(matches!(run(&fewer, &PLENTY).unwrap_err(), ComputeError::WrongTensor { name, .. } if name == "x"));
    let mut data = Tensors::from_bytes(&unit.data).unwrap();
    data.insert("y", Tensor::i32([40], vec![0; 40]));
    let unknown = run(&with_data(&unit, &data), &PLENTY).unwrap_err();
    assert_eq!(unknown, ComputeError::UnknownTensor { name: "y".into() });
    let graph = Graph::decode(&unit.graph).unwrap();
    let error = MapGraph::new(&graph, &Tensors::from_bytes(&unit.parameters).unwrap(), 15).unwrap_err();
    assert_eq!(error, ComputeError::WrongBatch { graph: 16, unit: 15 });
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([])).unwrap();
    b.output("y", x);
    let error = MapGraph::new(&b.finish().unwrap(), &Tensors::new(), 1).unwrap_err();
    assert_eq!(error, ComputeError::NoRows { name: "x".into() });
}

#[test]
fn the_async_path_gives_the_same_bytes() {
    let unit = vector_unit(training(2, 8));
    let result =
        block_on(run_unit(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &mut CpuBackend::new(), &PLENTY));
    assert_eq!(result.unwrap(), run(&unit, &PLENTY).unwrap());
}

#[test]
fn a_run_can_be_paused_between_steps() {
    let unit = vector_unit(training(4, 8));
    let mut run_in_steps = UnitRun::prepare(&unit.unit, &unit.graph, &unit.parameters, &unit.data, &PLENTY).unwrap();
    let mut seen = Vec::new();
    while !run_in_steps.is_done() {
        seen.push((run_in_steps.steps_done(), run_in_steps.steps()));
        run_in_steps.step_on_cpu().unwrap();
    }
    assert_eq!(seen, [(0, 4), (1, 4), (2, 4), (3, 4)]);
    assert_eq!(run_in_steps.finish().unwrap(), run(&unit, &PLENTY).unwrap());
}

#[test]
fn another_round_shuffles_otherwise() {
    let unit = vector_unit(training(2, 8));
    let later = changed(&unit, |message| message.round += 1);
    assert_ne!(run(&unit, &PLENTY).unwrap(), run(&later, &PLENTY).unwrap());
}

#[test]
fn blobs_must_be_those_the_unit_names() {
    let unit = vector_unit(training(1, 8));
    for (blob, damage) in [
        ("graph", (|u| u.graph[0] ^= 1) as fn(&mut VectorUnit)),
        ("parameters", |u| *u.parameters.last_mut().unwrap() ^= 1),
        ("data", |u| *u.data.last_mut().unwrap() ^= 1),
    ] {
        let mut unit = unit.clone();
        damage(&mut unit);
        assert!(matches!(run(&unit, &PLENTY).unwrap_err(), ComputeError::WrongBlob { blob: b, .. } if b == blob));
    }
}

#[test]
fn a_garbage_graph_is_refused_by_name() {
    let unit = vector_unit(training(1, 8));
    let garbage = b"not a graph at all".to_vec();
    let mut bad = changed(&unit, |message| message.graph = BlobId::of(&garbage).to_vec());
    bad.graph = garbage;
    assert!(matches!(run(&bad, &PLENTY).unwrap_err(), ComputeError::Graph(GraphError::Malformed { .. })));
}

#[test]
fn the_claimed_cost_must_be_the_counted_one() {
    let unit = vector_unit(training(1, 8));
    let more = changed(&unit, |message| message.reference_ops += 1);
    let error = run(&more, &PLENTY).unwrap_err();
    assert!(matches!(error, ComputeError::CostMismatch { what: "reference operations", .. }));
    let less = changed(&unit, |message| message.memory_bytes -= 1);
    assert!(matches!(run(&less, &PLENTY).unwrap_err(), ComputeError::CostMismatch { what: "peak memory", .. }));
}

#[test]
fn the_budget_holds() {
    let unit = vector_unit(training(2, 8));
    let (ops, memory) = (unit.unit.message.reference_ops, unit.unit.message.memory_bytes);
    let blobs = (unit.parameters.len() + unit.data.len()) as u64;
    let enough = Budget { reference_ops: ops, memory_bytes: memory + 2 * blobs };
    assert!(run(&unit, &enough).is_ok());
    let error = run(&unit, &Budget { reference_ops: ops - 1, ..enough }).unwrap_err();
    assert_eq!(error, ComputeError::OverBudget { what: "reference operations", needed: ops, budget: ops - 1 });
    let tight = Budget { memory_bytes: enough.memory_bytes - 1, ..enough };
    assert!(matches!(run(&unit, &tight).unwrap_err(), ComputeError::OverBudget { what: "bytes of memory", .. }));
}

#[test]
fn data_must_fit_the_graph() {
    let unit = vector_unit(training(1, 8));
    let good = Tensors::from_bytes(&unit.data).unwrap();
    let error = |change: &dyn Fn(&mut Tensors)| {
        let mut data = good.clone();
        change(&mut data);
        run(&with_data(&unit, &data), &PLENTY).unwrap_err()
    };
    let missing = error(&|data| drop(data.remove("y")));
    assert_eq!(missing, ComputeError::MissingTensor { name: "y".into() });
    let unknown = error(&|data| data.insert("z", Tensor::zeros([1])));
    assert_eq!(unknown, ComputeError::UnknownTensor { name: "z".into() });
    let shape = error(&|data| data.insert("x", Tensor::zeros([40, 1, 8, 9])));
    assert!(matches!(shape, ComputeError::WrongTensor { name, .. } if name == "x"));
    let rows = error(&|data| data.insert("y", Tensor::i32([39], vec![0; 39])));
    assert!(matches!(rows, ComputeError::WrongTensor { name, .. } if name == "y"));
    let label = error(&|data| data.insert("y", Tensor::i32([40], vec![10; 40])));
    assert_eq!(label, ComputeError::LabelOutOfRange { label: 10, sample: 0, classes: 10 });
    let label = error(&|data| data.insert("y", Tensor::i32([40], vec![-1; 40])));
    assert!(matches!(label, ComputeError::LabelOutOfRange { label: -1, .. }));
}

/// A unit whose graph has one scalar parameter of the given name, given back as an output of that name.
fn unit_with_parameter(name: &str) -> VectorUnit {
    let mut b = GraphBuilder::new();
    let parameter = b.input(name, TensorType::f32([])).unwrap();
    for (input, tensor_type) in [("x", TensorType::f32([8, 1, 8, 8])), ("y", TensorType::i32([8]))] {
        if input != name {
            b.input(input, tensor_type).unwrap();
        }
    }
    b.output(name, parameter);
    let graph = b.finish().unwrap();
    let mut parameters = Tensors::new();
    parameters.insert(name, Tensor::f32([], vec![1.0]));
    let parameters = parameters.to_bytes();
    let mut unit = changed(&vector_unit(Program::Gradient(Gradient { batch: 8 })), |message| {
        message.graph = BlobId::of(graph.bytes()).to_vec();
        message.parameters = BlobId::of(&parameters).to_vec();
        message.reference_ops = graph.reference_ops();
        message.memory_bytes = graph.peak_memory_bytes();
    });
    unit.graph = graph.bytes().to_vec();
    unit.parameters = parameters;
    unit
}

#[test]
fn a_parameter_must_not_have_a_name_that_means_something_else() {
    assert!(run(&unit_with_parameter("weight"), &PLENTY).is_ok());
    for name in ["loss", "x", "y", "learning_rate", "momentum", "velocity.weight"] {
        let error = run(&unit_with_parameter(name), &PLENTY).unwrap_err();
        assert_eq!(error, ComputeError::UnknownTensor { name: name.into() });
    }
}

#[test]
fn a_unit_without_parameters_has_an_empty_output() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([8, 1, 8, 8])).unwrap();
    b.input("y", TensorType::i32([8])).unwrap();
    b.output("loss", x);
    let graph = b.finish().unwrap();
    let parameters = Tensors::new().to_bytes();
    let mut unit = changed(&vector_unit(Program::Gradient(Gradient { batch: 8 })), |message| {
        message.graph = BlobId::of(graph.bytes()).to_vec();
        message.parameters = BlobId::of(&parameters).to_vec();
        message.reference_ops = graph.reference_ops();
        message.memory_bytes = graph.peak_memory_bytes();
    });
    unit.graph = graph.bytes().to_vec();
    unit.parameters = parameters;
    assert_eq!(run(&unit, &PLENTY).unwrap(), Tensors::new().to_bytes());
}

#[test]
fn a_batch_of_another_size_is_refused() {
    let unit = vector_unit(training(1, 8));
    let other = changed(&unit, |message| message.program = Some(training(1, 9)));
    assert_eq!(run(&other, &PLENTY).unwrap_err(), ComputeError::WrongBatch { graph: 8, unit: 9 });
}

#[test]
fn a_graph_for_another_program_is_refused() {
    let gradient = vector_unit(Program::Gradient(Gradient { batch: 8 }));
    let counted = Graph::decode(&gradient.graph).unwrap().reference_ops();
    let wrong = changed(&gradient, |message| {
        message.class = Class::Exact as i32;
        message.program = Some(training(1, 8));
        message.reference_ops = counted;
    });
    assert!(matches!(run(&wrong, &PLENTY).unwrap_err(), ComputeError::UnknownTensor { .. }));
}

#[test]
fn a_result_that_is_not_finite_fails_the_unit() {
    let unit = vector_unit(training(1, 8));
    let mut data = Tensors::from_bytes(&unit.data).unwrap();
    let mut x = data.get("x").unwrap().as_f32().unwrap().to_vec();
    x.iter_mut().for_each(|x| *x = 3e38);
    data.insert("x", Tensor::f32([40, 1, 8, 8], x));
    assert!(matches!(run(&with_data(&unit, &data), &PLENTY).unwrap_err(), ComputeError::NonFinite { .. }));
}

#[test]
fn the_tolerance_lets_rounding_pass_and_nothing_larger() {
    let unit = vector_unit(Program::Gradient(Gradient { batch: 24 }));
    let bound = tolerance::bound(&Graph::decode(&unit.graph).unwrap());
    assert!(bound > 1e-6 && bound < 1e-3, "{bound:e}");
    let reference = Tensors::from_bytes(&run(&unit, &PLENTY).unwrap()).unwrap();
    let scaled = |change: &dyn Fn(&str, usize, f32) -> f32| -> Tensors {
        let each = reference.iter().map(|(name, tensor)| {
            let data = tensor.as_f32().unwrap().iter().enumerate().map(|(i, x)| change(name, i, *x)).collect();
            (name.to_owned(), Tensor::f32(tensor.shape(), data))
        });
        each.collect()
    };
    let within = |got: &Tensors| tolerance::compare_tolerant(got, &reference, bound).unwrap().is_within();
    assert!(within(&reference));
    assert!(within(&scaled(&|_, i, x| x * (1.0 + 1e-6 * (i % 3) as f32))), "rounding passes");
    assert!(!within(&scaled(&|_, _, x| -x)), "a flipped sign does not");
    assert!(!within(&scaled(&|_, _, _| 0.0)), "zeros do not");
    assert!(!within(&scaled(&|_, _, x| x * 1.01)), "a scaled gradient does not");
    assert!(!within(&scaled(&|name, _, x| if name == "layer6.bias" { x * 1.01 } else { x })), "nor a small part of it");
    let mut missing = reference.clone();
    missing.remove("layer0.bias");
    assert!(tolerance::compare_tolerant(&missing, &reference, bound).is_err());
    let nan = scaled(&|_, i, x| if i == 0 { f32::NAN } else { x });
    assert!(matches!(tolerance::compare_tolerant(&nan, &reference, bound), Err(ComputeError::NonFinite { .. })));
}

/// The same gradient with its sums in another order: the batch reversed. What an honest GPU does differently is of this
/// kind, and it must pass, with untrained parameters and after training, where gradients of samples nearly cancel.
#[test]
fn the_tolerance_lets_another_order_of_summation_pass() {
    let model = vectors::model();
    let graph = programs::gradient(&model, 40).unwrap();
    let bound = tolerance::bound(&graph);
    let unit = vector_unit(training(120, 16));
    let data = Tensors::from_bytes(&unit.data).unwrap();
    let (x, y) = (data.get("x").unwrap().as_f32().unwrap(), data.get("y").unwrap().as_i32().unwrap());
    let reversed: Vec<f32> = x.chunks(64).rev().flatten().copied().collect();
    let before = Tensors::from_bytes(&unit.parameters).unwrap();
    let after = Tensors::from_bytes(&run(&unit, &PLENTY).unwrap()).unwrap();
    for parameters in [before, after] {
        let gradient = |x: Vec<f32>, y: Vec<i32>| {
            let mut inputs = parameters.clone();
            inputs.insert("x", Tensor::f32([40, 1, 8, 8], x));
            inputs.insert("y", Tensor::i32([40], y));
            let mut outputs = CpuBackend::new().run_now(&graph, inputs).unwrap();
            let loss = outputs.remove("loss").unwrap().as_f32().unwrap()[0];
            (outputs, loss)
        };
        let (forwards, loss) = gradient(x.to_vec(), y.to_vec());
        let (backwards, _) = gradient(reversed.clone(), y.iter().rev().copied().collect());
        let comparison = tolerance::compare_tolerant(&backwards, &forwards, bound).unwrap();
        println!("loss {loss}: {comparison:?}");
        assert!(comparison.distance > 0.0 && comparison.is_within(), "loss {loss}: {comparison:?}");
    }
}

#[test]
fn evaluation_counts_right_labels() {
    let model = vectors::model();
    let unit = vector_unit(training(1, 8));
    let (parameters, data) = (Tensors::from_bytes(&unit.parameters).unwrap(), Tensors::from_bytes(&unit.data).unwrap());
    let graph = programs::inference(&model, 40).unwrap();
    let mut inputs = parameters.clone();
    inputs.insert("x", data.get("x").unwrap().clone());
    let logits = CpuBackend::new().run_now(&graph, inputs).unwrap().remove("logits").unwrap();
    let greatest = |row: &[f32]| (0..10).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as i32;
    let mut labels: Vec<i32> = logits.as_f32().unwrap().chunks(10).map(greatest).collect();
    labels[3] = (labels[3] + 1) % 10;
    let mut data = data;
    data.insert("y", Tensor::i32([40], labels));
    let result = evaluate::evaluate(&model, &parameters, &data).unwrap();
    assert_eq!((result.correct, result.total), (39, 40));
}

#[test]
fn tensors_survive_their_bytes_and_garbage_is_refused() {
    let mut tensors = Tensors::new();
    tensors.insert("b", Tensor::f32([2, 2], vec![1.0, -0.0, 1e-40, 3.5]));
    tensors.insert("a", Tensor::i32([3], vec![-1, 0, 7]));
    tensors.insert("s", Tensor::f32([], vec![2.0]));
    let bytes = tensors.to_bytes();
    assert_eq!(Tensors::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    for bad in [&bytes[..bytes.len() - 1], &bytes[..7], b"\xff\xff\xff\xff\xff\xff\xff\xff{}"] {
        assert!(matches!(Tensors::from_bytes(bad).unwrap_err(), ComputeError::BadTensors { .. }));
    }
}

proptest::proptest! {
    #[test]
    fn garbage_tensors_never_panic(
        header in "\\{(\"[a-z]\":\\{\"dtype\":\"(F32|I32|F64|BOOL|F4)\",\"shape\":\\[[0-9,]{0,12}\\],\"data_offsets\":\\[[0-9],[0-9]{1,3}\\]\\})?\\}",
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
    ) {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(body);
        let _ = Tensors::from_bytes(&bytes);
    }
}

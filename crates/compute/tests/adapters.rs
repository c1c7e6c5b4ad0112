//! Low-rank adapters on the exact backend: where they start, and that training them alone learns.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use shoal_compute::{CpuBackend, Executable, Tensor, Tensors, init::initial_adapters, seed::job_seed};
use shoal_graph::{Graph, GraphBuilder, TensorType, Unary, lora::Lora, programs};
use shoal_reference::Numbers;

const LORA: Lora<'static> = Lora { weights: &["first", "last"], rank: 4, alpha: 8.0 };

fn net() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([32, 16])).unwrap();
    let labels = b.input("labels", TensorType::i32([32])).unwrap();
    let (first, last) = (b.input("first", TensorType::f32([24, 16])), b.input("last", TensorType::f32([24, 5])));
    let hidden = b.dense(x, first.unwrap(), None).unwrap();
    let hidden = b.unary(Unary::Tanh, hidden).unwrap();
    let logits = b.mat_mul(hidden, last.unwrap(), false, false).unwrap();
    let loss = b.cross_entropy(logits, labels).unwrap();
    b.output("logits", logits);
    b.output("entropy", loss);
    b.finish().unwrap()
}

fn inputs(graph: &Graph) -> Tensors {
    let mut numbers = Numbers(9);
    let mut tensor = |name: &str| {
        let of = graph.input_type(name).unwrap();
        Tensor::f32(of.shape.clone(), numbers.take(of.elements() as usize).into_iter().map(|x| x as f32).collect())
    };
    let mut made: Tensors = ["x", "first", "last"].map(|name| (name.to_owned(), tensor(name))).into_iter().collect();
    made.insert("labels", Tensor::i32([32], (0..32).map(|i| i % 5).collect()));
    made
}

fn with(mut tensors: Tensors, more: &Tensors) -> Tensors {
    more.iter().for_each(|(name, tensor)| tensors.insert(name, tensor.clone()));
    tensors
}

#[test]
fn a_is_random_within_its_bound_and_b_is_zero() {
    let graph = net();
    let adapters = LORA.adapters(&graph).unwrap();
    let made = initial_adapters(&adapters, job_seed(1, "adapters"));
    assert_eq!(made, initial_adapters(&adapters, job_seed(1, "adapters")), "the seed decides");
    for adapter in &adapters {
        let (a, b) = (made.get(&adapter.a).unwrap(), made.get(&adapter.b).unwrap());
        assert_eq!((a.shape(), b.shape()), (&adapter.a_shape()[..], &adapter.b_shape()[..]));
        let bound = (1.0 / adapter.inputs as f32).sqrt();
        let greatest = a.as_f32().unwrap().iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
        assert!(greatest <= bound && greatest > 0.8 * bound, "{greatest} of {bound}");
        assert!(b.as_f32().unwrap().iter().all(|x| *x == 0.0));
    }
    let start = CpuBackend::new().run_now(&LORA.adapt(&graph).unwrap(), with(inputs(&graph), &made)).unwrap();
    assert_eq!(start, CpuBackend::new().run_now(&graph, inputs(&graph)).unwrap());
}

#[test]
fn training_adapters_alone_learns_with_held_weights() {
    let graph = net();
    let mut step = Executable::new(LORA.training_step(&graph, "entropy").unwrap());
    step.hold(inputs(&graph)).unwrap();
    let adapters = initial_adapters(&LORA.adapters(&graph).unwrap(), job_seed(2, "adapters"));
    let mut state = adapters.clone();
    for (name, tensor) in adapters.iter() {
        state.insert(format!("{}{name}", programs::VELOCITY_PREFIX), Tensor::zeros(tensor.shape()));
    }
    let mut losses = Vec::new();
    for _ in 0..100 {
        state.insert(programs::LEARNING_RATE, Tensor::f32([], vec![0.05]));
        state.insert(programs::MOMENTUM, Tensor::f32([], vec![0.9]));
        state = step.run(state).unwrap();
        losses.push(state.remove(programs::LOSS).unwrap().as_f32().unwrap()[0]);
    }
    println!("loss {} became {}", losses[0], losses[99]);
    assert!(losses[99] < 0.5 * losses[0]);
    let learnt: Tensors = state.into_iter().filter(|(name, _)| !name.starts_with(programs::VELOCITY_PREFIX)).collect();
    let adapted = LORA.adapt(&graph).unwrap();
    let adapted = CpuBackend::new().run_now(&adapted, with(inputs(&graph), &learnt)).unwrap();
    let weights: Tensors =
        inputs(&graph).into_iter().filter(|(name, _)| LORA.weights.contains(&name.as_str())).collect();
    let merged = CpuBackend::new().run_now(&LORA.merge(&graph).unwrap(), with(weights, &learnt)).unwrap();
    let plain = CpuBackend::new().run_now(&graph, with(inputs(&graph), &merged)).unwrap();
    let loss = |made: &Tensors| made.get("entropy").unwrap().as_f32().unwrap()[0];
    assert!((loss(&plain) - loss(&adapted)).abs() <= 1e-5, "{} and {}", loss(&plain), loss(&adapted));
}

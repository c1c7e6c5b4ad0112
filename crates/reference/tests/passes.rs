//! Rewrites keep every output's bits; what they are for, they do.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
#[path = "jax/nets.rs"]
mod nets;

use shoal_graph::{
    Binary, DType, Graph, GraphBuilder, GraphError, Literal, Op, Reduction, TensorType, Unary, ValueId,
    passes::{drop_dead, fold_constants, merge_common, recompute, simplify},
};
use shoal_reference::{Numbers, Reals, random_inputs, run};

fn bits(reals: &Reals) -> Vec<(&String, Vec<u64>)> {
    let all_nan_are_one = |x: &f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
    reals.iter().map(|(name, data)| (name, data.iter().map(all_nan_are_one).collect())).collect()
}

#[track_caller]
fn same(a: &Graph, b: &Graph, inputs: &Reals) {
    assert_eq!(bits(&run(a, inputs).unwrap()), bits(&run(b, inputs).unwrap()));
    assert_eq!(a.inputs().len(), b.inputs().len());
}

/// A random graph of floats, whole numbers and constants, where much is dead, equal or constant.
fn random(seed: u64) -> Graph {
    const SHAPES: [&[u32]; 5] = [&[], &[3], &[2, 1], &[2, 3], &[1, 3]];
    let mut numbers = Numbers(seed);
    let mut b = GraphBuilder::new();
    let mut values: Vec<ValueId> = Vec::new();
    for (i, shape) in SHAPES.into_iter().enumerate() {
        values.push(b.input(format!("f{i}"), TensorType::f32(shape)).unwrap());
        values.push(b.input(format!("i{i}"), TensorType::i32(shape)).unwrap());
        let len = shape.iter().product::<u32>();
        let whole: Vec<i32> = (0..len).map(|_| numbers.whole(0, 9) as i32 - 4).collect();
        values.push(b.apply(Op::Constant(Literal::i32(shape, &whole)), &[]).unwrap());
        let reals: Vec<f32> = numbers.take(len as usize).into_iter().map(|x| x as f32).collect();
        values.push(b.apply(Op::Constant(Literal::f32(shape, &reals)), &[]).unwrap());
    }
    values.push(b.apply(Op::Iota { axis: 1, shape: vec![2, 3] }, &[]).unwrap());
    while values.len() < 60 {
        let mut pick = || values[numbers.whole(0, values.len() as u32 - 1) as usize];
        let (x, y, z) = (pick(), pick(), pick());
        let shape = b.shape(x).to_vec();
        let rank = shape.len();
        let made = match numbers.whole(0, 8) {
            0..=2 => b.apply(Op::Binary(Binary::ALL[numbers.whole(0, 12) as usize]), &[x, y]),
            3 => b.apply(Op::Unary([Unary::Neg, Unary::Abs, Unary::Sign][numbers.whole(0, 2) as usize]), &[x]),
            4 => b.apply(Op::Where, &[x, y, z]),
            5 => b.apply(Op::Transpose { axes: (0..rank as u32).rev().collect() }, &[x]),
            6 if rank > 0 => {
                let starts = shape.iter().map(|dim| dim - 1).collect();
                b.apply(Op::Slice { starts, steps: vec![-1; rank], shape }, &[x])
            }
            7 if rank > 0 => b.apply(Op::Reduce { reduction: Reduction::Sum, axes: vec![0] }, &[x]),
            _ => b.apply(Op::Broadcast { shape: vec![2, 2, 3] }, &[x]),
        };
        // What does not go together is not added.
        values.extend(made);
    }
    for value in values.iter().rev().take(6) {
        b.output(format!("v{}", value.index()), *value);
    }
    b.finish().unwrap()
}

#[test]
fn random_graphs_keep_their_outputs() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..300 {
        let graph = random(seed);
        let inputs = random_inputs(&graph, seed, 5);
        for pass in [drop_dead, merge_common, fold_constants, simplify] {
            same(&graph, &pass(&graph).unwrap(), &inputs);
        }
        before += graph.nodes().len();
        after += simplify(&graph).unwrap().nodes().len();
    }
    println!("{before} nodes became {after}");
    assert!(after * 2 < before, "{before} nodes became {after}");
}

#[test]
fn what_is_dead_equal_or_constant_goes() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([3])).unwrap();
    b.input("unused", TensorType::f32([3])).unwrap();
    let dead = b.unary(Unary::Exp, x).unwrap();
    b.unary(Unary::Log, dead).unwrap();
    let [a, c] = [0; 2].map(|_| b.scale(x, 2.0).unwrap());
    let sum = b.add(a, c).unwrap();
    let iota = b.apply(Op::Iota { axis: 0, shape: vec![3] }, &[]).unwrap();
    let one = b.apply(Op::Constant(Literal::integer(1)), &[]).unwrap();
    let mask = b.binary(Binary::Less, iota, one).unwrap();
    let y = b.select(mask, sum, x).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let simple = simplify(&graph).unwrap();
    // 2, 2·x, their sum, the mask, the choice.
    assert_eq!(simple.nodes().len(), 5);
    assert_eq!(simple.inputs(), graph.inputs());
    same(&graph, &simple, &random_inputs(&graph, 1, 2));
}

/// A sum of floats is the backend's: its order is part of `exact/1`.
#[test]
fn floats_are_moved_and_never_computed() {
    let mut b = GraphBuilder::new();
    let [x, y] = [0.1, 0.2].map(|x| b.scalar(x).unwrap());
    let sum = b.add(x, y).unwrap();
    let wide = b.broadcast(sum, &[2]).unwrap();
    b.output("y", wide);
    let simple = simplify(&b.finish().unwrap()).unwrap();
    assert!(simple.nodes().iter().any(|node| node.op == Op::Binary(Binary::Add)));
}

#[test]
fn nets_are_simplified_without_a_changed_bit() {
    for (name, case) in nets::cases() {
        let simple = simplify(&case.graph).unwrap();
        println!("{name}: {} nodes became {}", case.graph.nodes().len(), simple.nodes().len());
        assert!(simple.nodes().len() <= case.graph.nodes().len(), "{name}");
        assert!(simple.reference_ops() <= case.graph.reference_ops(), "{name}");
        same(&case.graph, &simple, &case.draw(3));
    }
}

/// The gradient of twenty layers of width 32 over 64 samples.
fn deep() -> Graph {
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", TensorType::f32([64, 32])).unwrap();
    let weights: Vec<ValueId> = (0..20).map(|i| b.input(format!("w{i}"), TensorType::f32([32, 32])).unwrap()).collect();
    for weight in &weights {
        x = b.dense(x, *weight, None).unwrap();
        x = b.gelu(x).unwrap();
    }
    let loss = b.mean_of_all(x).unwrap();
    let all = shoal_graph::autodiff::gradients(&mut b, loss, &weights).unwrap();
    b.output("loss", loss);
    for (i, gradient) in all.into_iter().enumerate() {
        b.output(format!("g{i}"), gradient);
    }
    b.finish().unwrap()
}

#[test]
fn memory_is_bought_with_work_until_it_cannot_be() {
    let graph = deep();
    let inputs = random_inputs(&graph, 7, 1);
    let mut work = graph.reference_ops();
    for share in [100, 80, 60, 50, 40] {
        let budget = graph.peak_memory_bytes() * share / 100;
        let rewritten = recompute(&graph, "loss", budget).unwrap();
        println!(
            "{} KiB of {}: operations {:.2} times",
            rewritten.peak_memory_bytes() >> 10,
            graph.peak_memory_bytes() >> 10,
            rewritten.reference_ops() as f64 / graph.reference_ops() as f64
        );
        assert!(rewritten.peak_memory_bytes() <= budget);
        assert!(rewritten.reference_ops() >= work && rewritten.reference_ops() < 2 * graph.reference_ops());
        work = rewritten.reference_ops();
        same(&graph, &rewritten, &inputs);
    }
    let Err(GraphError::TooLarge { found, limit: 1, .. }) = recompute(&graph, "loss", 1) else {
        panic!("a byte cannot be enough")
    };
    let least = recompute(&graph, "loss", found).unwrap();
    assert_eq!(least.peak_memory_bytes(), found);
    assert!(matches!(recompute(&graph, "loss", found - 1), Err(GraphError::TooLarge { .. })));
    assert!(matches!(recompute(&graph, "lost", found), Err(GraphError::BadName { .. })));
}

#[test]
fn nets_hold_less_without_a_changed_bit() {
    for (name, case) in nets::cases() {
        let Err(GraphError::TooLarge { found, .. }) = recompute(&case.graph, "loss", 1) else { panic!("{name}") };
        let least = recompute(&case.graph, "loss", found).unwrap();
        println!("{name}: {found} bytes of {}", case.graph.peak_memory_bytes());
        same(&case.graph, &least, &case.draw(4));
    }
}

#[test]
fn whole_numbers_wrap_as_they_do_in_a_run() {
    let extreme = [i32::MIN, -7, -1, 0, 1, 7, i32::MAX];
    let mut b = GraphBuilder::new();
    let left = b.apply(Op::Constant(Literal::i32([7, 1], &extreme)), &[]).unwrap();
    let right = b.apply(Op::Constant(Literal::i32([7], &extreme)), &[]).unwrap();
    for binary in Binary::ALL.into_iter().filter(|binary| binary.takes(DType::I32)) {
        let made = b.binary(binary, left, right).unwrap();
        b.output(binary.name(), made);
    }
    for unary in Unary::ALL.into_iter().filter(|unary| unary.takes_i32()) {
        let made = b.unary(unary, left).unwrap();
        b.output(unary.name(), made);
    }
    let graph = b.finish().unwrap();
    let folded = simplify(&graph).unwrap();
    assert!(folded.nodes().iter().all(|node| matches!(node.op, Op::Constant(_))));
    same(&graph, &folded, &Reals::new());
}

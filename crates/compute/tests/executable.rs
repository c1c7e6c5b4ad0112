//! Plans change no bit: whatever is fused, held or used again, a graph makes what its operations make one by one.

use shoal_compute::{ComputeError, Data, Executable, Tensor, Tensors};
use shoal_graph::{Binary, DType, Graph, GraphBuilder, Op, Reduction, TensorType, Unary, ValueId, Window2d};

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn tensor(&mut self, tensor_type: &TensorType) -> Tensor {
        let len = tensor_type.elements() as usize;
        let data = match tensor_type.dtype {
            DType::I32 => Data::I32((0..len).map(|_| self.below(5) as i32 - 2).collect()),
            _ => Data::F32((0..len).map(|_| self.next() as f32 / 1e9 - 1.0).collect()),
        };
        Tensor::new(tensor_type.shape.clone(), data)
    }

    fn inputs(&mut self, graph: &Graph) -> Tensors {
        graph.inputs().iter().map(|(name, value)| (name.clone(), self.tensor(graph.value_type(*value)))).collect()
    }
}

/// A random graph of operations that are fused and some that are not, over a few shapes that broadcast.
fn random(numbers: &mut Numbers) -> (GraphBuilder, Vec<ValueId>) {
    // The largest has more elements than one block of a loop, and does not end with one.
    const SHAPES: [&[u32]; 6] = [&[], &[70], &[5, 1], &[5, 70], &[3, 5, 70], &[3, 1, 1]];
    let mut b = GraphBuilder::new();
    let mut values: Vec<ValueId> = (0..8)
        .map(|i| {
            let dtype = if i < 6 { DType::F32 } else { DType::I32 };
            b.input(format!("in{i}"), TensorType::new(dtype, SHAPES[i % SHAPES.len()])).unwrap()
        })
        .collect();
    while values.len() < 40 {
        let pick = |numbers: &mut Numbers| values[numbers.below(values.len())];
        let (x, y, z) = (pick(numbers), pick(numbers), pick(numbers));
        let rank = b.shape(x).len();
        let made = match numbers.below(10) {
            0..=4 => b.apply(Op::Binary(Binary::ALL[numbers.below(13)]), &[x, y]),
            5 => b.apply(Op::Unary([Unary::Neg, Unary::Abs, Unary::Relu, Unary::Sqrt][numbers.below(4)]), &[x]),
            6 => b.apply(Op::Where, &[x, y, z]),
            7 => b.apply(Op::Broadcast { shape: vec![3, 5, 70] }, &[x]),
            8 if rank > 0 => {
                b.apply(Op::Reduce { reduction: Reduction::Sum, axes: vec![numbers.below(rank) as u32] }, &[x])
            }
            _ => {
                let shape = b.shape(x).iter().rev().copied().collect();
                b.apply(Op::Reshape { shape }, &[x])
            }
        };
        // What does not go together is not added.
        values.extend(made);
    }
    (b, values)
}

/// Bits of the elements; all NaNs are one, because theirs never matter.
fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.data() {
        Data::F32(x) => x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect(),
        Data::I32(x) => x.iter().map(|x| x.cast_unsigned()).collect(),
        other => panic!("{:?} is not among the values", other.dtype()),
    }
}

/// Loops run in blocks of 512 elements.
#[test]
fn constants_of_a_loop_stay_from_block_to_block() {
    const WIDTH: u32 = 512;
    let rows = |rows: u32, x: Vec<f32>, bias: Vec<f32>| {
        let mut b = GraphBuilder::new();
        let (x_in, bias_in) =
            (b.input("x", TensorType::f32([rows, WIDTH])).unwrap(), b.input("bias", TensorType::f32([WIDTH])).unwrap());
        let sum = b.add(x_in, bias_in).unwrap();
        let y = b.gelu_tanh(sum).unwrap();
        b.output("y", y);
        let (x, bias) = (Tensor::f32([rows, WIDTH], x), Tensor::f32([WIDTH], bias));
        let inputs = Tensors::from_iter([("x".to_owned(), x), ("bias".to_owned(), bias)]);
        let made = Executable::new(b.finish().unwrap()).run(inputs).unwrap();
        made.get("y").and_then(Tensor::as_f32).unwrap().to_vec()
    };
    let mut numbers = Numbers(7);
    let mut floats = |len: u32| -> Vec<f32> { (0..len).map(|_| numbers.next() as f32 / 1e9 - 1.0).collect() };
    let (x, bias) = (floats(3 * WIDTH), floats(WIDTH));
    let one_by_one: Vec<f32> = x.chunks(WIDTH as usize).flat_map(|row| rows(1, row.to_vec(), bias.clone())).collect();
    assert_eq!(rows(3, x, bias), one_by_one);
}

#[test]
fn what_is_fused_makes_what_single_operations_make() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let (mut b, values) = random(&mut numbers);
        // One graph gives everything away, so that hardly anything stays inside a loop; the other its last value alone.
        let mut all = random(&mut Numbers(seed)).0;
        for (i, value) in values.iter().enumerate() {
            all.output(format!("v{i}"), *value);
        }
        let last = values.len() - 1;
        b.output("last", values[last]);
        b.output("again", values[last]);
        let (few, all) = (b.finish().unwrap(), all.finish().unwrap());
        let inputs = numbers.inputs(&few);
        let expected = single_steps(&all, &inputs);
        let everything = Executable::new(all).run(inputs.clone()).unwrap();
        for (i, expected) in expected.iter().enumerate() {
            let got = everything.get(&format!("v{i}")).unwrap();
            assert_eq!(bits(got), bits(expected), "seed {seed}, value {i}");
        }
        let mut executable = Executable::new(few);
        for run in 0..2 {
            let made = executable.run(inputs.clone()).unwrap();
            assert_eq!(bits(made.get("last").unwrap()), bits(&expected[last]), "seed {seed}, run {run}");
            assert_eq!(bits(made.get("again").unwrap()), bits(&expected[last]), "seed {seed}, run {run}");
            executable.recycle(made);
        }
    }
}

/// Every value of a graph, each node run as a graph of its own.
fn single_steps(graph: &Graph, inputs: &Tensors) -> Vec<Tensor> {
    let mut made: Vec<Option<Tensor>> = vec![None; graph.types().len()];
    for (name, value) in graph.inputs() {
        made[value.index()] = inputs.get(name).cloned();
    }
    for node in graph.nodes() {
        let (mut b, mut given) = (GraphBuilder::new(), Tensors::new());
        let operands: Vec<ValueId> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                given.insert(format!("{i}"), made[input.index()].clone().unwrap());
                b.input(format!("{i}"), graph.value_type(*input).clone()).unwrap()
            })
            .collect();
        let result = b.apply(node.op.clone(), &operands).unwrap();
        b.output("result", result);
        let mut results = Executable::new(b.finish().unwrap()).run(given).unwrap();
        made[node.output.index()] = results.remove("result");
    }
    graph.outputs().iter().map(|(_, value)| made[value.index()].clone().unwrap()).collect()
}

fn attention(rows: u32, keys: u32, is_causal: bool) -> Graph {
    let mut b = GraphBuilder::new();
    let mut input = |name: &str, rows: u32| b.input(name, TensorType::f32([2, 3, rows, 20])).unwrap();
    let (q, k, v) = (input("q", rows), input("k", keys), input("v", keys));
    let y = b.attention(q, k, v, 0.3, is_causal).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

#[test]
fn attention_by_blocks_of_rows_makes_what_whole_matrices_make() {
    for (rows, keys, is_causal) in [(1, 1, false), (1, 700, true), (70, 70, true), (130, 257, false), (33, 1500, true)]
    {
        let graph = attention(rows, keys, is_causal);
        let inputs = Numbers(7).inputs(&graph);
        let mut executable = Executable::new(graph.clone());
        assert!(format!("{executable:?}").contains("Attention"), "{rows} × {keys}: the pattern is found");
        let expected = single_steps(&graph, &inputs).remove(0);
        for _ in 0..2 {
            let made = executable.run(inputs.clone()).unwrap();
            assert_eq!(bits(made.get("y").unwrap()), bits(&expected), "{rows} × {keys}");
        }
    }
}

#[test]
fn a_convolution_with_its_bias_makes_what_both_make() {
    for with_relu in [false, true] {
        let mut b = GraphBuilder::new();
        let mut input = |name: &str, shape: &[u32]| b.input(name, TensorType::f32(shape)).unwrap();
        let (x, weight, bias) = (input("x", &[2, 6, 9, 11]), input("weight", &[8, 3, 3, 3]), input("bias", &[8]));
        let y = b.conv2d(x, weight, Some(bias), Window2d::square(2, 1), 2).unwrap();
        let y = if with_relu { b.unary(Unary::Relu, y).unwrap() } else { y };
        b.output("y", y);
        let graph = b.finish().unwrap();
        let inputs = Numbers(9).inputs(&graph);
        let mut executable = Executable::new(graph.clone());
        assert!(format!("{executable:?}").contains("Convolution"), "the pair is found");
        let made = executable.run(inputs.clone()).unwrap();
        assert_eq!(bits(made.get("y").unwrap()), bits(&single_steps(&graph, &inputs)[0]));
    }
}

fn dense() -> Graph {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([3, 70])).unwrap();
    let weight = b.input("weight", TensorType::f32([33, 70])).unwrap();
    let bias = b.input("bias", TensorType::f32([33])).unwrap();
    let y = b.dense(x, weight, Some(bias)).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

/// x·tanh(softplus x): numbers that are loaded once are read in every block.
#[test]
fn numbers_outlive_the_first_block() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([2000])).unwrap();
    let softplus = b.softplus(x).unwrap();
    let tanh = b.unary(Unary::Tanh, softplus).unwrap();
    let y = b.mul(x, tanh).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let given = Numbers(3).inputs(&graph);
    let expected = single_steps(&graph, &given);
    let made = Executable::new(graph).run(given).unwrap();
    assert_eq!(made.get("y"), Some(&expected[0]));
}

#[test]
fn held_weights_change_no_bit_and_may_be_replaced() {
    let graph = dense();
    let mut numbers = Numbers(1);
    let mut executable = Executable::new(graph.clone());
    for _ in 0..3 {
        let mut inputs = numbers.inputs(&graph);
        let expected = Executable::new(graph.clone()).run(inputs.clone()).unwrap();
        let mut weights = Tensors::new();
        for name in ["weight", "bias"] {
            weights.insert(name, inputs.remove(name).unwrap());
        }
        executable.hold(weights).unwrap();
        for _ in 0..2 {
            assert_eq!(executable.run(inputs.clone()).unwrap(), expected);
        }
    }
}

#[test]
fn held_tensors_must_fit() {
    let mut executable = Executable::new(dense());
    let one = |name: &str, shape: [u32; 1]| [(name.to_owned(), Tensor::zeros(shape))].into_iter().collect();
    assert!(matches!(executable.hold(one("bias", [32])), Err(ComputeError::WrongTensor { .. })));
    assert!(matches!(executable.hold(one("b", [33])), Err(ComputeError::UnknownTensor { .. })));
    executable.hold(one("bias", [33])).unwrap();
    // What is held is not given as well.
    let mut inputs = Numbers(2).inputs(executable.graph());
    assert!(matches!(executable.run(inputs.clone()), Err(ComputeError::UnknownTensor { .. })));
    inputs.remove("bias");
    executable.run(inputs).unwrap();
}

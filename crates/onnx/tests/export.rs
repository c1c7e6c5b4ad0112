//! Graphs that are written and read again compute the same; ONNX's checker and onnxruntime agree (`export.py`).

mod common;

use std::{collections::BTreeMap, fs, process::Command};

use bytes::Bytes;
use shoal_compute::{Data, Tensor, Tensors};
use shoal_graph::{
    Axis2d, Binary, DType, Graph, GraphBuilder, Literal, Op, Reduction, TensorType, Unary, ValueId, Window2d,
};
use shoal_onnx::{Model, OnnxError, Sizes, Weight, export, read_safetensors, write_safetensors};

struct Case {
    name: String,
    graph: Graph,
}

/// A graph of one operation; inputs are named by their index.
fn case(name: &str, types: &[TensorType], make: impl FnOnce(&mut GraphBuilder, &[ValueId]) -> ValueId) -> Case {
    let mut b = GraphBuilder::new();
    let inputs: Vec<ValueId> =
        types.iter().enumerate().map(|(at, own)| b.input(format!("x{at}"), own.clone()).unwrap()).collect();
    let made = make(&mut b, &inputs);
    b.output("y", made);
    Case { name: name.into(), graph: b.finish().unwrap() }
}

fn op(name: &str, types: &[TensorType], op: Op) -> Case {
    case(name, types, |b, inputs| b.apply(op, inputs).unwrap())
}

fn f(shape: &[u32]) -> TensorType {
    TensorType::f32(shape)
}

fn b8(shape: &[u32]) -> TensorType {
    TensorType::new(DType::I8, shape)
}

fn i(shape: &[u32]) -> TensorType {
    TensorType::i32(shape)
}

/// Every operation that inference uses, more than once where it has parameters.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for unary in Unary::ALL {
        cases.push(op(unary.name(), &[f(&[3, 5])], Op::Unary(unary)));
        if unary.takes_i32() {
            cases.push(op(&format!("{}_i32", unary.name()), &[i(&[3, 5])], Op::Unary(unary)));
        }
    }
    for binary in Binary::ALL {
        for (dtype, suffix) in [(DType::F32, ""), (DType::I32, "_i32")] {
            if binary.takes(dtype) {
                let types = [TensorType::new(dtype, [4, 1]), TensorType::new(dtype, [2, 1, 3])];
                cases.push(op(&format!("{}{suffix}", binary.name()), &types, Op::Binary(binary)));
            }
        }
    }
    let window = Window2d {
        height: Axis2d { stride: 2, dilation: 1, low: 1, high: 0 },
        width: Axis2d { stride: 1, dilation: 2, low: 2, high: 3 },
    };
    let wide = Window2d { width: Axis2d { stride: 3, dilation: 2, low: 3, high: 3 }, ..Window2d::square(2, 1) };
    let image = [f(&[2, 4, 7, 9])];
    let slice = Op::Slice { starts: vec![4, 1, 0], steps: vec![-2, 3, 1], shape: vec![3, 2, 2] };
    let pad = |value| Op::Pad { low: vec![1, 0], high: vec![0, 2], interior: vec![0, 3], value };
    cases.extend([
        op("constant", &[], Op::Constant(Literal::f32([2, 2], &[1.0, -0.5, f32::INFINITY, 3.0]))),
        op("iota", &[], Op::Iota { axis: 1, shape: vec![2, 5, 3] }),
        op("where", &[i(&[3, 1]), f(&[3, 4]), f(&[4])], Op::Where),
        op("cast_f32_i32", &[f(&[6])], Op::Cast { to: DType::I32 }),
        op("cast_i32_f32", &[i(&[6])], Op::Cast { to: DType::F32 }),
        op("cast_u8", &[TensorType::new(DType::U8, [6])], Op::Cast { to: DType::I32 }),
        op("reshape", &[f(&[2, 6])], Op::Reshape { shape: vec![3, 1, 4] }),
        op("transpose", &[f(&[2, 3, 4])], Op::Transpose { axes: vec![2, 0, 1] }),
        op("broadcast", &[f(&[3, 1])], Op::Broadcast { shape: vec![2, 3, 4] }),
        op("slice", &[f(&[5, 6, 2])], slice),
        op("pad", &[f(&[3, 4])], pad(1.5)),
        op("pad_i32", &[i(&[3, 4])], pad(2.0)),
        op("concat", &[f(&[2, 1]), f(&[2, 3])], Op::Concat { axis: 1 }),
        op("gather", &[f(&[2, 5, 3]), i(&[2, 2])], Op::Gather { axis: 1 }),
        op("scatter_add", &[f(&[2, 2, 3, 4]), i(&[2, 3])], Op::ScatterAdd { axis: 1, size: 6 }),
        op("arg_max", &[f(&[3, 5])], Op::ArgMax { axis: 1 }),
        op("mat_mul", &[f(&[2, 3, 4]), f(&[2, 4, 5])], Op::MatMul { trans_a: false, trans_b: false }),
        op("mat_mul_transposed", &[f(&[4, 3]), f(&[5, 4])], Op::MatMul { trans_a: true, trans_b: true }),
        op(
            "mat_mul_integer",
            &[TensorType::new(DType::U8, [3, 4]), TensorType::new(DType::I8, [5, 4])],
            Op::MatMulInteger { trans_b: true },
        ),
        op("conv2d", &[image[0].clone(), f(&[6, 2, 3, 2])], Op::Conv2d { window, groups: 2 }),
        op(
            "conv2d_grad_input",
            &[f(&[6, 2, 3, 2]), f(&[2, 6, 3, 12])],
            Op::Conv2dGradInput { window, groups: 2, height: 7, width: 9 },
        ),
        op("max_pool2d", &image, Op::MaxPool2d { window, kernel_height: 3, kernel_width: 2 }),
        op("max_pool2d_wide", &image, Op::MaxPool2d { window: wide, kernel_height: 2, kernel_width: 3 }),
        op("sum_pool2d", &image, Op::SumPool2d { window, kernel_height: 3, kernel_width: 2 }),
        op("sum_pool2d_wide", &image, Op::SumPool2d { window: wide, kernel_height: 2, kernel_width: 3 }),
        op("softmax", &[f(&[3, 5])], Op::Softmax),
        op("softmax_cross_entropy", &[f(&[4, 3]), i(&[4])], Op::SoftmaxCrossEntropy),
        case("attention", &[f(&[1, 2, 3, 4]), f(&[1, 2, 5, 4]), f(&[1, 2, 5, 4])], |b, x| {
            b.attention(x[0], x[1], x[2], 0.5, true).unwrap()
        }),
        op("requantize_i8", &[i(&[2, 40]), i(&[40])], Op::Requantize { shift: 2, low: -3, high: 100, to: DType::I8 }),
        op("max_pool2d_i8", &[b8(&[1, 2, 7, 6])], Op::MaxPool2d { window, kernel_height: 3, kernel_width: 4 }),
        case("requantize_long", &[i(&[3, 40])], |b, x| {
            let factor = b.apply(Op::Constant(Literal::integer(-998_244_353)), &[]).unwrap();
            let x = b.mul(x[0], factor).unwrap();
            b.apply(Op::Requantize { shift: 31, low: i32::MIN, high: i32::MAX, to: DType::I32 }, &[x, factor]).unwrap()
        }),
        op("conv2d_integer_i8", &[b8(&[2, 4, 9, 8]), b8(&[6, 2, 3, 2])], Op::Conv2dInteger { window, groups: 2 }),
        op(
            "conv2d_integer_u8",
            &[TensorType::new(DType::U8, [2, 4, 9, 8]), b8(&[6, 2, 3, 2])],
            Op::Conv2dInteger { window, groups: 2 },
        ),
        case("identity", &[f(&[2])], |_, x| x[0]),
    ]);
    for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min] {
        cases.push(op(&format!("reduce_{reduction:?}"), &[f(&[2, 3, 4])], Op::Reduce { reduction, axes: vec![0, 2] }));
    }
    cases
}

/// Numbers that any operation takes: floats above zero, integers that index anything.
fn inputs(graph: &Graph) -> Tensors {
    let mut state = 7u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u32
    };
    let mut given = Tensors::new();
    for (name, value) in graph.inputs() {
        let own = graph.value_type(*value);
        let count = own.elements();
        let data = match own.dtype {
            DType::F32 => Data::F32((0..count).map(|_| next() as f32 / 8e6 + 0.1).collect()),
            DType::I32 => Data::I32((0..count).map(|_| (next() % 3) as i32).collect()),
            DType::I8 => Data::I8((0..count).map(|_| next() as i8).collect()),
            DType::U8 => Data::U8((0..count).map(|_| next() as u8).collect()),
        };
        given.insert(name, Tensor::new(own.shape.clone(), data));
    }
    given
}

fn assert_close(name: &str, made: &Tensor, expected: &Tensor) {
    assert_eq!(made.tensor_type(), expected.tensor_type(), "{name}");
    match (made.data(), expected.data()) {
        (Data::F32(made), Data::F32(expected)) => {
            for (made, expected) in made.iter().zip(expected) {
                let close = made == expected || (made - expected).abs() <= 1e-5 + 1e-5 * expected.abs();
                assert!(close, "{name}: {made} for {expected}");
            }
        }
        (made, expected) => assert_eq!(made, expected, "{name}"),
    }
}

#[test]
fn what_is_written_is_read_again_with_the_same_values() {
    for Case { name, graph } in cases() {
        let bytes = export(&graph, &BTreeMap::new()).unwrap();
        let lowered =
            Model::read(bytes).unwrap().graph(&Sizes::new()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let given = inputs(&graph);
        let expected = common::run(&graph, &[], given.clone());
        let made = common::run(&lowered.graph, &lowered.weights, given);
        assert_close(&name, made.get("y").unwrap(), expected.get("y").unwrap());
    }
}

#[test]
fn onnx_checks_and_onnxruntime_computes_the_same() {
    let folder = std::env::temp_dir().join(format!("shoal-onnx-export-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for Case { name, graph } in cases() {
        let given = inputs(&graph);
        let made = common::run(&graph, &[], given.clone());
        fs::write(folder.join(format!("{name}.onnx")), export(&graph, &BTreeMap::new()).unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.inputs.safetensors")), given.to_bytes()).unwrap();
        fs::write(folder.join(format!("{name}.outputs.safetensors")), made.to_bytes()).unwrap();
    }
    let ran =
        Command::new(common::cached("onnx-python/bin/python")).arg("tests/export.py").arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    println!("{said}");
    assert!(ran.status.success(), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn weights_are_initialisers_and_stay_so() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", f(&[3, 4])).unwrap();
    let weight = b.input("weight", f(&[2, 4])).unwrap();
    let y = b.dense(x, weight, None).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let weights = BTreeMap::from([("weight".into(), Weight::f32([2, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]))]);
    let model = Model::read(export(&graph, &weights).unwrap()).unwrap();
    assert_eq!(model.inputs().len(), 1);
    let lowered = model.graph(&Sizes::new()).unwrap();
    assert_eq!(lowered.weights, Vec::from_iter(weights.clone()));
    let wrong = BTreeMap::from([("weight".into(), Weight::f32([2], &[1.0, 2.0]))]);
    assert!(matches!(export(&graph, &wrong), Err(OnnxError::WrongWeight { .. })));
    let other = BTreeMap::from([("other".into(), weights["weight"].clone())]);
    assert!(matches!(export(&graph, &other), Err(OnnxError::NoSuchName { .. })));
}

#[test]
fn gradients_are_not_written() {
    let graph = op("softmax_grad", &[f(&[2, 3]), f(&[2, 3])], Op::SoftmaxGrad).graph;
    assert_eq!(export(&graph, &BTreeMap::new()), Err(OnnxError::NotExported { op: "softmax_grad" }));
}

#[test]
fn weights_go_through_safetensors() {
    let bytes = |values: &[i8]| Bytes::from(values.iter().map(|x| *x as u8).collect::<Vec<_>>());
    let weights = [
        ("a", Weight::f32([2, 2], &[1.0, -2.0, f32::MIN_POSITIVE, 0.0])),
        ("b", Weight { tensor_type: TensorType::new(DType::I8, [3]), bytes: bytes(&[-128, 0, 127]) }),
        ("c", Weight { tensor_type: TensorType::i32([]), bytes: 7i32.to_le_bytes().to_vec().into() }),
    ];
    let file = Bytes::from(write_safetensors(weights.iter().map(|(name, weight)| (*name, weight))).unwrap());
    let read = read_safetensors(&file).unwrap();
    assert_eq!(read.len(), 3);
    for (name, weight) in &weights {
        assert_eq!(read[*name].weight().unwrap(), *weight);
    }
    for length in 0..file.len() {
        assert!(read_safetensors(&file.slice(..length)).is_err(), "{length}");
    }
}

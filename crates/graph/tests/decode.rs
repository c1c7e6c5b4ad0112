//! Bytes from anybody either decode into a valid graph or are refused by a named error; they never panic.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use proptest::prelude::*;
use prost::Message;
use shoal_graph::{
    Binary, DType, Graph, GraphBuilder, GraphError, Literal, Op, Reduction, TensorType, Unary, Window2d,
    limits::{MAX_ELEMENTS, MAX_GRAPH_BYTES, MAX_NODES},
    programs,
};
use shoal_wire::{
    job::{LayerSpec, ModelSpec},
    proto,
};

fn model() -> ModelSpec {
    ModelSpec {
        input: vec![1, 8, 8],
        layers: vec![
            LayerSpec::Conv2d { out_channels: 4, kernel: 3, stride: 1, padding: 1 },
            LayerSpec::Relu,
            LayerSpec::MaxPool2d { size: 2 },
            LayerSpec::Dense { units: 10 },
        ],
    }
}

fn training_step() -> Graph {
    programs::training_step(&model(), 6).unwrap()
}

fn message() -> proto::Graph {
    proto::Graph::decode(training_step().bytes()).unwrap()
}

/// Decodes a changed training step.
fn refused(change: impl FnOnce(&mut proto::Graph)) -> GraphError {
    let mut message = message();
    change(&mut message);
    Graph::decode(&message.encode_to_vec()).unwrap_err()
}

#[test]
fn a_graph_survives_its_bytes() {
    let graph = training_step();
    let again = Graph::decode(graph.bytes()).unwrap();
    assert_eq!(again, graph);
    assert_eq!(again.hash(), *blake3::hash(graph.bytes()).as_bytes());
}

/// Every operation with operands that it takes.
fn operations() -> Vec<(Op, Vec<TensorType>)> {
    let f = |shape: &[u32]| TensorType::f32(shape);
    let i = |shape: &[u32]| TensorType::i32(shape);
    let image = || f(&[2, 4, 5, 6]);
    let mut window = Window2d::square(2, 1);
    window.width.dilation = 2;
    let (groups, kernel_height, kernel_width) = (2, 3, 2);
    let (weight, dy) = (f(&[6, 2, 3, 2]), f(&[2, 6, 3, 3]));
    let mut all: Vec<(Op, Vec<TensorType>)> = Vec::new();
    all.extend(Unary::ALL.map(|unary| (Op::Unary(unary), vec![f(&[2, 3])])));
    for binary in Binary::ALL {
        let dtype = if binary.takes(DType::F32) { DType::F32 } else { DType::I32 };
        all.push((Op::Binary(binary), vec![TensorType::new(dtype, [2, 3]), TensorType::new(dtype, [2, 1])]));
    }
    for dtype in [DType::F32, DType::I32, DType::I8, DType::U8] {
        all.push((Op::Cast { to: dtype }, vec![f(&[2, 3])]));
        let bytes = vec![0; 3 * dtype.bytes() as usize];
        all.push((Op::Constant(Literal::from_bytes(TensorType::new(dtype, [3]), bytes)), vec![]));
    }
    for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min] {
        all.push((Op::Reduce { reduction, axes: vec![0, 2] }, vec![f(&[2, 3, 4])]));
    }
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        all.push((Op::MatMul { trans_a, trans_b }, vec![f(&[2, 3, 3]), f(&[2, 3, 3])]));
    }
    let (byte, signed) = (TensorType::new(DType::U8, [2, 3]), TensorType::new(DType::I8, [3, 3]));
    all.extend([
        (Op::Iota { axis: 1, shape: vec![2, 3] }, vec![]),
        (Op::Where, vec![i(&[3]), f(&[2, 1]), f(&[])]),
        (Op::Reshape { shape: vec![6] }, vec![f(&[2, 3])]),
        (Op::Transpose { axes: vec![1, 0] }, vec![f(&[2, 3])]),
        (Op::Broadcast { shape: vec![4, 2, 3] }, vec![f(&[2, 1])]),
        (Op::Slice { starts: vec![1, 5], steps: vec![1, -2], shape: vec![2, 3] }, vec![f(&[3, 6])]),
        (Op::Pad { low: vec![1], high: vec![2], interior: vec![3], value: -0.5 }, vec![f(&[4])]),
        (Op::Concat { axis: 1 }, vec![f(&[2, 3]), f(&[2, 1]), f(&[2, 2])]),
        (Op::Gather { axis: 1 }, vec![f(&[2, 3]), i(&[4, 5])]),
        (Op::ScatterAdd { axis: 1, size: 7 }, vec![f(&[2, 4, 5]), i(&[4, 5])]),
        (Op::ArgMax { axis: 0 }, vec![f(&[2, 3])]),
        (Op::MatMulInteger { trans_b: false }, vec![byte.clone(), signed.clone()]),
        (Op::MatMulInteger { trans_b: true }, vec![byte, signed]),
        (
            Op::Conv2dInteger { window: Window2d::square(1, 1), groups: 2 },
            vec![TensorType::new(DType::U8, [1, 4, 5, 5]), TensorType::new(DType::I8, [2, 2, 3, 3])],
        ),
        (
            Op::Requantize { shift: 62, low: -128, high: 127, to: DType::I8 },
            vec![TensorType::i32([2, 3]), TensorType::i32([3])],
        ),
        (Op::Conv2d { window, groups }, vec![image(), weight.clone()]),
        (Op::Conv2dGradInput { window, groups, height: 5, width: 6 }, vec![weight, dy.clone()]),
        (Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width }, vec![image(), dy]),
        (Op::MaxPool2d { window, kernel_height, kernel_width }, vec![image()]),
        (Op::MaxPool2dGrad { window, kernel_height, kernel_width }, vec![image(), f(&[2, 4, 3, 3])]),
        (Op::SumPool2d { window, kernel_height, kernel_width }, vec![image()]),
        (Op::SumPool2dGrad { window, kernel_height, kernel_width, height: 5, width: 6 }, vec![f(&[2, 4, 3, 3])]),
        (Op::Softmax, vec![f(&[2, 3])]),
        (Op::SoftmaxGrad, vec![f(&[2, 3]), f(&[2, 3])]),
        (Op::SoftmaxCrossEntropy, vec![f(&[2, 3]), i(&[2])]),
        (Op::SoftmaxCrossEntropyGrad, vec![f(&[2, 3]), i(&[2]), f(&[])]),
    ]);
    all
}

#[test]
fn every_operation_survives_its_bytes() {
    for (op, operands) in operations() {
        let mut b = GraphBuilder::new();
        let inputs: Vec<_> =
            operands.into_iter().enumerate().map(|(i, operand)| b.input(format!("in{i}"), operand).unwrap()).collect();
        let made = b.apply(op.clone(), &inputs).unwrap();
        b.output("made", made);
        let graph = b.finish().unwrap();
        let again = Graph::decode(graph.bytes()).unwrap();
        assert_eq!(again, graph);
        assert_eq!(again.nodes()[0].op, op);
    }
}

/// The wire leaves a zero out, whatever its sign: a builder must not keep what its bytes do not say.
#[test]
fn the_sign_of_a_zero_survives_its_bytes() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([1])).unwrap();
    let y = b.apply(Op::Pad { low: vec![1], high: vec![0], interior: vec![0], value: -0.0 }, &[x]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let sign = |graph: &Graph| match &graph.nodes()[0].op {
        Op::Pad { value, .. } => value.is_sign_negative(),
        other => panic!("{other:?}"),
    };
    assert_eq!(sign(&graph), sign(&Graph::decode(graph.bytes()).unwrap()));
}

#[test]
fn a_requantisation_beyond_its_type_and_a_sum_beyond_32_bits_are_refused() {
    let made = |op: Op, types: [TensorType; 2]| {
        let mut b = GraphBuilder::new();
        let [x, y] = types.map(|of| b.input(format!("{of:?}"), of).unwrap());
        b.apply(op, &[x, y]).map(drop)
    };
    let scaled = |shift, low, high, to, multiplier: &[u32]| {
        made(Op::Requantize { shift, low, high, to }, [TensorType::i32([2, 3]), TensorType::i32(multiplier)])
    };
    assert_eq!(scaled(1, -128, 127, DType::I8, &[2, 1]), Ok(()));
    let zero = GraphError::Zero { what: "shift of requantize" };
    assert_eq!(scaled(0, -128, 127, DType::I8, &[]), Err(zero));
    let large = GraphError::TooLarge { what: "shift of requantize", found: 63, limit: 62 };
    assert_eq!(scaled(63, -128, 127, DType::I8, &[]), Err(large));
    for (low, high, to) in [(-129, 0, DType::I8), (0, 256, DType::U8), (5, 4, DType::I32)] {
        let range = GraphError::BadRange { what: "range of requantize", low: low.into(), high: high.into() };
        assert_eq!(scaled(9, low, high, to, &[]), Err(range));
    }
    assert!(matches!(scaled(9, 0, 0, DType::F32, &[]), Err(GraphError::WrongDType { .. })));
    assert!(matches!(scaled(9, 0, 0, DType::I32, &[4, 2, 3]), Err(GraphError::ShapeMismatch { .. })));
    let deep = [TensorType::new(DType::I8, [1, 8000, 3, 3]), TensorType::new(DType::I8, [1, 8000, 3, 3])];
    let refused = made(Op::Conv2dInteger { window: Window2d::DENSE, groups: 1 }, deep);
    let found = GraphError::TooLarge { what: "K of an integer convolution", found: 72_000, limit: 65_536 };
    assert_eq!(refused, Err(found));
}

/// A new field of the schema that no operation here has fails.
#[test]
fn every_operation_of_the_schema_is_tested() {
    let schema = include_str!("../../wire/proto/shoal/v1/graph.proto");
    let (_, operations_of_schema) = schema.split_once("oneof op {").unwrap();
    let (operations_of_schema, _) = operations_of_schema.split_once('}').unwrap();
    let kinds: std::collections::BTreeSet<_> = operations()
        .into_iter()
        .map(|(op, _)| match op {
            Op::Unary(_) => "unary",
            Op::Binary(_) => "binary",
            Op::Reduce { .. } => "reduce",
            Op::Cast { .. } => "cast",
            other => other.name(),
        })
        .collect();
    assert_eq!(kinds.len(), operations_of_schema.matches(';').count());
}

#[test]
fn the_bytes_of_a_small_graph_are_pinned() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([2, 3])).unwrap();
    let y = b.apply(Op::Transpose { axes: vec![1, 0] }, &[x]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let hex: String = graph.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let version = "0802";
    let x = "12090a01781001".to_owned() + "1a020203";
    let y = "120610011a020302";
    let inputs = "1a0100";
    let node = "220c0a01001001fa02040a020100";
    let output = "2a050a01791001";
    assert_eq!(hex, [version, &x, y, inputs, node, output].concat());
}

#[test]
fn version_and_operation_must_be_known() {
    assert_eq!(refused(|g| g.version = 1), GraphError::UnknownVersion { found: 1, known: 2 });
    assert_eq!(refused(|g| g.nodes[3].op = None), GraphError::UnknownOp { node: 3 });
    assert_eq!(refused(|g| g.values[1].dtype = 9), GraphError::UnknownDType { value: 1, found: 9 });
}

#[test]
fn an_operation_of_a_later_version_is_unknown() {
    // A node with field 99 (an empty message) where the operation should be.
    let mut message = message();
    message.nodes.clear();
    let mut bytes = message.encode_to_vec();
    bytes.extend([0x22, 0x03, 0x9a, 0x06, 0x00]);
    assert_eq!(Graph::decode(&bytes).unwrap_err(), GraphError::UnknownOp { node: 0 });
}

#[test]
fn a_second_encoding_of_the_same_graph_is_refused() {
    let graph = training_step();
    let mut bytes = graph.bytes().to_vec();
    // The version again: a valid protobuf message with the same meaning.
    bytes.extend([0x08, 0x02]);
    let error = Graph::decode(&bytes).unwrap_err();
    assert_eq!(error, GraphError::NotCanonical { given: bytes.len(), canonical: graph.bytes().len() });
    let mut bytes = graph.bytes().to_vec();
    // An unknown field.
    bytes.extend([0xfa, 0x01, 0x00]);
    assert!(matches!(Graph::decode(&bytes).unwrap_err(), GraphError::NotCanonical { .. }));
}

#[test]
fn shapes_must_be_what_inference_says() {
    let error = refused(|g| {
        let made = g.nodes[0].output as usize;
        g.values[made].shape[1] = 5;
    });
    assert!(matches!(&error, GraphError::DeclaredOtherwise { op: "conv2d", made_shape, .. } if made_shape[1] == 4));
    let error = refused(|g| g.values[1].shape = vec![4, 2, 3, 3]);
    assert!(matches!(&error, GraphError::ShapeMismatch { op: "conv2d", shapes, .. } if shapes[1] == [4, 2, 3, 3]));
    let error = refused(|g| g.values[1].dtype = proto::DType::I32 as i32);
    assert!(matches!(error, GraphError::WrongDType { op: "conv2d", input: 1, found: DType::I32, .. }));
    assert_eq!(refused(|g| g.values[0].shape[0] = 0), GraphError::Zero { what: "a dimension" });
}

#[test]
fn element_counts_are_bounded_before_anything_is_allocated() {
    let huge = [u32::MAX, u32::MAX, u32::MAX, u32::MAX];
    let error = refused(|g| g.values[0].shape = huge.to_vec());
    assert_eq!(error, GraphError::TooLarge { what: "element count of a tensor", found: u64::MAX, limit: MAX_ELEMENTS });
    let error = refused(|g| g.values[0].shape = vec![1; 7]);
    assert_eq!(error, GraphError::TooLarge { what: "rank of a tensor", found: 7, limit: 6 });
    let mut b = GraphBuilder::new();
    let a = b.input("a", TensorType::f32([1 << 20, 1])).unwrap();
    let error = b.mat_mul(a, a, false, true).unwrap_err();
    assert_eq!(error, GraphError::TooLarge { what: "element count of a tensor", found: 1 << 40, limit: MAX_ELEMENTS });
}

#[test]
fn a_run_must_fit_in_memory() {
    let mut b = GraphBuilder::new();
    for name in ["a", "b", "c", "d", "e"] {
        b.input(name, TensorType::f32([1 << 28])).unwrap();
    }
    let a = b.inputs()[0].1;
    b.output("a", a);
    let error = b.finish().unwrap_err();
    assert_eq!(error, GraphError::TooLarge { what: "peak memory in bytes", found: 5 << 30, limit: 1 << 32 });
}

#[test]
fn counts_and_bytes_are_bounded() {
    let error = refused(|g| g.nodes = vec![proto::Node::default(); MAX_NODES + 1]);
    assert_eq!(
        error,
        GraphError::TooLarge { what: "number of nodes", found: MAX_NODES as u64 + 1, limit: MAX_NODES as u64 }
    );
    let bytes = vec![0; MAX_GRAPH_BYTES + 1];
    assert!(matches!(Graph::decode(&bytes).unwrap_err(), GraphError::TooLarge { what: "encoded graph in bytes", .. }));
}

#[test]
fn values_are_made_once_and_before_they_are_read() {
    assert!(matches!(refused(|g| g.nodes.swap(2, 3)), GraphError::UsedBeforeMade { node: 2, .. }));
    assert!(matches!(refused(|g| g.nodes[0].output = 0), GraphError::MadeTwice { value: 0 }));
    assert!(matches!(refused(|g| g.nodes[0].inputs[0] = 9999), GraphError::NoSuchValue { value: 9999, .. }));
    assert!(matches!(refused(|g| g.inputs.push(7777)), GraphError::NoSuchValue { value: 7777, .. }));
    assert!(matches!(refused(|g| g.outputs[0].value = 8888), GraphError::NoSuchValue { value: 8888, .. }));
    let extra = proto::Value { name: String::new(), dtype: 1, shape: vec![1] };
    assert!(matches!(refused(|g| g.values.push(extra)), GraphError::NeverMade { .. }));
    assert_eq!(refused(|g| g.outputs.clear()), GraphError::NoOutputs);
    assert!(matches!(refused(|g| g.nodes[0].inputs.truncate(1)), GraphError::Arity { op: "conv2d", found: 1, .. }));
}

#[test]
fn names_are_there_short_and_unique() {
    let reason = |error| match error {
        GraphError::BadName { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert_eq!(reason(refused(|g| g.values[0].name = g.values[1].name.clone())), "it is used twice");
    assert_eq!(reason(refused(|g| g.values[0].name.clear())), "it is empty");
    assert_eq!(reason(refused(|g| g.values[0].name = "x".repeat(129))), "it is too long");
    let inner = |g: &mut proto::Graph| g.nodes[0].output as usize;
    assert_eq!(
        reason(refused(|g| {
            let inner = inner(g);
            g.values[inner].name = "y2".into();
        })),
        "only inputs are named"
    );
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Graph::decode(&bytes);
    }

    /// A real graph with some bytes changed, cut or repeated gets past the outer checks and must still be refused or be
    /// equal to what it encodes to.
    #[test]
    fn a_damaged_graph_never_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = training_step().bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(graph) = Graph::decode(&bytes) {
            prop_assert_eq!(graph.bytes(), bytes);
        }
    }
}

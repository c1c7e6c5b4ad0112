//! Bytes from anybody either decode into a valid graph or are refused by a named error; they never panic.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use proptest::prelude::*;
use prost::Message;
use shoal_graph::{
    DType, Graph, GraphBuilder, GraphError, Op, TensorType,
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

#[test]
fn the_bytes_of_a_small_graph_are_pinned() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([2, 3])).unwrap();
    let y = b.apply_one(Op::Scale { factor: 0.5 }, &[x]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let hex: String = graph.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let version = "0801";
    let x = "12090a01781001".to_owned() + "1a020203";
    let y = "120610011a020203";
    let inputs = "1a0100";
    let node = "220e0a01001201018202050d0000003f";
    let output = "2a050a01791001";
    assert_eq!(hex, [version, &x, y, inputs, node, output].concat());
}

#[test]
fn version_and_operation_must_be_known() {
    assert_eq!(refused(|g| g.version = 2), GraphError::UnknownVersion { found: 2, known: 1 });
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
    bytes.extend([0x08, 0x01]);
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
        let made = g.nodes[0].outputs[0] as usize;
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
    assert!(matches!(refused(|g| g.nodes.swap(0, 1)), GraphError::UsedBeforeMade { node: 0, .. }));
    assert!(matches!(refused(|g| g.nodes[0].outputs = vec![0]), GraphError::MadeTwice { value: 0 }));
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
    let inner = |g: &mut proto::Graph| g.nodes[0].outputs[0] as usize;
    assert_eq!(
        reason(refused(|g| {
            let inner = inner(g);
            g.values[inner].name = "y2".into();
        })),
        "only inputs are named"
    );
}

#[test]
fn attributes_are_sane() {
    use proto::node::Op as P;
    let conv = |stride, padding| {
        move |g: &mut proto::Graph| {
            g.nodes[0].op = Some(P::Conv2d(proto::Conv2d { stride, padding }));
        }
    };
    assert_eq!(refused(conv(0, 1)), GraphError::Zero { what: "a stride" });
    assert!(matches!(refused(conv(1, u32::MAX)), GraphError::TooLarge { what: "stride or padding", .. }));
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([2])).unwrap();
    let error = b.apply(Op::Scale { factor: f32::INFINITY }, &[x]).unwrap_err();
    assert_eq!(error, GraphError::NonFiniteAttribute { op: "scale", value: f32::INFINITY });
    let error = b.apply(Op::MaxPool2d { size: 0 }, &[x]).unwrap_err();
    assert!(matches!(error, GraphError::ShapeMismatch { op: "max_pool2d", .. }));
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

    /// Structurally arbitrary messages: any ids, shapes and attributes in well-formed protobuf.
    #[test]
    fn an_arbitrary_message_never_panics(
        shapes in proptest::collection::vec(proptest::collection::vec(prop_oneof![0u32..9, any::<u32>()], 0..5), 1..6),
        nodes in proptest::collection::vec((0usize..19, proptest::collection::vec(0u32..7, 0..6), any::<u32>()), 0..6),
    ) {
        let op = |which: usize, n: u32| {
            use proto::node::Op as P;
            match which {
                0 => P::MatMul(proto::MatMul { trans_a: n & 1 == 1, trans_b: n & 2 == 2 }),
                1 => P::AddBias(proto::AddBias {}),
                2 => P::Conv2d(proto::Conv2d { stride: n % 5, padding: n / 7 }),
                3 => P::Conv2dGradInput(proto::Conv2dGradInput { stride: n % 3, padding: n % 4, height: n % 11, width: n }),
                4 => P::Conv2dGradWeight(proto::Conv2dGradWeight {
                    stride: n % 3, padding: n % 4, kernel_height: n % 5, kernel_width: n,
                }),
                5 => P::Relu(proto::Relu {}),
                6 => P::ReluGrad(proto::ReluGrad {}),
                7 => P::MaxPool2d(proto::MaxPool2d { size: n % 4 }),
                8 => P::MaxPool2dGrad(proto::MaxPool2dGrad { size: n % 4 }),
                9 => P::Reshape(proto::Reshape { shape: vec![n % 9, n % 5] }),
                10 => P::SumChannels(proto::SumChannels {}),
                11 => P::Softmax(proto::Softmax {}),
                12 => P::SoftmaxGrad(proto::SoftmaxGrad {}),
                13 => P::SoftmaxCrossEntropy(proto::SoftmaxCrossEntropy {}),
                14 => P::SoftmaxCrossEntropyGrad(proto::SoftmaxCrossEntropyGrad {}),
                15 => P::Add(proto::Add {}),
                16 => P::Scale(proto::Scale { factor: f32::from_bits(n) }),
                17 => P::Constant(proto::Constant { value: f32::from_bits(n), shape: vec![n % 9] }),
                _ => P::SgdMomentum(proto::SgdMomentum {}),
            }
        };
        let first_made = shapes.len() as u32;
        let names = ["a", "b", "c", "d", "e", "f"];
        let inputs = shapes.iter().zip(names).map(|(shape, name)| proto::Value {
            name: name.into(), dtype: 1, shape: shape.clone(),
        });
        let made = nodes.iter().map(|_| proto::Value { name: String::new(), dtype: 1, shape: shapes[0].clone() });
        let message = proto::Graph {
            version: 1,
            values: inputs.chain(made).collect(),
            inputs: (0..first_made).collect(),
            nodes: nodes.iter().enumerate().map(|(i, (which, inputs, n))| proto::Node {
                inputs: inputs.clone(), outputs: vec![first_made + i as u32], op: Some(op(*which, *n)),
            }).collect(),
            outputs: vec![proto::GraphOutput { name: "y".into(), value: 0 }],
        };
        let bytes = message.encode_to_vec();
        if let Ok(graph) = Graph::decode(&bytes) {
            prop_assert_eq!(graph.bytes(), bytes);
        }
    }
}

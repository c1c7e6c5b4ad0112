//! Errors say what to change: node, operator, input and both shapes, or the size that is missing.

mod common;
mod message;

use std::{collections::BTreeMap, fs};

use message::{field, model, node, number, port};
use shoal_onnx::{Element, Model, OnnxError, Sizes, Tensor};

fn lowered(graph: &[Vec<u8>], sizes: &Sizes) -> Result<(), OnnxError> {
    Model::read(model(&graph.concat()))?.graph(sizes).map(drop)
}

fn said(graph: &[Vec<u8>], sizes: &Sizes) -> String {
    lowered(graph, sizes).unwrap_err().to_string()
}

#[test]
fn shapes_that_do_not_go_together_are_both_named() {
    let graph = [port(11, "a", &[2, 3]), port(11, "b", &[4, 5]), port(12, "y", &[]), node("MatMul", &["a", "b"], "y")];
    assert_eq!(
        said(&graph, &Sizes::new()),
        "node \"y\" (MatMul, version 17): input 0 has shape [2, 3], which does not go with [4, 5]: inner dimensions differ"
    );
    let graph = [port(11, "a", &[2, 3]), port(11, "b", &[4, 5]), port(12, "y", &[]), node("Add", &["a", "b"], "y")];
    assert_eq!(
        said(&graph, &Sizes::new()),
        "node \"y\" (Add, version 17): add does not take shapes [[2, 3], [4, 5]]: they do not broadcast"
    );
}

#[test]
fn an_input_that_decides_shapes_is_asked_for_and_then_used() {
    let shape = field(
        11,
        &[field(1, b"shape"), field(2, &field(1, &[number(1, 7), field(2, &field(1, &number(1, 2)))].concat()))]
            .concat(),
    );
    let graph = [port(11, "x", &[2, 3]), shape, port(12, "y", &[]), node("Reshape", &["x", "shape"], "y")];
    assert_eq!(
        said(&graph, &Sizes::new()),
        "node \"y\" (Reshape, version 17): input 1 (\"shape\") must be known while lowering: give its value with the sizes"
    );
    let known = |values: Vec<i64>| Sizes::new().constant("shape", Tensor::integers(Element::I64, [2], values));
    let made = Model::read(model(&graph.concat())).unwrap().graph(&known(vec![-1, 2])).unwrap();
    assert_eq!(made.graph.inputs().len(), 1, "the shape is no input of the graph");
    assert_eq!(made.graph.value_type(made.graph.outputs()[0].1).shape, [3, 2]);
    assert!(said(&graph, &known(vec![4, 2])).contains("input 0 has shape [2, 3], which does not go with [4, 2]"));
}

#[test]
fn missing_and_wrong_sizes_are_named() {
    let weights = fs::read(common::cached("all-minilm-l6-v2/model.safetensors")).unwrap();
    let files = BTreeMap::from([("model.safetensors".into(), weights.into())]);
    let model = Model::read_with(include_bytes!("../../../examples/embed/minilm.onnx").as_slice(), &files).unwrap();
    let said = |sizes: &Sizes| model.graph(sizes).unwrap_err().to_string();
    let batch = Sizes::new().symbol("batch", 1);
    assert_eq!(said(&batch), "dimension 1 of input \"input_ids\" (\"sequence\") has no size");
    assert_eq!(said(&batch.clone().symbol("length", 2)), "the model has no symbol \"length\"");
    let wrong = batch.shape("input_ids", [1, 2, 3]);
    assert_eq!(said(&wrong), "input \"input_ids\" is declared [batch, sequence], [1, 2, 3] is given");
}

#[test]
fn versions_that_are_not_read_are_named() {
    let with = |ir: u64, opset: u64| {
        let graph = [port(11, "x", &[1]), port(12, "y", &[]), node("Abs", &["x"], "y")].concat();
        let bytes = [number(1, ir), field(8, &number(2, opset)), field(7, &graph)].concat();
        Model::read(bytes).map(|model| model.opset()).map_err(|error| error.to_string())
    };
    assert_eq!(with(8, 28), Ok(28));
    assert_eq!(with(8, 29), Err("operator set 29 is not read, 7 to 28 are".into()));
    assert_eq!(with(8, 6), Err("operator set 6 is not read, 7 to 28 are".into()));
    assert_eq!(with(99, 17), Err("format version 99 is not read, 3 to 14 are".into()));
}

#[test]
fn integers_beyond_32_bits_are_refused_as_weights() {
    let value = field(5, &[number(1, 1), number(2, 7), field(8, b"w"), field(9, &(1i64 << 40).to_le_bytes())].concat());
    let graph = [value, port(12, "y", &[]), node("Abs", &["w"], "y")];
    assert!(said(&graph, &Sizes::new()).contains("1099511627776 does not fit in 32 bits"));
}

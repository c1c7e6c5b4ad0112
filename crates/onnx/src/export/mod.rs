//! Writes a graph as an ONNX model: every operation that inference uses as standard operators. A weight is an
//! initialiser, every other input an input of fixed shape. Gradients are not written: ONNX has no operators for them.

mod integers;
mod ops;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use shoal_graph::{DType, Graph, TensorType, ValueId};

use crate::{
    error::OnnxError,
    limits::{OWN_DOMAIN, WRITTEN_IR_VERSION, WRITTEN_OPSET},
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
        TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    tensor::Weight,
};

/// The model as bytes.
///
/// # Errors
/// [`OnnxError::NotExported`] for gradients, [`OnnxError::WrongWeight`] and [`OnnxError::NoSuchName`] for weights that the
/// graph does not take, [`OnnxError::NameTaken`] where an output has the name of another value.
pub fn export(graph: &Graph, weights: &BTreeMap<String, Weight>) -> Result<Vec<u8>, OnnxError> {
    export_with(graph, weights, &BTreeMap::new())
}

/// The model with properties, texts by name that say more of it than ONNX has fields for.
///
/// # Errors
/// As [`export`].
pub fn export_with(
    graph: &Graph,
    weights: &BTreeMap<String, Weight>,
    properties: &BTreeMap<String, String>,
) -> Result<Vec<u8>, OnnxError> {
    check_weights(graph, weights)?;
    let mut writer = Writer::new(graph);
    for node in graph.nodes() {
        ops::write(&mut writer, node)?;
    }
    let mut outputs = Vec::new();
    for (name, value) in graph.outputs() {
        writer.output(name, *value)?;
        outputs.push(port(name, graph.value_type(*value)));
    }
    let inputs = graph.inputs().iter().filter(|(name, _)| !weights.contains_key(name));
    let mut initializer = writer.initialisers;
    initializer.extend(weights.iter().map(|(name, weight)| tensor(name, &weight.tensor_type, weight.bytes.clone())));
    let opset = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
    let own = (!writer.functions.is_empty()).then(|| opset(OWN_DOMAIN, 1));
    let opsets = [opset("", WRITTEN_OPSET)].into_iter().chain(own).collect();
    let property = |(key, value): (&String, &String)| StringStringEntryProto {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    let model = ModelProto {
        ir_version: Some(WRITTEN_IR_VERSION),
        producer_name: Some("shoal".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(GraphProto {
            node: writer.nodes,
            name: Some("graph".into()),
            initializer,
            input: inputs.map(|(name, value)| port(name, graph.value_type(*value))).collect(),
            output: outputs,
        }),
        opset_import: opsets,
        metadata_props: properties.iter().map(property).collect(),
        functions: writer.functions.into_values().collect(),
    };
    Ok(model.encode_to_vec())
}

fn check_weights(graph: &Graph, weights: &BTreeMap<String, Weight>) -> Result<(), OnnxError> {
    for (name, weight) in weights {
        let Some(expected) = graph.input_type(name) else {
            return Err(OnnxError::NoSuchName { what: "input", name: name.clone() });
        };
        if *expected != weight.tensor_type || expected.bytes() != weight.bytes.len() as u64 {
            return Err(OnnxError::WrongWeight {
                name: name.clone(),
                given: format!("{:?} {:?}", weight.tensor_type.dtype, weight.tensor_type.shape),
                expected: format!("{:?} {:?}", expected.dtype, expected.shape),
            });
        }
    }
    Ok(())
}

/// Nodes and constants as they are added.
struct Writer<'a> {
    graph: &'a Graph,
    /// Name of each value.
    names: Vec<String>,
    taken: BTreeSet<String>,
    nodes: Vec<NodeProto>,
    initialisers: Vec<TensorProto>,
    /// Meanings of operators that are ours.
    functions: BTreeMap<String, FunctionProto>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut names = vec![String::new(); graph.types().len()];
        let mut taken: BTreeSet<String> = graph.outputs().iter().map(|(name, _)| name.clone()).collect();
        for (name, value) in graph.inputs() {
            names[value.index()].clone_from(name);
            taken.insert(name.clone());
        }
        let mut writer =
            Self { graph, names, taken, nodes: Vec::new(), initialisers: Vec::new(), functions: BTreeMap::new() };
        for node in graph.nodes() {
            writer.names[node.output.index()] = writer.fresh("v");
        }
        writer
    }

    /// A name that nothing has.
    fn fresh(&mut self, prefix: &str) -> String {
        let mut number = self.taken.len();
        loop {
            let name = format!("{prefix}{number}");
            if self.taken.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }

    fn name(&self, value: ValueId) -> String {
        self.names[value.index()].clone()
    }

    fn value_type(&self, value: ValueId) -> &'a TensorType {
        self.graph.value_type(value)
    }

    /// Adds a node that makes `output`.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>, output: &str) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: Some(output.to_owned()),
            op_type: Some(op.to_owned()),
            attribute: attributes,
            domain: None,
        });
    }

    /// Adds a node and names what it makes.
    fn apply(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = self.fresh("t");
        self.node(op, inputs, attributes, &output);
        output
    }

    /// A constant as an initialiser.
    fn constant(&mut self, tensor_type: &TensorType, bytes: Vec<u8>) -> String {
        let name = self.fresh("c");
        self.initialisers.push(tensor(&name, tensor_type, bytes.into()));
        name
    }

    fn scalar(&mut self, value: f32) -> String {
        self.constant(&TensorType::f32([]), value.to_le_bytes().to_vec())
    }

    /// A list of integers as ONNX takes shapes and axes.
    fn integers(&mut self, values: impl IntoIterator<Item = i64>) -> String {
        let name = self.fresh("c");
        let bytes: Vec<u8> = values.into_iter().flat_map(i64::to_le_bytes).collect();
        self.initialisers.push(TensorProto {
            dims: vec![(bytes.len() / 8) as i64],
            data_type: Some(7),
            name: Some(name.clone()),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        name
    }

    fn shape(&mut self, shape: &[u32]) -> String {
        self.integers(shape.iter().map(|dim| i64::from(*dim)))
    }

    fn output(&mut self, name: &str, value: ValueId) -> Result<(), OnnxError> {
        let from = self.name(value);
        if from == name {
            return Ok(());
        }
        if self.graph.inputs().iter().any(|(input, _)| input == name) {
            return Err(OnnxError::NameTaken { name: name.to_owned() });
        }
        self.node("Identity", &[&from], vec![], name);
        Ok(())
    }
}

/// ONNX's number of an element type.
fn number(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::I32 => 6,
    }
}

fn tensor(name: &str, tensor_type: &TensorType, bytes: bytes::Bytes) -> TensorProto {
    TensorProto {
        dims: tensor_type.shape.iter().map(|dim| i64::from(*dim)).collect(),
        data_type: Some(number(tensor_type.dtype)),
        name: Some(name.to_owned()),
        raw_data: Some(bytes),
        ..TensorProto::default()
    }
}

fn port(name: &str, tensor_type: &TensorType) -> ValueInfoProto {
    let dim = |dim: &u32| Dimension { value: Some(dimension::Value::DimValue(i64::from(*dim))) };
    let shape = TensorShapeProto { dim: tensor_type.shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(number(tensor_type.dtype)), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)) }),
    }
}

/// An attribute that is an integer.
fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), i: Some(value), r#type: Some(2), ..AttributeProto::default() }
}

/// An attribute that is a list of integers.
fn ints(name: &str, values: impl IntoIterator<Item = u32>) -> AttributeProto {
    let ints = values.into_iter().map(i64::from).collect();
    AttributeProto { name: Some(name.to_owned()), ints, r#type: Some(7), ..AttributeProto::default() }
}

/// An attribute that is a text.
fn text(name: &str, value: &str) -> AttributeProto {
    let s = Some(value.as_bytes().to_vec());
    AttributeProto { name: Some(name.to_owned()), s, r#type: Some(3), ..AttributeProto::default() }
}

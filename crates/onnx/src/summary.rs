//! What is in a model file, also in one that cannot be lowered: a person who asks which operators are missing wants to
//! see the rest too. Weights are counted by their declared shapes, so that files beside the model need not be there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;

use crate::{
    element::Element,
    error::OnnxError,
    lower,
    model::{Port, is_onnx, port},
    proto::{ModelProto, NodeProto, TensorProto},
    scan,
    tensor::is_external,
};

/// A model file as it is written, unchecked beyond what decoding needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name and version of the program that wrote it; empty if it does not say.
    pub producer: String,
    /// Format version.
    pub ir_version: i64,
    /// Version of each operator set by its domain, empty for ONNX's own.
    pub opsets: BTreeMap<String, i64>,
    /// Inputs that are given at run time.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Operators, those of subgraphs and functions included.
    pub operators: Vec<UsedOp>,
    /// Initialisers.
    pub weights: usize,
    /// Elements of all initialisers.
    pub parameters: u64,
    /// Bytes of all initialisers.
    pub weight_bytes: u64,
    /// Names of the files that weights lie in.
    pub external_files: BTreeSet<String>,
}

/// An operator of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedOp {
    /// Its domain, empty for ONNX's own.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// Nodes that use it.
    pub count: usize,
    /// Whether it has a lowering, or is a function of the model.
    pub is_supported: bool,
}

impl Summary {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`OnnxError::Malformed`], [`OnnxError::TooLarge`] and [`OnnxError::Missing`]. Never panics, whatever the bytes.
    pub fn read(bytes: impl Into<Bytes>) -> Result<Self, OnnxError> {
        let bytes = bytes.into();
        scan::check(&bytes)?;
        let length = bytes.len();
        let message = ModelProto::decode(bytes)
            .map_err(|error| OnnxError::Malformed { bytes: length, reason: error.to_string() })?;
        let graph = message.graph.as_ref().ok_or(OnnxError::Missing { what: "graph" })?;
        let names: BTreeSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
        let elements = |tensor: &TensorProto| {
            tensor.dims.iter().fold(1u64, |product, dim| product.saturating_mul(u64::try_from(*dim).unwrap_or(0)))
        };
        let element_bytes =
            |tensor: &TensorProto| Element::from_number(tensor.data_type()).map_or(0, |own| own.bytes() as u64);
        let sum = |each: &dyn Fn(&TensorProto) -> u64| {
            graph.initializer.iter().fold(0u64, |sum, tensor| sum.saturating_add(each(tensor)))
        };
        Ok(Self {
            producer: format!("{} {}", message.producer_name(), message.producer_version()).trim().to_owned(),
            ir_version: message.ir_version(),
            opsets: message
                .opset_import
                .iter()
                .map(|import| {
                    let domain = if is_onnx(import.domain()) { "" } else { import.domain() };
                    (domain.to_owned(), import.version())
                })
                .collect(),
            inputs: graph.input.iter().filter(|input| !names.contains(input.name())).map(port).collect(),
            outputs: graph.output.iter().map(port).collect(),
            operators: operators(&message),
            weights: graph.initializer.len(),
            parameters: sum(&elements),
            weight_bytes: sum(&|tensor| elements(tensor).saturating_mul(element_bytes(tensor))),
            external_files: graph.initializer.iter().filter(|tensor| is_external(tensor)).map(location).collect(),
        })
    }
}

/// Most used first.
fn operators(message: &ModelProto) -> Vec<UsedOp> {
    let functions: BTreeSet<(&str, &str)> =
        message.functions.iter().map(|function| (function.domain(), function.name())).collect();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut nodes: Vec<&NodeProto> = message.graph.iter().flat_map(|graph| &graph.node).collect();
    nodes.extend(message.functions.iter().flat_map(|function| &function.node));
    while let Some(node) = nodes.pop() {
        let graphs = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        nodes.extend(graphs.flat_map(|graph| &graph.node));
        *counts.entry((node.domain(), node.op_type())).or_insert(0) += 1;
    }
    let used = counts.into_iter().map(|((domain, name), count)| UsedOp {
        domain: domain.to_owned(),
        name: name.to_owned(),
        count,
        is_supported: lower::is_supported(domain, name) || functions.contains(&(domain, name)),
    });
    let mut used: Vec<UsedOp> = used.collect();
    used.sort_by_key(|op| std::cmp::Reverse(op.count));
    used
}

fn location(tensor: &TensorProto) -> String {
    let entry = tensor.external_data.iter().find(|entry| entry.key() == "location");
    entry.map(|entry| entry.value().to_owned()).unwrap_or_default()
}

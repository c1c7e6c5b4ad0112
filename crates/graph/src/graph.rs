//! A validated graph. Holding a [`Graph`] means: known version and operations, every value made exactly once and
//! before it is read, all shapes equal to what inference says, everything within the limits, and bytes that are
//! their own canonical encoding. There is no other way to obtain one than [`Graph::decode`] and the builder.

use std::collections::BTreeSet;

use prost::{
    Message,
    encoding::{DecodeContext, decode_key, skip_field},
};
use shoal_wire::proto;

use crate::{
    convert::{dtype_from_proto, dtype_to_proto, op_from_proto, op_to_proto},
    cost::{self, Cost},
    error::GraphError,
    limits::{MAX_GRAPH_BYTES, MAX_NAME_BYTES, MAX_NODES, MAX_VALUES},
    op::{Op, TensorType},
};

/// The only graph version there is.
pub const VERSION: u32 = 2;

/// Field numbers in `graph.proto` of what is counted before it is decoded.
const VALUES_TAG: u32 = 2;
const NODES_TAG: u32 = 4;
const OUTPUTS_TAG: u32 = 5;

/// Index of a value in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// Position in [`Graph::types`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One operation with its operands and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, in the order of `graph.proto`.
    pub inputs: Vec<ValueId>,
    /// Result.
    pub output: ValueId,
}

/// A validated graph and its canonical bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    pub(crate) types: Vec<TensorType>,
    pub(crate) inputs: Vec<(String, ValueId)>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, ValueId)>,
    bytes: Vec<u8>,
    cost: Cost,
}

impl Graph {
    /// Reads and validates a stored graph.
    ///
    /// # Errors
    /// Any [`GraphError`] except those of autodiff and model layers. Never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, GraphError> {
        if bytes.len() > MAX_GRAPH_BYTES {
            return Err(too_large("encoded graph in bytes", bytes.len(), MAX_GRAPH_BYTES));
        }
        let [values, nodes, outputs] = count_fields(bytes);
        check_counts(values, nodes, outputs)?;
        let message = proto::Graph::decode(bytes)
            .map_err(|error| GraphError::Malformed { bytes: bytes.len(), reason: error.to_string() })?;
        if message.version != VERSION {
            return Err(GraphError::UnknownVersion { found: message.version, known: VERSION });
        }
        let graph = Self::validate(from_proto(message)?)?;
        if graph.bytes != bytes {
            return Err(GraphError::NotCanonical { given: bytes.len(), canonical: graph.bytes.len() });
        }
        Ok(graph)
    }

    pub(crate) fn validate(parts: Parts) -> Result<Self, GraphError> {
        let Parts { types, inputs, nodes, outputs } = parts;
        check_counts(types.len(), nodes.len(), outputs.len())?;
        types.iter().try_for_each(TensorType::check)?;
        check_names(inputs.iter().map(|(name, _)| name))?;
        check_names(outputs.iter().map(|(name, _)| name))?;
        if outputs.is_empty() {
            return Err(GraphError::NoOutputs);
        }
        let mut made = vec![false; types.len()];
        for (_, value) in &inputs {
            mark_made(&mut made, *value)?;
        }
        for (index, node) in nodes.iter().enumerate() {
            check_node(index, node, &types, &mut made)?;
        }
        if let Some(value) = made.iter().position(|made| !made) {
            return Err(GraphError::NeverMade { value: value as u32 });
        }
        for (_, value) in &outputs {
            exists(*value, types.len())?;
        }
        let cost = cost::count(&types, &inputs, &nodes, &outputs)?;
        let bytes = to_proto(&types, &inputs, &nodes, &outputs).encode_to_vec();
        if bytes.len() > MAX_GRAPH_BYTES {
            return Err(too_large("encoded graph in bytes", bytes.len(), MAX_GRAPH_BYTES));
        }
        Ok(Self { types, inputs, nodes, outputs, bytes, cost })
    }

    /// The canonical encoding; a graph is stored, hashed and sent as these bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE3 of the stored bytes: the graph's blob id.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.bytes).as_bytes()
    }

    /// Types of all values, by [`ValueId::index`].
    pub fn types(&self) -> &[TensorType] {
        &self.types
    }

    /// Type of one value.
    pub fn value_type(&self, value: ValueId) -> &TensorType {
        &self.types[value.index()]
    }

    /// Named inputs, in order.
    pub fn inputs(&self) -> &[(String, ValueId)] {
        &self.inputs
    }

    /// Type of the input of that name.
    pub fn input_type(&self, name: &str) -> Option<&TensorType> {
        self.inputs.iter().find(|(own, _)| own == name).map(|(_, value)| self.value_type(*value))
    }

    /// Nodes in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Named outputs, in order.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// Reference operations of one run, known before it: what one run of the graph is paid for. Weights are in [`cost`].
    pub fn reference_ops(&self) -> u64 {
        self.cost.reference_ops
    }

    /// Greatest number of bytes that one run holds at once on the reference CPU backend, scratch included.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.cost.peak_memory_bytes
    }
}

/// A graph before validation.
pub(crate) struct Parts {
    pub(crate) types: Vec<TensorType>,
    pub(crate) inputs: Vec<(String, ValueId)>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, ValueId)>,
}

/// Values, nodes and outputs of a message before it is decoded: an empty one takes two bytes here and a hundred in memory. Stops
/// where the bytes are malformed, which the decoder then says better.
fn count_fields(bytes: &[u8]) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok((tag, wire_type)) = decode_key(&mut rest) else { break };
        if let Some(at) = [VALUES_TAG, NODES_TAG, OUTPUTS_TAG].iter().position(|known| *known == tag) {
            counts[at] += 1;
        }
        if skip_field(wire_type, tag, &mut rest, DecodeContext::default()).is_err() {
            break;
        }
    }
    counts
}

fn too_large(what: &'static str, found: usize, limit: usize) -> GraphError {
    GraphError::TooLarge { what, found: found as u64, limit: limit as u64 }
}

pub(crate) fn check_counts(values: usize, nodes: usize, outputs: usize) -> Result<(), GraphError> {
    if nodes > MAX_NODES {
        return Err(too_large("number of nodes", nodes, MAX_NODES));
    }
    if values > MAX_VALUES {
        return Err(too_large("number of values", values, MAX_VALUES));
    }
    if outputs > MAX_VALUES {
        return Err(too_large("number of outputs", outputs, MAX_VALUES));
    }
    Ok(())
}

fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), GraphError> {
    let mut seen = BTreeSet::new();
    for name in names {
        let reason = if name.is_empty() {
            "it is empty"
        } else if name.len() > MAX_NAME_BYTES {
            "it is too long"
        } else if !seen.insert(name) {
            "it is used twice"
        } else {
            continue;
        };
        return Err(GraphError::BadName { name: name.chars().take(MAX_NAME_BYTES).collect(), reason });
    }
    Ok(())
}

fn exists(value: ValueId, values: usize) -> Result<(), GraphError> {
    if value.index() < values { Ok(()) } else { Err(GraphError::NoSuchValue { value: value.0, values }) }
}

fn mark_made(made: &mut [bool], value: ValueId) -> Result<(), GraphError> {
    exists(value, made.len())?;
    if std::mem::replace(&mut made[value.index()], true) {
        return Err(GraphError::MadeTwice { value: value.0 });
    }
    Ok(())
}

fn check_node(index: usize, node: &Node, types: &[TensorType], made: &mut [bool]) -> Result<(), GraphError> {
    for value in &node.inputs {
        exists(*value, types.len())?;
        if !made[value.index()] {
            return Err(GraphError::UsedBeforeMade { node: index, value: value.0 });
        }
    }
    let operands: Vec<&TensorType> = node.inputs.iter().map(|value| &types[value.index()]).collect();
    let result = node.op.infer(&operands)?;
    mark_made(made, node.output)?;
    let declared = &types[node.output.index()];
    if *declared != result {
        return Err(GraphError::DeclaredOtherwise {
            op: node.op.name(),
            value: node.output.0,
            made: result.dtype,
            made_shape: result.shape,
            declared: declared.dtype,
            declared_shape: declared.shape.clone(),
        });
    }
    Ok(())
}

fn from_proto(message: proto::Graph) -> Result<Parts, GraphError> {
    let mut types = Vec::with_capacity(message.values.len());
    let mut names = Vec::with_capacity(message.values.len());
    for (index, value) in message.values.into_iter().enumerate() {
        let dtype = dtype_from_proto(value.dtype)
            .ok_or(GraphError::UnknownDType { value: index as u32, found: value.dtype })?;
        types.push(TensorType { dtype, shape: value.shape });
        names.push(value.name);
    }
    if message.inputs.len() > types.len() {
        return Err(too_large("number of inputs", message.inputs.len(), types.len()));
    }
    let mut inputs = Vec::with_capacity(message.inputs.len());
    for value in message.inputs {
        exists(ValueId(value), types.len())?;
        inputs.push((std::mem::take(&mut names[value as usize]), ValueId(value)));
    }
    if let Some(name) = names.into_iter().find(|name| !name.is_empty()) {
        return Err(GraphError::BadName { name, reason: "only inputs are named" });
    }
    let mut nodes = Vec::with_capacity(message.nodes.len());
    for (index, node) in message.nodes.into_iter().enumerate() {
        nodes.push(Node {
            op: node.op.and_then(op_from_proto).ok_or(GraphError::UnknownOp { node: index })?,
            inputs: node.inputs.into_iter().map(ValueId).collect(),
            output: ValueId(node.output),
        });
    }
    let outputs = message.outputs.into_iter().map(|output| (output.name, ValueId(output.value))).collect();
    Ok(Parts { types, inputs, nodes, outputs })
}

fn to_proto(
    types: &[TensorType],
    inputs: &[(String, ValueId)],
    nodes: &[Node],
    outputs: &[(String, ValueId)],
) -> proto::Graph {
    let mut values: Vec<proto::Value> = types
        .iter()
        .map(|t| proto::Value { name: String::new(), dtype: dtype_to_proto(t.dtype), shape: t.shape.clone() })
        .collect();
    for (name, value) in inputs {
        values[value.index()].name = name.clone();
    }
    proto::Graph {
        version: VERSION,
        values,
        inputs: inputs.iter().map(|(_, value)| value.0).collect(),
        nodes: nodes
            .iter()
            .map(|node| proto::Node {
                inputs: node.inputs.iter().map(|value| value.0).collect(),
                output: node.output.0,
                op: Some(op_to_proto(&node.op)),
            })
            .collect(),
        outputs: outputs
            .iter()
            .map(|(name, value)| proto::GraphOutput { name: name.clone(), value: value.0 })
            .collect(),
    }
}

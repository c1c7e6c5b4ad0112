//! A model as read from a file: checked, its weights in place, not yet lowered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use bytes::Bytes;
use prost::Message;

use crate::{
    element::Element,
    error::{OnnxError, TensorError, UnsupportedOp},
    limits::{IR_VERSIONS, MAX_NAMED_OPERATORS, MAX_SHARED_FREELY, MAX_SHARING, NEWEST_OPSET, OLDEST_OPSET},
    lower::{self, Lowered},
    proto::{
        FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension,
        type_proto,
    },
    scan,
    sizes::Sizes,
    tensor::{Stored, is_external},
};

/// An ONNX model whose operators all have a lowering.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) graph: GraphProto,
    pub(crate) functions: HashMap<(String, String), FunctionProto>,
    pub(crate) opset: i64,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    weights: BTreeMap<String, Stored>,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its element type; an output may leave it open.
    pub element: Option<Element>,
    /// Its dimensions, where the model says how many there are.
    pub shape: Option<Vec<Dimension>>,
}

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A number.
    Fixed(u32),
    /// A name, such as `batch`.
    Symbol(String),
    /// Neither.
    Open,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(name) => f.write_str(name),
            Self::Open => f.write_str("?"),
        }
    }
}

impl Model {
    /// Reads a model that has its weights in itself.
    ///
    /// # Errors
    /// As [`Model::read_with`].
    pub fn read(bytes: impl Into<Bytes>) -> Result<Self, OnnxError> {
        Self::read_with(bytes, &BTreeMap::new())
    }

    /// Reads a model, with the files that it keeps weights in, by the names it calls them.
    ///
    /// # Errors
    /// Any [`OnnxError`] of reading: malformed bytes, limits, versions, tensors; all unsupported operators at once.
    /// Never panics, whatever the bytes.
    pub fn read_with(bytes: impl Into<Bytes>, external: &BTreeMap<String, Bytes>) -> Result<Self, OnnxError> {
        let bytes = bytes.into();
        scan::check(&bytes)?;
        let length = bytes.len();
        let message = ModelProto::decode(bytes)
            .map_err(|error| OnnxError::Malformed { bytes: length, reason: error.to_string() })?;
        check_ir_version(message.ir_version())?;
        let opset = opset(&message)?;
        let mut graph = message.graph.ok_or(OnnxError::Missing { what: "graph" })?;
        let mut functions = HashMap::new();
        for function in message.functions {
            functions.insert((function.domain().to_owned(), function.name().to_owned()), function);
        }
        check_supported(&graph, &functions)?;
        let weights = weights(std::mem::take(&mut graph.initializer), external)?;
        let inputs = graph.input.iter().filter(|input| !weights.contains_key(input.name())).map(port);
        let inputs = inputs.collect();
        let outputs: Vec<_> = graph.output.iter().map(port).collect();
        if outputs.is_empty() {
            return Err(OnnxError::Missing { what: "outputs" });
        }
        Ok(Self { graph, functions, opset, inputs, outputs, weights })
    }

    /// Inputs that are given at run time.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Names of all symbolic dimensions of the inputs.
    pub fn symbols(&self) -> BTreeSet<&str> {
        let dimensions = self.inputs.iter().flat_map(|port| port.shape.iter().flatten());
        dimensions
            .filter_map(|dim| if let Dimension::Symbol(name) = dim { Some(name.as_str()) } else { None })
            .collect()
    }

    /// Version of ONNX's own operator set that the model is written in.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Initialisers as stored, by name.
    pub fn weights(&self) -> &BTreeMap<String, Stored> {
        &self.weights
    }

    /// Puts another value in an initialiser's place, of the same shape: trained weights for those of the file.
    ///
    /// # Errors
    /// [`OnnxError::NoSuchName`] and [`OnnxError::WrongWeight`].
    pub fn set_weight(&mut self, name: &str, value: Stored) -> Result<(), OnnxError> {
        let Some(own) = self.weights.get_mut(name) else {
            return Err(OnnxError::NoSuchName { what: "initialiser", name: name.into() });
        };
        if own.shape() != value.shape() || own.element().is_float() != value.element().is_float() {
            let say = |stored: &Stored| format!("{:?} {:?}", stored.element(), stored.shape());
            return Err(OnnxError::WrongWeight { name: name.into(), given: say(&value), expected: say(own) });
        }
        *own = value;
        Ok(())
    }

    /// Lowers the model to a graph of these sizes.
    ///
    /// # Errors
    /// Sizes that are missing or contradict the model; nodes that do not lower, by name, operator and shapes.
    pub fn graph(&self, sizes: &Sizes) -> Result<Lowered, OnnxError> {
        lower::lower(self, sizes)
    }
}

fn check_ir_version(found: i64) -> Result<(), OnnxError> {
    if IR_VERSIONS.contains(&found) {
        return Ok(());
    }
    Err(OnnxError::IrVersion { found, oldest: *IR_VERSIONS.start(), newest: *IR_VERSIONS.end() })
}

/// Whether a domain is ONNX's own.
pub(crate) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn opset(message: &ModelProto) -> Result<i64, OnnxError> {
    let own = message.opset_import.iter().filter(|import| is_onnx(import.domain()));
    let found = own.map(|import| import.version()).max().unwrap_or(NEWEST_OPSET);
    if (OLDEST_OPSET..=NEWEST_OPSET).contains(&found) {
        return Ok(found);
    }
    Err(OnnxError::Opset { found, oldest: OLDEST_OPSET, newest: NEWEST_OPSET })
}

/// Collects every operator that has no lowering, those of subgraphs and functions included.
fn check_supported(graph: &GraphProto, functions: &HashMap<(String, String), FunctionProto>) -> Result<(), OnnxError> {
    let mut missing = BTreeMap::new();
    let mut nodes: Vec<&NodeProto> = graph.node.iter().collect();
    nodes.extend(functions.values().flat_map(|function| &function.node));
    while let Some(node) = nodes.pop() {
        let graphs = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        nodes.extend(graphs.flat_map(|graph| &graph.node));
        let key = (node.domain().to_owned(), node.op_type().to_owned());
        if lower::is_supported(&key.0, &key.1) || functions.contains_key(&key) {
            continue;
        }
        *missing.entry(key).or_insert(0) += 1;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.into_iter().take(MAX_NAMED_OPERATORS);
    Err(OnnxError::Unsupported {
        ops: named.map(|((domain, name), count)| UnsupportedOp { domain, name, count }).collect(),
    })
}

fn weights(
    initialisers: Vec<TensorProto>,
    external: &BTreeMap<String, Bytes>,
) -> Result<BTreeMap<String, Stored>, OnnxError> {
    let mut weights = BTreeMap::new();
    let limit = external.values().map(|file| file.len() as u64).sum::<u64>().saturating_mul(MAX_SHARING);
    let mut found = 0;
    for mut tensor in initialisers {
        if is_external(&tensor) {
            let bytes = find_external(&tensor, external)?;
            found += if bytes.len() > MAX_SHARED_FREELY { bytes.len() as u64 } else { 0 };
            if found > limit {
                return Err(OnnxError::TooLarge { what: "number of bytes of tensors in shared files", found, limit });
            }
            tensor.raw_data = Some(bytes);
        }
        let stored = Stored::from_proto(&tensor)
            .map_err(|reason| OnnxError::BadTensor { tensor: tensor.name().to_owned(), reason })?;
        weights.insert(tensor.name.unwrap_or_default(), stored);
    }
    Ok(weights)
}

fn find_external(tensor: &TensorProto, external: &BTreeMap<String, Bytes>) -> Result<Bytes, OnnxError> {
    let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value());
    let location = entry("location").unwrap_or_default();
    let Some(file) = external.get(location) else {
        return Err(OnnxError::ExternalData { tensor: tensor.name().to_owned(), location: location.to_owned() });
    };
    let number = |key: &str| entry(key).map(|text| text.parse::<u64>().unwrap_or(u64::MAX));
    let bytes = file.len() as u64;
    let offset = number("offset").unwrap_or(0);
    let length = number("length").unwrap_or(bytes.saturating_sub(offset));
    match offset.checked_add(length) {
        Some(end) if end <= bytes => Ok(file.slice(offset as usize..end as usize)),
        _ => Err(OnnxError::BadTensor {
            tensor: tensor.name().to_owned(),
            reason: TensorError::Place { offset, length, bytes },
        }),
    }
}

pub(crate) fn port(info: &ValueInfoProto) -> Port {
    let name = info.name().to_owned();
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|own| own.value.as_ref()) else {
        return Port { name, element: None, shape: None };
    };
    let element = Element::from_number(tensor.elem_type()).ok();
    let shape = tensor.shape.as_ref().map(|shape| {
        let each = shape.dim.iter().map(|dim| match &dim.value {
            // Some exporters write −1 for a dimension that is open.
            Some(dimension::Value::DimValue(size)) => u32::try_from(*size).map_or(Dimension::Open, Dimension::Fixed),
            Some(dimension::Value::DimParam(symbol)) if !symbol.is_empty() => Dimension::Symbol(symbol.clone()),
            _ => Dimension::Open,
        });
        each.collect()
    });
    Port { name, element, shape }
}

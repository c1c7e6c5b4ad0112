//! Walks the nodes of graphs: the model's own, the branch of an `If` whose condition is known, the body of a `Loop` whose
//! trip count is known, and the functions that a model defines itself.

use std::collections::HashMap;

use super::{call::Call, context::Lowering, table, value::Value};
use crate::{
    element::Element,
    error::{NodeError, OnnxError},
    limits::{MAX_NAMED_BYTES, MAX_NESTING, MAX_NODES, OWN_DOMAIN},
    model::{Model, is_onnx},
    proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto},
};

/// Values by name.
pub(super) type Names = HashMap<String, Value>;

pub(super) struct Walk<'a, 'b> {
    model: &'a Model,
    low: &'a mut Lowering<'b>,
    visited: usize,
    nesting: usize,
    /// Version of ONNX's operators, which a function may declare for itself.
    version: i64,
}

/// Whether an operator contains graphs rather than having a function in the table.
pub(super) fn is_control(domain: &str, name: &str) -> bool {
    is_onnx(domain) && matches!(name, "If" | "Loop")
}

impl<'a, 'b> Walk<'a, 'b> {
    pub(super) fn new(model: &'a Model, low: &'a mut Lowering<'b>) -> Self {
        Self { model, low, visited: 0, nesting: 0, version: model.opset }
    }

    /// Lowers nodes in order; their outputs are added to the names.
    pub(super) fn nodes(&mut self, nodes: &[NodeProto], names: &mut Names) -> Result<(), OnnxError> {
        for node in nodes {
            let outputs = self.node(node, names).map_err(|error| self.at(node, error))?;
            for (name, value) in node.output.iter().zip(outputs) {
                names.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn at(&self, node: &NodeProto, error: NodeError) -> OnnxError {
        let name = if node.name().is_empty() { node.output.first().map_or("", String::as_str) } else { node.name() };
        let short = |text: &str| text.chars().take(MAX_NAMED_BYTES).collect();
        OnnxError::Node { node: short(name), op: short(node.op_type()), version: self.version, error: Box::new(error) }
    }

    fn node(&mut self, node: &NodeProto, names: &mut Names) -> Result<Vec<Value>, NodeError> {
        self.visit(1)?;
        self.low.budget.spend(listed(node))?;
        let mut inputs = Vec::with_capacity(node.input.len());
        for (index, name) in node.input.iter().enumerate() {
            inputs.push(match names.get(name) {
                Some(value) => Some(self.low.read(value)),
                None if name.is_empty() => None,
                None => return Err(NodeError::MissingInput { index, name: name.clone() }),
            });
        }
        let call = Call { node, inputs, version: self.version };
        let key = (node.domain().to_owned(), node.op_type().to_owned());
        // Ours are known by their names, whatever a file says that they mean.
        if let Some(lower) = table::find(OWN_DOMAIN, node.op_type()).filter(|_| node.domain() == OWN_DOMAIN) {
            return lower(self.low, &call);
        }
        if let Some(function) = self.model.functions.get(&key) {
            return self.nested(|walk| walk.function(function, &call));
        }
        match node.op_type() {
            "If" => self.nested(|walk| walk.branch(&call, names)),
            "Loop" => self.nested(|walk| walk.unroll(&call, names)),
            _ => {
                let lowering = table::find(node.domain(), node.op_type());
                lowering.ok_or(NodeError::Unsupported("the operator"))?(self.low, &call)
            }
        }
    }

    fn visit(&mut self, nodes: usize) -> Result<(), NodeError> {
        self.visited += nodes;
        if self.visited <= MAX_NODES {
            return Ok(());
        }
        let (found, limit) = (self.visited as u64, MAX_NODES as u64);
        Err(NodeError::TooLarge { what: "number of nodes, unfolded", found, limit })
    }

    fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, NodeError>) -> Result<T, NodeError> {
        let version = self.version;
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let (found, limit) = (self.nesting as u64, MAX_NESTING as u64);
            return Err(NodeError::TooLarge { what: "nesting of graphs and functions", found, limit });
        }
        let made = run(self);
        self.nesting -= 1;
        self.version = version;
        made
    }

    /// Names for a subgraph. It may be empty: each visit counts by itself, and for the names that it copies.
    fn around(&mut self, names: &Names) -> Result<Names, NodeError> {
        self.visit(1 + names.len() / 16)?;
        Ok(names.clone())
    }

    /// A subgraph sees the names around it.
    fn graph(&mut self, graph: &GraphProto, mut names: Names) -> Result<Vec<Value>, NodeError> {
        for tensor in &graph.initializer {
            self.low.budget.spend(numbers(tensor))?;
            names.insert(tensor.name().to_owned(), self.low.constant(tensor)?);
        }
        self.nodes(&graph.node, &mut names).map_err(|error| NodeError::Inner(Box::new(error)))?;
        self.named(graph.output.iter().map(|output| output.name()), &names)
    }

    fn branch(&mut self, call: &Call<'_>, names: &Names) -> Result<Vec<Value>, NodeError> {
        let is_true = call.integers(self.low, 0)?.first().is_some_and(|condition| *condition != 0);
        let name = if is_true { "then_branch" } else { "else_branch" };
        let graph = call.attribute(name).and_then(|attribute| attribute.g.as_deref());
        let around = self.around(names)?;
        self.graph(graph.ok_or(NodeError::MissingAttribute(name))?, around)
    }

    /// Repeats the body as often as the trip count and the condition say; both must be known.
    fn unroll(&mut self, call: &Call<'_>, names: &Names) -> Result<Vec<Value>, NodeError> {
        let count = call.optional_integers(self.low, 0)?.and_then(|values| values.first().copied()).unwrap_or(i64::MAX);
        let first = |values: Vec<i64>| values.first().copied();
        let mut goes_on = call.optional_integers(self.low, 1)?.and_then(first).unwrap_or(1) != 0;
        let body = call.attribute("body").and_then(|attribute| attribute.g.as_deref());
        let body = body.ok_or(NodeError::MissingAttribute("body"))?;
        let mut carried: Vec<Value> =
            (2..call.inputs.len()).map(|at| call.input(at).cloned()).collect::<Result<_, _>>()?;
        let mut scanned: Vec<Vec<Value>> = Vec::new();
        let mut step = 0;
        while goes_on && step < count {
            let mut inner = self.around(names)?;
            let values = [Value::scalar(Element::I64, step as f64), Value::scalar(Element::Bool, 1.0)];
            for (input, value) in body.input.iter().zip(values.iter().chain(&carried)) {
                inner.insert(input.name().to_owned(), value.clone());
            }
            let mut made = self.graph(body, inner)?.into_iter();
            let condition = made.next().ok_or(NodeError::MissingAttribute("body"))?;
            let known = condition.integers().and_then(|values| values.first().copied());
            goes_on = known.ok_or(NodeError::Unsupported("a loop that ends by what it computes"))? != 0;
            for value in &mut carried {
                *value = made.next().ok_or(NodeError::MissingAttribute("body"))?;
            }
            let rest: Vec<Value> = made.collect();
            scanned.resize(rest.len(), Vec::new());
            for (all, value) in scanned.iter_mut().zip(rest) {
                all.push(self.stacked(&value)?);
            }
            step += 1;
        }
        for all in scanned {
            carried.push(self.low.concat(&all, 0)?);
        }
        if carried.len() < call.outputs() {
            return Err(NodeError::Unsupported("a loop that collects nothing"));
        }
        Ok(carried)
    }

    fn stacked(&mut self, value: &Value) -> Result<Value, NodeError> {
        let shape = [&[1], value.shape.as_slice()].concat();
        self.low.reshape(value, &shape)
    }

    /// A function sees its inputs alone; its nodes may refer to the call's attributes.
    fn function(&mut self, function: &FunctionProto, call: &Call<'_>) -> Result<Vec<Value>, NodeError> {
        let mut names = Names::new();
        for (name, value) in function.input.iter().zip(&call.inputs) {
            if let Some(value) = value {
                names.insert(name.clone(), value.clone());
            }
        }
        let given = &call.node.attribute;
        let attribute =
            |name: &str| given.iter().chain(&function.attribute_proto).find(|attribute| attribute.name() == name);
        let own = function.opset_import.iter().find(|import| is_onnx(import.domain()));
        self.version = own.map_or(self.version, |import| import.version());
        for node in &function.node {
            // Before the copy, which a call would otherwise have for nothing.
            self.low.budget.spend(listed(node))?;
            let node = resolved(node, &attribute);
            self.nodes(&[node], &mut names).map_err(|error| NodeError::Inner(Box::new(error)))?;
        }
        self.named(function.output.iter().map(String::as_str), &names)
    }

    fn named<'c>(&mut self, outputs: impl Iterator<Item = &'c str>, names: &Names) -> Result<Vec<Value>, NodeError> {
        let find = |(index, name): (usize, &str)| match names.get(name) {
            Some(value) => Ok(self.low.read(value)),
            None => Err(NodeError::MissingInput { index, name: name.to_owned() }),
        };
        outputs.enumerate().map(find).collect()
    }
}

/// What a node lists: names, attributes, and the numbers in them, which are copied each time that it is lowered.
fn listed(node: &NodeProto) -> u64 {
    let of = |attribute: &AttributeProto| {
        let lists = attribute.ints.len() + attribute.floats.len() + attribute.strings.len();
        1 + lists as u64 + attribute.t.as_deref().map_or(0, numbers)
    };
    (node.input.len() + node.output.len()) as u64 + node.attribute.iter().map(of).sum::<u64>()
}

/// Numbers of a tensor that are stored one by one rather than as a piece of the file.
fn numbers(tensor: &TensorProto) -> u64 {
    let integers = tensor.int32_data.len() + tensor.int64_data.len() + tensor.uint64_data.len();
    (integers + tensor.float_data.len() + tensor.double_data.len()) as u64
}

/// A function's node with the attributes that it takes from the call.
fn resolved<'a>(node: &NodeProto, given: &impl Fn(&str) -> Option<&'a AttributeProto>) -> NodeProto {
    let mut node = node.clone();
    node.attribute = node
        .attribute
        .into_iter()
        .filter_map(|attribute| match attribute.ref_attr_name() {
            "" => Some(attribute),
            from => given(from).map(|value| AttributeProto { name: attribute.name.clone(), ..value.clone() }),
        })
        .collect();
    node
}

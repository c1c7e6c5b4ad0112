//! Builds a graph node by node. Shapes are inferred as nodes are added, so an error points at the node that caused it.

use crate::{
    error::GraphError,
    graph::{Graph, Node, Parts, ValueId, check_counts},
    op::{ConvGeometry, Op, TensorType},
};

/// A graph under construction. Ids from one builder mean nothing to another.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    types: Vec<TensorType>,
    inputs: Vec<(String, ValueId)>,
    nodes: Vec<Node>,
    outputs: Vec<(String, ValueId)>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a named input.
    ///
    /// # Errors
    /// [`GraphError::TooLarge`] or [`GraphError::Zero`] for a shape outside the limits.
    pub fn input(&mut self, name: impl Into<String>, tensor_type: TensorType) -> Result<ValueId, GraphError> {
        tensor_type.check()?;
        let value = self.value(tensor_type);
        self.inputs.push((name.into(), value));
        Ok(value)
    }

    /// Adds an operation and returns what it makes.
    ///
    /// # Errors
    /// Whatever shape inference refuses, and too many nodes.
    pub fn apply(&mut self, op: Op, inputs: &[ValueId]) -> Result<Vec<ValueId>, GraphError> {
        check_counts(self.types.len(), self.nodes.len() + 1, 0)?;
        let operands = inputs
            .iter()
            .map(|value| {
                self.types
                    .get(value.index())
                    .ok_or(GraphError::NoSuchValue { value: value.0, values: self.types.len() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let results = op.infer(&operands)?;
        let outputs: Vec<ValueId> = results.into_iter().map(|result| self.value(result)).collect();
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    /// [`Self::apply`] for an operation with one result.
    pub fn apply_one(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        let name = op.name();
        let made = self.apply(op, inputs)?;
        match made[..] {
            [value] => Ok(value),
            _ => Err(GraphError::Arity { op: name, what: "outputs", expected: 1, found: made.len() }),
        }
    }

    /// a·b with optional transposition of either.
    pub fn mat_mul(&mut self, a: ValueId, b: ValueId, trans_a: bool, trans_b: bool) -> Result<ValueId, GraphError> {
        self.apply_one(Op::MatMul { trans_a, trans_b }, &[a, b])
    }

    /// Convolution of x \[n, c, h, w\] with weight \[o, c, kh, kw\].
    pub fn conv2d(&mut self, x: ValueId, weight: ValueId, stride: u32, padding: u32) -> Result<ValueId, GraphError> {
        self.apply_one(Op::Conv2d(ConvGeometry { stride, padding }), &[x, weight])
    }

    /// Names a value as an output.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push((name.into(), value));
    }

    /// Type of a value made so far.
    pub fn value_type(&self, value: ValueId) -> &TensorType {
        &self.types[value.index()]
    }

    /// Named inputs added so far.
    pub fn inputs(&self) -> &[(String, ValueId)] {
        &self.inputs
    }

    /// Nodes added so far.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Number of values made so far.
    pub(crate) fn values(&self) -> usize {
        self.types.len()
    }

    /// Validates and finishes.
    ///
    /// # Errors
    /// Names that are missing or used twice, no outputs, and anything beyond the limits.
    pub fn finish(self) -> Result<Graph, GraphError> {
        Graph::validate(Parts { types: self.types, inputs: self.inputs, nodes: self.nodes, outputs: self.outputs })
    }

    fn value(&mut self, tensor_type: TensorType) -> ValueId {
        let value = ValueId(self.types.len() as u32);
        self.types.push(tensor_type);
        value
    }
}

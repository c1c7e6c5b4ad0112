//! Builds a graph node by node. Shapes are inferred as nodes are added, so an error points at the node that caused it.

use crate::{
    error::GraphError,
    graph::{Graph, Node, Parts, ValueId, check_counts},
    op::{Op, TensorType},
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

    /// A graph's inputs and nodes to go on with; ids of its values stay. Its outputs are not taken over.
    pub fn continuing(graph: &Graph) -> Self {
        let (types, inputs, nodes) = (graph.types.clone(), graph.inputs.clone(), graph.nodes.clone());
        Self { types, inputs, nodes, outputs: Vec::new() }
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

    /// Adds an operation and returns what it makes. A pad of −0 becomes one of +0, which is all that its bytes can say.
    ///
    /// # Errors
    /// Whatever shape inference refuses, and too many nodes.
    pub fn apply(&mut self, mut op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        if let Op::Pad { value, .. } = &mut op {
            *value += 0.0;
        }
        check_counts(self.types.len() + 1, self.nodes.len() + 1, 0)?;
        let operands = inputs
            .iter()
            .map(|value| {
                self.types
                    .get(value.index())
                    .ok_or(GraphError::NoSuchValue { value: value.0, values: self.types.len() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let result = op.infer(&operands)?;
        let output = self.value(result);
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// Names a value as an output.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push((name.into(), value));
    }

    /// Shape of a value made so far.
    pub fn shape(&self, value: ValueId) -> &[u32] {
        &self.types[value.index()].shape
    }

    /// Type of a value made so far.
    pub fn value_type(&self, value: ValueId) -> &TensorType {
        &self.types[value.index()]
    }

    /// Named inputs added so far.
    pub fn inputs(&self) -> &[(String, ValueId)] {
        &self.inputs
    }

    /// Named outputs so far.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
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

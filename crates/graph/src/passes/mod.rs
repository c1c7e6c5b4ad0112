//! Rewrites of whole graphs. Each takes a valid graph and makes another with the same inputs and the same outputs, bit for
//! bit in every arithmetic: nothing is reordered or rounded otherwise. [`simplify`] drops work, [`recompute`] adds
//! work to hold less memory; simplify first, for it would merge what the other repeats.

mod common;
mod dead;
mod fold;
mod recompute;

pub use common::merge_common;
pub use dead::drop_dead;
pub use fold::fold_constants;
pub use recompute::recompute;

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::{Graph, Node, ValueId},
};

/// Constants folded, equal nodes merged, dead ones dropped.
///
/// # Errors
/// None for a graph within the limits, but folded constants may take it over [`crate::limits::MAX_GRAPH_BYTES`].
pub fn simplify(graph: &Graph) -> Result<Graph, GraphError> {
    drop_dead(&merge_common(&fold_constants(graph)?)?)
}

/// A graph that is being written anew.
pub(crate) struct Rewriting<'a> {
    graph: &'a Graph,
    pub(crate) builder: GraphBuilder,
    /// Where each old value is in the new graph.
    new: Vec<Option<ValueId>>,
}

impl<'a> Rewriting<'a> {
    /// With the inputs, which a rewrite never drops: they are what the graph is called with.
    pub(crate) fn new(graph: &'a Graph) -> Result<Self, GraphError> {
        let mut rewriting = Self { graph, builder: GraphBuilder::new(), new: vec![None; graph.types().len()] };
        for (name, value) in graph.inputs() {
            let made = rewriting.builder.input(name, graph.value_type(*value).clone())?;
            rewriting.new[value.index()] = Some(made);
        }
        Ok(rewriting)
    }

    pub(crate) fn get(&self, value: ValueId) -> ValueId {
        self.new[value.index()].expect("nodes are rewritten in their order, and no operand of a kept one is dropped")
    }

    fn operands(&self, node: &Node) -> Vec<ValueId> {
        node.inputs.iter().map(|value| self.get(*value)).collect()
    }

    pub(crate) fn keep(&mut self, node: &Node) -> Result<(), GraphError> {
        let made = self.builder.apply(node.op.clone(), &self.operands(node))?;
        self.new[node.output.index()] = Some(made);
        Ok(())
    }

    /// Puts another value of the new graph in the place of an old one.
    pub(crate) fn replace(&mut self, old: ValueId, new: ValueId) {
        self.new[old.index()] = Some(new);
    }

    pub(crate) fn finish(mut self) -> Result<Graph, GraphError> {
        for (name, value) in self.graph.outputs() {
            let made = self.get(*value);
            self.builder.output(name, made);
        }
        self.builder.finish()
    }
}

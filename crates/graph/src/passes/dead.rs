//! Nodes that no output depends on.

use super::Rewriting;
use crate::{error::GraphError, graph::Graph};

/// The graph without nodes that no output depends on. Inputs stay, used or not.
///
/// # Errors
/// None for a graph within the limits.
pub fn drop_dead(graph: &Graph) -> Result<Graph, GraphError> {
    let mut needed = vec![false; graph.types().len()];
    for (_, value) in graph.outputs() {
        needed[value.index()] = true;
    }
    for node in graph.nodes().iter().rev() {
        if needed[node.output.index()] {
            node.inputs.iter().for_each(|value| needed[value.index()] = true);
        }
    }
    let mut rewriting = Rewriting::new(graph)?;
    for node in graph.nodes().iter().filter(|node| needed[node.output.index()]) {
        rewriting.keep(node)?;
    }
    rewriting.finish()
}

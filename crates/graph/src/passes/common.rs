//! Nodes that compute the same from the same.

use std::collections::HashMap;

use prost::Message;
use shoal_wire::proto;

use super::Rewriting;
use crate::{convert::op_to_proto, error::GraphError, graph::Graph};

/// The graph with each operation done once on the same operands; every operation is a function of its operands alone.
///
/// # Errors
/// None for a graph within the limits.
pub fn merge_common(graph: &Graph) -> Result<Graph, GraphError> {
    let mut rewriting = Rewriting::new(graph)?;
    let mut known = HashMap::new();
    for node in graph.nodes() {
        let inputs = rewriting.operands(node).iter().map(|value| value.0).collect();
        let key = proto::Node { inputs, output: 0, op: Some(op_to_proto(&node.op)) }.encode_to_vec();
        if let Some(made) = known.get(&key) {
            rewriting.new[node.output.index()] = Some(*made);
            continue;
        }
        rewriting.keep(node)?;
        known.insert(key, rewriting.get(node.output));
    }
    rewriting.finish()
}

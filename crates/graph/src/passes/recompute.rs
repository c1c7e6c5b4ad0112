//! Training in less memory: forward values are dropped and computed again where the backward part reads them (Chen et al.
//! 2016, *Training Deep Nets with Sublinear Memory Cost*). The forward nodes are cut into segments of about equal
//! bytes; what a later segment reads stays, what is within a segment is computed again from there. Every node that is
//! repeated has the same operands, so no bit of any output changes.

use super::Rewriting;
use crate::{
    error::GraphError,
    graph::{Graph, Node, ValueId},
};

/// The graph rewritten so that its peak memory is `budget_bytes` at most, with the fewest operations among the cuts that are
/// tried. `loss` names the output where the forward part ends.
///
/// # Errors
/// [`GraphError::TooLarge`] with the least peak that some cut reaches; [`GraphError::BadName`] without such an output.
pub fn recompute(graph: &Graph, loss: &str, budget_bytes: u64) -> Result<Graph, GraphError> {
    let forward = forward_len(graph, loss)?;
    if graph.peak_memory_bytes() <= budget_bytes {
        return Ok(graph.clone());
    }
    let mut least = graph.peak_memory_bytes();
    let mut best: Option<Graph> = None;
    let mut segments = 1;
    while segments <= forward {
        if let Ok(rewritten) = rewrite(graph, forward, segments) {
            let peak = rewritten.peak_memory_bytes();
            least = least.min(peak);
            let is_better = best.as_ref().is_none_or(|best| rewritten.reference_ops() < best.reference_ops());
            if peak <= budget_bytes && is_better {
                best = Some(rewritten);
            }
        }
        // A third more each time: some forty cuts for the largest graphs.
        segments += segments.div_ceil(3);
    }
    let what = "peak memory in bytes, forward values computed again";
    best.ok_or(GraphError::TooLarge { what, found: least, limit: budget_bytes })
}

/// Nodes up to the one that makes the loss.
fn forward_len(graph: &Graph, loss: &str) -> Result<usize, GraphError> {
    let named = graph.outputs().iter().find(|(name, _)| name == loss);
    named
        .and_then(|(_, value)| graph.nodes().iter().position(|node| node.output == *value))
        .map(|at| at + 1)
        .ok_or_else(|| GraphError::BadName { name: loss.to_owned(), reason: "no node makes an output of that name" })
}

fn rewrite(graph: &Graph, forward: usize, segments: usize) -> Result<Graph, GraphError> {
    let maker = makers(graph);
    let kept = kept(graph, forward, &segment_of(graph, forward, segments));
    let mut rewriting = Rewriting::new(graph)?;
    for node in &graph.nodes()[..forward] {
        rewriting.keep(node)?;
    }
    // From here on a value that is not kept stands for what is computed again, and for nothing until then.
    for node in &graph.nodes()[..forward] {
        if !kept[node.output.index()] {
            rewriting.new[node.output.index()] = None;
        }
    }
    for node in &graph.nodes()[forward..] {
        for again in missing(graph, &rewriting, &maker, node) {
            rewriting.keep(&graph.nodes()[again])?;
        }
        rewriting.keep(node)?;
    }
    rewriting.finish()
}

/// Positions, in order, of the forward nodes to repeat before a node can be computed.
fn missing(graph: &Graph, rewriting: &Rewriting<'_>, maker: &[Option<usize>], node: &Node) -> Vec<usize> {
    let is_missing = |value: &ValueId| rewriting.new[value.index()].is_none();
    let mut open: Vec<ValueId> = node.inputs.iter().copied().filter(is_missing).collect();
    let mut again = std::collections::BTreeSet::new();
    while let Some(value) = open.pop() {
        let at = maker[value.index()].expect("inputs are never dropped");
        if again.insert(at) {
            open.extend(graph.nodes()[at].inputs.iter().copied().filter(is_missing));
        }
    }
    again.into_iter().collect()
}

/// Position of the node that makes each value.
fn makers(graph: &Graph) -> Vec<Option<usize>> {
    let mut maker = vec![None; graph.types().len()];
    for (at, node) in graph.nodes().iter().enumerate() {
        maker[node.output.index()] = Some(at);
    }
    maker
}

/// Segment of each forward node: the share of the bytes made before it.
fn segment_of(graph: &Graph, forward: usize, segments: usize) -> Vec<u64> {
    let bytes = |node: &Node| graph.value_type(node.output).bytes();
    let total: u64 = graph.nodes()[..forward].iter().map(bytes).sum();
    let mut before = 0;
    let share = |node: &Node| {
        let segment = u128::from(before) * segments as u128 / u128::from(total.max(1));
        before += bytes(node);
        segment as u64
    };
    graph.nodes()[..forward].iter().map(share).collect()
}

/// Which values stay: inputs, outputs, and forward values that another segment reads.
fn kept(graph: &Graph, forward: usize, segment: &[u64]) -> Vec<bool> {
    let maker = makers(graph);
    let mut kept = vec![false; graph.types().len()];
    for (_, value) in graph.inputs().iter().chain(graph.outputs()) {
        kept[value.index()] = true;
    }
    for (at, node) in graph.nodes()[..forward].iter().enumerate() {
        for value in &node.inputs {
            if maker[value.index()].is_some_and(|made| segment[made] != segment[at]) {
                kept[value.index()] = true;
            }
        }
    }
    kept
}

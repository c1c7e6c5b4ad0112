//! Which element-wise operations run as one loop.
//!
//! Nodes are taken in order. An element-wise node joins the open group of its result's shape; a group is closed, and runs,
//! before anything outside it reads what it makes, and all are closed before any other kind of operation, so that
//! values live no longer than in the graph's own order.

use std::collections::BTreeSet;

use shoal_graph::{DType, Graph, Node, Op, ValueId};

use super::{
    attention::{self, Attention},
    convolution::{self, Convolution},
    fused::Fused,
    planner,
};

/// What is run at once.
#[derive(Debug)]
pub(crate) enum Step {
    /// One node, by its index.
    Node(usize),
    /// Several element-wise nodes.
    Fused(Fused),
    /// Two products and what is between them.
    Attention(Attention),
    /// A convolution with its bias.
    Convolution(Convolution),
}

impl Step {
    /// Calls `f` with every value that the step reads or makes for others.
    pub(crate) fn for_each_value(&self, graph: &Graph, f: impl FnMut(ValueId)) {
        match self {
            Step::Node(index) => {
                let node = &graph.nodes()[*index];
                node.inputs.iter().copied().chain([node.output]).for_each(f);
            }
            Step::Fused(fused) => fused.values().for_each(f),
            Step::Attention(attention) => attention.values(graph).for_each(f),
            Step::Convolution(convolution) => convolution.values(graph).for_each(f),
        }
    }
}

/// Element-wise nodes of one shape that are not closed yet.
#[derive(Default)]
struct Group {
    nodes: Vec<usize>,
    makes: BTreeSet<ValueId>,
}

/// How much one loop may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Nodes of a group.
    pub(crate) nodes: usize,
    /// Values that a group reads and makes for others.
    pub(crate) values: usize,
}

impl Limits {
    fn hold(self, nodes: usize, fused: &Fused) -> bool {
        nodes <= self.nodes && fused.operands.len() + fused.results.len() <= self.values
    }
}

/// The order in which a graph runs on the CPU.
pub(super) fn steps(graph: &Graph) -> Vec<Step> {
    let readers = readers(graph);
    let steps = loops_of(graph, &readers, Limits { nodes: usize::MAX, values: usize::MAX });
    let steps = attention::find(graph, steps, &readers);
    convolution::find(graph, steps, &readers)
}

/// The order in which a graph runs where loops have limits and attention is step by step.
#[cfg(all(feature = "webgpu", target_arch = "wasm32"))]
pub(crate) fn loops(graph: &Graph, limits: Limits) -> Vec<Step> {
    loops_of(graph, &readers(graph), limits)
}

fn loops_of(graph: &Graph, readers: &[Readers], limits: Limits) -> Vec<Step> {
    let mut steps = Vec::new();
    let close = |steps: &mut Vec<Step>, group: Group| fuse(graph, readers, limits, &group.nodes, steps);
    let mut open: Vec<Group> = Vec::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        if node.inputs.is_empty() {
            steps.push(Step::Node(index));
            continue;
        }
        let joins = is_fusable(graph, node);
        // Reshaping only looks at a value under another shape.
        let closes_all = !joins && !matches!(node.op, Op::Reshape { .. });
        let shape = &graph.value_type(node.output).shape;
        let mut own = Group::default();
        for group in std::mem::take(&mut open) {
            let group_shape = &graph.value_type(graph.nodes()[group.nodes[0]].output).shape;
            if joins && group_shape == shape {
                own = group;
            } else if closes_all || node.inputs.iter().any(|input| group.makes.contains(input)) {
                close(&mut steps, group);
            } else {
                open.push(group);
            }
        }
        if joins {
            own.nodes.push(index);
            own.makes.insert(node.output);
            open.push(own);
        } else {
            steps.push(Step::Node(index));
        }
    }
    for group in open {
        close(&mut steps, group);
    }
    steps
}

/// One loop of the nodes, or halves that are within the limits.
fn fuse(graph: &Graph, readers: &[Readers], limits: Limits, nodes: &[usize], steps: &mut Vec<Step>) {
    let is_read_outside = |value: &ValueId| {
        let readers = &readers[value.index()];
        readers.is_output || readers.nodes.iter().any(|reader| nodes.binary_search(reader).is_err())
    };
    let outputs: Vec<ValueId> = nodes.iter().map(|node| graph.nodes()[*node].output).filter(is_read_outside).collect();
    let fused = planner::plan(graph, nodes, &outputs);
    if limits.hold(nodes.len(), &fused) || nodes.len() == 1 {
        steps.push(Step::Fused(fused));
        return;
    }
    let (first, second) = nodes.split_at(nodes.len() / 2);
    fuse(graph, readers, limits, first, steps);
    fuse(graph, readers, limits, second, steps);
}

fn is_fusable(graph: &Graph, node: &Node) -> bool {
    let is_wide = |value: &ValueId| matches!(graph.value_type(*value).dtype, DType::F32 | DType::I32);
    let is_pointwise = node.op.is_elementwise() || matches!(node.op, Op::Broadcast { .. });
    is_pointwise && is_wide(&node.output) && node.inputs.iter().all(is_wide)
}

/// Who reads a value.
#[derive(Clone, Default)]
pub(super) struct Readers {
    nodes: Vec<usize>,
    is_output: bool,
}

impl Readers {
    /// Whether one node alone does.
    pub(super) fn is_one_node(&self) -> bool {
        self.nodes.len() == 1 && !self.is_output
    }

    /// Whether nothing but a loop does.
    pub(super) fn are_within(&self, fused: &Fused) -> bool {
        !self.is_output && self.nodes.iter().all(|node| fused.contains(*node))
    }
}

fn readers(graph: &Graph) -> Vec<Readers> {
    let mut readers = vec![Readers::default(); graph.types().len()];
    for (index, node) in graph.nodes().iter().enumerate() {
        for input in &node.inputs {
            readers[input.index()].nodes.push(index);
        }
    }
    for (_, value) in graph.outputs() {
        readers[value.index()].is_output = true;
    }
    readers
}

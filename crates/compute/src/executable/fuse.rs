//! Which element-wise operations run as one loop.
//!
//! Nodes are taken in order. An element-wise node joins the open group of its result's shape; a group is closed, and runs,
//! before anything outside it reads what it makes, and all are closed before any other kind of operation, so that
//! values live no longer than in the graph's own order.

use std::collections::BTreeSet;

use shoal_graph::{DType, Graph, Node, Op, ValueId};

use super::{
    attention::{self, Attention},
    fused::Fused,
    planner,
};

/// What is run at once.
#[derive(Debug)]
pub(super) enum Step {
    /// One node, by its index.
    Node(usize),
    /// Several element-wise nodes.
    Fused(Fused),
    /// Two products and what is between them.
    Attention(Attention),
}

impl Step {
    /// Calls `f` with every value that the step reads or makes for others.
    pub(super) fn for_each_value(&self, graph: &Graph, f: impl FnMut(ValueId)) {
        match self {
            Step::Node(index) => {
                let node = &graph.nodes()[*index];
                node.inputs.iter().copied().chain([node.output]).for_each(f);
            }
            Step::Fused(fused) => fused.values().for_each(f),
            Step::Attention(attention) => attention.values(graph).for_each(f),
        }
    }
}

/// Element-wise nodes of one shape that are not closed yet.
#[derive(Default)]
struct Group {
    nodes: Vec<usize>,
    makes: BTreeSet<ValueId>,
}

/// The order in which a graph runs.
pub(super) fn steps(graph: &Graph) -> Vec<Step> {
    let readers = readers(graph);
    let mut steps = Vec::new();
    let close = |steps: &mut Vec<Step>, group: Group| {
        let is_read_outside = |value: &ValueId| {
            let readers = &readers[value.index()];
            readers.is_output || readers.nodes.iter().any(|reader| group.nodes.binary_search(reader).is_err())
        };
        let outputs: Vec<ValueId> = group.makes.iter().copied().filter(is_read_outside).collect();
        steps.push(Step::Fused(planner::plan(graph, &group.nodes, &outputs)));
    };
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
    attention::find(graph, steps, &readers)
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

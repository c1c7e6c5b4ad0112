//! Which element-wise operations run as one loop.
//!
//! Nodes are taken in order. An element-wise node joins the open group of its result's shape; a group is closed, and runs,
//! before anything outside it reads what it makes, and all are closed before any other kind of operation, so that
//! values live no longer than in the graph's own order.

use std::collections::{BTreeMap, HashMap};

use shoal_graph::{DType, Graph, Node, Op, ValueId};

use super::{
    FIXED_BYTES,
    attention::{self, Attention},
    convolution::{self, Convolution},
    looks::look,
    loops::{BLOCK, Loop},
    planner,
};

/// What is run at once.
#[derive(Debug)]
pub(crate) enum Step {
    /// One node, by its index.
    Node(usize),
    /// Several element-wise nodes.
    Loop(Loop),
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
            Step::Loop(group) => group.values().for_each(f),
            Step::Attention(attention) => attention.values(graph).for_each(f),
            Step::Convolution(convolution) => convolution.values(graph).for_each(f),
        }
    }
}

/// Nodes of a loop on the CPU at most. Each makes a block of its own at most and loads three, so that the registers of a
/// loop stay within the bytes that are set aside for them.
const MAX_LOOP_NODES: usize = 128;

const _: () = assert!(MAX_LOOP_NODES * 4 * BLOCK * 4 <= FIXED_BYTES as usize, "registers have room");

/// How much one loop may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Nodes of a group.
    pub(crate) nodes: usize,
    /// Values that a group reads and makes for others.
    pub(crate) values: usize,
}

impl Limits {
    fn hold(self, group: &Loop) -> bool {
        group.operands.len() + group.results.len() <= self.values
    }
}

/// The order in which a graph runs on the CPU.
pub(super) fn steps(graph: &Graph) -> Vec<Step> {
    let readers = readers(graph);
    let limits = Limits { nodes: MAX_LOOP_NODES, values: usize::MAX };
    let steps = loops_of(graph, &readers, limits, true);
    let steps = attention::find(graph, steps, &readers, &|_, _, _| true);
    convolution::find(graph, steps, &readers)
}

/// The order in which a graph runs where loops have limits and no bytes, and some attentions are too much for one step.
#[cfg(feature = "webgpu")]
pub(crate) fn loops(graph: &Graph, limits: Limits, accepts: attention::Accepts<'_>) -> Vec<Step> {
    let readers = readers(graph);
    let steps = loops_of(graph, &readers, limits, false);
    attention::find(graph, steps, &readers, accepts)
}

/// `with_bytes`: whether loops read and make bytes too.
fn loops_of(graph: &Graph, readers: &[Readers], limits: Limits, with_bytes: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open = Open::default();
    for (index, node) in graph.nodes().iter().enumerate() {
        look(1 + node.inputs.len());
        if node.inputs.is_empty() {
            steps.push(Step::Node(index));
            continue;
        }
        let joins = is_fusable(graph, node, with_bytes);
        let shape = graph.value_type(node.output).shape.as_slice();
        // Reshaping only looks at a value under another shape.
        let closed = match joins || matches!(node.op, Op::Reshape { .. }) {
            true => open.close_read(node, joins.then_some(shape)),
            false => open.close_all(),
        };
        for nodes in closed {
            fuse(graph, readers, limits, &nodes, &mut steps);
        }
        if joins {
            open.join(index, node.output, shape);
        } else {
            steps.push(Step::Node(index));
        }
    }
    for nodes in open.close_all() {
        fuse(graph, readers, limits, &nodes, &mut steps);
    }
    steps
}

/// Groups of element-wise nodes of one shape that are not closed yet, by the turn at which each was joined last.
#[derive(Default)]
struct Open<'g> {
    groups: BTreeMap<usize, Group<'g>>,
    turn_of: HashMap<&'g [u32], usize>,
    /// Shape of the group that makes a value.
    makes: HashMap<ValueId, &'g [u32]>,
}

struct Group<'g> {
    shape: &'g [u32],
    nodes: Vec<usize>,
    made: Vec<ValueId>,
}

impl<'g> Open<'g> {
    fn join(&mut self, index: usize, made: ValueId, shape: &'g [u32]) {
        let own = self.turn_of.get(shape).and_then(|turn| self.groups.remove(turn));
        let mut own = own.unwrap_or_else(|| Group { shape, nodes: Vec::new(), made: Vec::new() });
        own.nodes.push(index);
        own.made.push(made);
        self.turn_of.insert(shape, index);
        self.makes.insert(made, shape);
        self.groups.insert(index, own);
    }

    /// Closes those that make what the node reads, but for one of the shape `but`; their nodes, group after group.
    fn close_read(&mut self, node: &Node, but: Option<&[u32]>) -> Vec<Vec<usize>> {
        let shapes = node.inputs.iter().filter_map(|input| self.makes.get(input)).filter(|shape| Some(**shape) != but);
        let mut turns: Vec<usize> = shapes.map(|shape| self.turn_of[shape]).collect();
        turns.sort_unstable();
        turns.dedup();
        turns.into_iter().map(|turn| self.close(turn)).collect()
    }

    fn close_all(&mut self) -> Vec<Vec<usize>> {
        self.turn_of.clear();
        self.makes.clear();
        std::mem::take(&mut self.groups).into_values().map(|group| group.nodes).collect()
    }

    fn close(&mut self, turn: usize) -> Vec<usize> {
        let group = self.groups.remove(&turn).expect("a turn is of a group");
        self.turn_of.remove(group.shape);
        for value in &group.made {
            self.makes.remove(value);
        }
        group.nodes
    }
}

/// One loop of the nodes, or halves that are within the limits.
fn fuse(graph: &Graph, readers: &[Readers], limits: Limits, nodes: &[usize], steps: &mut Vec<Step>) {
    if nodes.len() > limits.nodes {
        let (first, second) = nodes.split_at(nodes.len() / 2);
        fuse(graph, readers, limits, first, steps);
        return fuse(graph, readers, limits, second, steps);
    }
    let is_read_outside = |value: &ValueId| {
        let readers = &readers[value.index()];
        look(readers.nodes.len());
        readers.is_output || readers.nodes.iter().any(|reader| nodes.binary_search(reader).is_err())
    };
    let outputs: Vec<ValueId> = nodes.iter().map(|node| graph.nodes()[*node].output).filter(is_read_outside).collect();
    let group = planner::plan(graph, nodes, &outputs);
    if limits.hold(&group) || nodes.len() == 1 {
        steps.push(Step::Loop(group));
        return;
    }
    let (first, second) = nodes.split_at(nodes.len() / 2);
    fuse(graph, readers, limits, first, steps);
    fuse(graph, readers, limits, second, steps);
}

fn is_fusable(graph: &Graph, node: &Node, with_bytes: bool) -> bool {
    if with_bytes && matches!(node.op, Op::Cast { .. } | Op::Requantize { .. }) {
        return true;
    }
    let is_wide = |value: &ValueId| matches!(graph.value_type(*value).dtype, DType::F32 | DType::I32);
    let is_pointwise = node.op.is_elementwise() || matches!(node.op, Op::Broadcast { .. });
    is_pointwise && is_wide(&node.output) && node.inputs.iter().all(is_wide)
}

/// Position of the step that makes each value, by value.
pub(super) fn makers(graph: &Graph, steps: &[Step]) -> Vec<Option<usize>> {
    let mut makers = vec![None; graph.types().len()];
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Node(index) => makers[graph.nodes()[*index].output.index()] = Some(at),
            Step::Loop(group) => group.made().for_each(|value| makers[value.index()] = Some(at)),
            Step::Attention(_) | Step::Convolution(_) => {}
        }
    }
    makers
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
    pub(super) fn are_within(&self, group: &Loop) -> bool {
        let within = |node: &usize| {
            look(1);
            group.contains(*node)
        };
        !self.is_output && self.nodes.iter().all(within)
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

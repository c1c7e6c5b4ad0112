//! Turns a graph into dispatches: which kernels, with which parameters, over which values. Element-wise neighbours are
//! grouped as on the CPU. Long sums are two dispatches, partial sums and their total, so that they do not run on a handful
//! of invocations.

mod attention;
mod elementwise;
mod indices;
mod moves;
mod products;
mod reduce;
mod refuse;
mod windows;

use shoal_graph::{Graph, Node, Op, ValueId};

use super::{
    kernel::{Kernel, RowOp, TILE, WORKGROUP},
    tile::KernelChoice,
};
use crate::{
    error::ComputeError,
    executable::{
        dead_after,
        fuse::{self, Step},
        loops::Loop,
    },
    kernels::strided::View,
};

/// What a dispatch reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    /// A value of the graph.
    Value(ValueId),
    /// One of the step's temporaries.
    Scratch(usize),
}

/// What plans depend on besides the graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Device {
    pub(super) choice: KernelChoice,
    pub(super) is_fallback: bool,
    pub(super) max_storage_buffers: usize,
    pub(super) max_workgroup_bytes: u32,
}

/// Neighbouring elements from which on a workgroup works on them together: two waves' worth.
const MIN_TOGETHER: u64 = 128;
/// Elements that one invocation takes alone on a software adapter: Mesa's ends the loops of a kernel silently after 65,535
/// turns in all, and operations on rows have three.
const MAX_ALONE: u64 = 16_384;

impl Device {
    /// Whether a workgroup is to work together on so many neighbouring elements.
    fn takes_workgroups(self, elements: u64) -> bool {
        match self.choice {
            KernelChoice::Tiles(_) => true,
            KernelChoice::Registers => false,
            KernelChoice::ByShape => elements >= if self.is_fallback { MAX_ALONE } else { MIN_TOGETHER },
        }
    }
}

/// One dispatch.
#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) kernel: Kernel,
    /// Words of the uniform.
    pub(super) parameters: Vec<u32>,
    pub(super) results: Vec<Operand>,
    pub(super) operands: Vec<Operand>,
    pub(super) workgroups: u64,
}

/// What one step of the graph does.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Values that it makes.
    pub(super) made: Vec<ValueId>,
    pub(super) dispatches: Vec<Dispatch>,
    /// Elements of its temporaries.
    pub(super) scratch: Vec<u64>,
    /// Reshaping: the second value is the first under another shape.
    pub(super) same: Option<(ValueId, ValueId)>,
    /// Values that nothing reads after it.
    pub(super) dead: Vec<ValueId>,
}

/// A graph with its dispatches.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) graph: Graph,
    pub(super) plans: Vec<Plan>,
    /// Constants that are buffers, with their bytes; single numbers that only loops read are parameters instead.
    pub(super) constants: Vec<(ValueId, Vec<u8>)>,
    /// Inputs that must be checked.
    pub(super) indices: Vec<indices::Indices>,
}

/// Nodes in one loop: the text of a kernel stays below what a browser compiles in a moment.
const MAX_LOOP_NODES: usize = 64;

impl Planned {
    /// Plans the runs of a graph on a device.
    pub(super) fn new(graph: Graph, device: Device) -> Result<Self, ComputeError> {
        refuse::bytes(&graph)?;
        let indices = indices::of(&graph)?;
        let limits = fuse::Limits { nodes: MAX_LOOP_NODES, values: device.max_storage_buffers };
        let numbers = elementwise::numbers(&graph);
        let accepts = |scores: &Node, context: &Node, chain: Option<&Loop>| {
            attention::suits(&graph, device, &numbers, (scores, context), chain)
        };
        let steps = fuse::loops(&graph, limits, &accepts);
        let dead = dead_after(&graph, &steps);
        let plans = steps.iter().zip(dead).map(|(step, dead)| {
            let plan = match step {
                Step::Loop(fused) => elementwise::plan(&graph, fused, &numbers),
                Step::Node(index) => node(&graph, device, &graph.nodes()[*index])?,
                Step::Attention(attention) => attention::plan(&graph, device, attention, &numbers),
                Step::Convolution(_) => unreachable!("it is found in the CPU's steps alone"),
            };
            Ok(Plan { dead, ..plan })
        });
        let plans = plans.collect::<Result<Vec<_>, ComputeError>>()?;
        let constants = constants(&graph, &plans);
        Ok(Self { graph, plans, constants, indices })
    }

    /// All dispatches in order.
    pub(super) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.plans.iter().flat_map(|plan| &plan.dispatches)
    }
}

/// The constants that some dispatch binds, some reshaping looks at, or that leave the graph.
fn constants(graph: &Graph, plans: &[Plan]) -> Vec<(ValueId, Vec<u8>)> {
    let mut bound = vec![false; graph.types().len()];
    for plan in plans {
        for operand in plan.dispatches.iter().flat_map(|dispatch| &dispatch.operands) {
            if let Operand::Value(value) = operand {
                bound[value.index()] = true;
            }
        }
        if let Some((from, _)) = plan.same {
            bound[from.index()] = true;
        }
    }
    for (_, value) in graph.outputs() {
        bound[value.index()] = true;
    }
    let constant = |node: &Node| match &node.op {
        Op::Constant(literal) if bound[node.output.index()] => Some((node.output, literal.bytes().to_vec())),
        _ => None,
    };
    graph.nodes().iter().filter_map(constant).collect()
}

/// Plans a node that runs alone.
fn node(graph: &Graph, device: Device, node: &Node) -> Result<Plan, ComputeError> {
    let call = Call { graph, device, node };
    Ok(match &node.op {
        Op::Constant(_) => Plan::default(),
        Op::Reshape { .. } => Plan { same: Some((node.inputs[0], node.output)), ..Plan::default() },
        Op::MatMul { trans_a, trans_b } => products::floats(&call, *trans_a, *trans_b),
        Op::Conv2d { .. } | Op::Conv2dGradInput { .. } | Op::Conv2dGradWeight { .. } => windows::convolution(&call),
        Op::MaxPool2d { .. } | Op::MaxPool2dGrad { .. } | Op::SumPool2d { .. } | Op::SumPool2dGrad { .. } => {
            windows::pooling(&call)
        }
        Op::Reduce { reduction, axes } => reduce::plan(&call, *reduction, axes),
        Op::ArgMax { axis } => call.one(Kernel::ArgMax, &call.indexed(call.shape(0), *axis, 0), call.len()),
        Op::Softmax => call.rows(RowOp::Softmax),
        Op::SoftmaxGrad => call.rows(RowOp::SoftmaxGrad),
        Op::SoftmaxCrossEntropy => reduce::cross_entropy(&call),
        Op::SoftmaxCrossEntropyGrad => call.rows(RowOp::CrossEntropyGrad),
        Op::Gather { axis } => {
            let indices = graph.value_type(node.inputs[1]).elements();
            call.one(Kernel::Gather, &call.indexed(call.shape(0), *axis, indices), call.len())
        }
        Op::ScatterAdd { axis, .. } => {
            let (updates, indices) = (graph.value_type(node.inputs[0]), graph.value_type(node.inputs[1]));
            let mut words = call.indexed(call.made(), *axis, indices.elements());
            words[0] = updates.elements() as u32;
            let mut plan = call.one(Kernel::ScatterAdd, &words, updates.elements());
            plan.dispatches.insert(0, call.fill(0));
            plan
        }
        Op::Iota { .. }
        | Op::Transpose { .. }
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. } => moves::plan(&call),
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Where
        | Op::Cast { .. }
        | Op::MatMulInteger { .. }
        | Op::Conv2dInteger { .. }
        | Op::Requantize { .. } => {
            return Err(refuse::unsupported(node));
        }
    })
}

/// A node with the graph that it is in.
struct Call<'a> {
    graph: &'a Graph,
    device: Device,
    node: &'a Node,
}

impl<'a> Call<'a> {
    /// Shape of an operand.
    fn shape(&self, operand: usize) -> &'a [u32] {
        &self.graph.value_type(self.node.inputs[operand]).shape
    }

    /// Shape of the result.
    fn made(&self) -> &'a [u32] {
        &self.graph.value_type(self.node.output).shape
    }

    /// Elements of the result.
    fn len(&self) -> u64 {
        self.graph.value_type(self.node.output).elements()
    }

    fn operands(&self) -> Vec<Operand> {
        self.node.inputs.iter().map(|value| Operand::Value(*value)).collect()
    }

    /// A dispatch that reads all operands and makes the result.
    fn dispatch(&self, kernel: Kernel, words: &[u32], invocations: u64) -> Dispatch {
        let results = vec![Operand::Value(self.node.output)];
        let workgroups = invocations.div_ceil(WORKGROUP);
        Dispatch { kernel, parameters: words.to_vec(), results, operands: self.operands(), workgroups }
    }

    /// A plan of that dispatch alone.
    fn one(&self, kernel: Kernel, words: &[u32], invocations: u64) -> Plan {
        self.plan(vec![self.dispatch(kernel, words, invocations)])
    }

    fn plan(&self, dispatches: Vec<Dispatch>) -> Plan {
        Plan { made: vec![self.node.output], dispatches, ..Plan::default() }
    }

    /// The result filled with one word.
    fn fill(&self, word: u32) -> Dispatch {
        let words = [self.len() as u32, word, 1, 1];
        Dispatch { operands: Vec::new(), ..self.dispatch(Kernel::Fill, &words, self.len()) }
    }

    /// Rows over the last axis of the first operand.
    fn rows(&self, op: RowOp) -> Plan {
        self.plan(vec![self.row_dispatch(op)])
    }

    fn row_dispatch(&self, op: RowOp) -> Dispatch {
        let [rows, width] = self.row_sizes();
        if self.device.takes_workgroups(width.into()) {
            let dispatch = self.dispatch(Kernel::WideRows(op), &[rows, width], 0);
            return Dispatch { workgroups: rows.into(), ..dispatch };
        }
        self.dispatch(Kernel::Rows(op), &[rows, width], rows.into())
    }

    /// How many rows, and how wide.
    fn row_sizes(&self) -> [u32; 2] {
        let shape = self.shape(0);
        let (width, outer) = shape.split_last().expect("rows have an axis");
        [outer.iter().product(), *width]
    }

    /// Parameters of a kernel that indexes an axis of a tensor of that shape.
    fn indexed(&self, shape: &[u32], axis: u32, indices: u64) -> [u32; 4] {
        let axis = axis as usize;
        [self.len() as u32, shape[axis], shape[axis + 1..].iter().product(), indices as u32]
    }
}

/// Words of a view as `views.wgsl` reads it: seven vectors, as many as the most axes need.
fn view_words(view: &View) -> Vec<u32> {
    const VECTORS: usize = 1 + shoal_graph::limits::MAX_RANK;
    let mut words = vec![view.axes().len() as u32, view.offset() as u32, 0, 0];
    for (extent, stride) in view.axes().iter().rev() {
        // Both are within a tensor, whose elements are fewer than 2³¹; a negative stride keeps its bits.
        words.extend([*extent as u32, *stride as i32 as u32, 0, 0]);
    }
    words.resize(4 * VECTORS, 0);
    words
}

fn tiles(extent: u32) -> u64 {
    u64::from(extent).div_ceil(TILE)
}

//! Convolutions that add their bias, and apply relu, before they store: the same operations on each element, one pass over
//! memory less. Found in a plan where a loop does nothing else and nothing else reads what is between. Training keeps the
//! biased result, because relu's gradient reads it.

use std::rc::Rc;

use shoal_graph::{Binary, Graph, Op, Unary, ValueId};

use super::{
    Values,
    buffers::Buffers,
    fuse::{self, Readers, Step},
    looks::look,
    loops::{Action, Loop},
    node,
};
use crate::{
    kernels::conv::Epilogue,
    tensor::{Data, Element as _},
};

/// A convolution with what follows it.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// Its node.
    conv: usize,
    bias: ValueId,
    with_relu: bool,
    makes: ValueId,
}

/// Replaces every such pair among the steps.
pub(super) fn find(graph: &Graph, steps: Vec<Step>, readers: &[Readers]) -> Vec<Step> {
    let makers = fuse::makers(graph, &steps);
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    for at in 0..steps.len() {
        let Some(Step::Loop(group)) = &steps[at] else { continue };
        let node_of = |value: ValueId| match &steps[makers[value.index()]?] {
            Some(Step::Node(node)) => Some(*node),
            _ => None,
        };
        let Some(found) = matches(graph, group, readers, node_of) else { continue };
        if let Some(conv) = makers[graph.nodes()[found.conv].output.index()] {
            steps[conv] = None;
            steps[at] = Some(Step::Convolution(found));
        }
    }
    steps.into_iter().flatten().collect()
}

fn matches(
    graph: &Graph,
    group: &Loop,
    readers: &[Readers],
    node_of: impl Fn(ValueId) -> Option<usize>,
) -> Option<Convolution> {
    look(group.code.len());
    let actions: Vec<Action> = group.code.iter().map(|instruction| instruction.action).collect();
    let with_relu = match actions[..] {
        [Action::Load, Action::Binary(Binary::Add)] => false,
        [Action::Load, Action::Binary(Binary::Add), Action::Unary(Unary::Relu)] => true,
        _ => return None,
    };
    let mut made = group.made();
    let (makes, None) = (made.next()?, made.next()) else { return None };
    let [one, other] = [0, 1].map(|operand| group.operands.get(operand).map(|operand| operand.value));
    let pairs = [(one?, other?), (other?, one?)];
    pairs.into_iter().find_map(|(image, bias)| {
        let conv = node_of(image)?;
        let channels = graph.value_type(image).shape.get(1)?;
        let is_conv = matches!(graph.nodes()[conv].op, Op::Conv2d { .. });
        let is_bias = graph.value_type(bias).shape == [*channels, 1, 1];
        let is_inner = readers[image.index()].are_within(group) && readers[image.index()].is_one_node();
        (is_conv && is_bias && is_inner && group.is_chain(image)).then_some(Convolution {
            conv,
            bias,
            with_relu,
            makes,
        })
    })
}

impl Convolution {
    /// What it reads and what it makes.
    pub(super) fn values(&self, graph: &Graph) -> impl Iterator<Item = ValueId> + '_ {
        let conv = &graph.nodes()[self.conv];
        [conv.inputs[0], conv.inputs[1], self.bias, self.makes].into_iter()
    }

    pub(super) fn run(&self, graph: &Graph, values: &mut Values, buffers: &mut Buffers) {
        let conv = &graph.nodes()[self.conv];
        let Op::Conv2d { window, groups } = &conv.op else { unreachable!("a convolution was matched") };
        let shape = |value: ValueId| graph.value_type(value).shape.as_slice();
        let get = |value: ValueId| {
            let data = values[value.index()].as_deref().expect("a value lives until its last use");
            f32::elements(data).expect("convolutions take floats")
        };
        let (image, weight) = (conv.inputs[0], conv.inputs[1]);
        let sizes = node::conv(window, *groups, shape(image), shape(weight), shape(conv.output));
        let epilogue = if self.with_relu { Epilogue::BiasRelu(get(self.bias)) } else { Epilogue::Bias(get(self.bias)) };
        let mut y = buffers.floats(graph.value_type(conv.output).elements() as usize);
        sizes.forward_with(&mut buffers.scratch, get(image), get(weight), epilogue, &mut y);
        values[self.makes.index()] = Some(Rc::new(Data::F32(y)));
    }
}

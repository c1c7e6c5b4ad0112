//! Writes the new graph, node after node. Each float of the old graph has a [`Form`] in the new one; who reads it asks for bytes
//! (products), for 15 bits (sums, norms) or for whatever integers there are.

mod elements;
mod forms;
mod functions;
mod moves;
mod products;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use shoal_compute::{Data, Tensor, Tensors};
use shoal_graph::{DType, Graph, GraphBuilder, GraphError, Literal, Node, Op, TensorType, ValueId};

use crate::{
    QuantizeError, UnsupportedOp,
    calibrate::Facts,
    form::{Form, Scaled, Scales},
    norms::{Finder, Norm},
};

/// What was written.
pub(crate) struct Written {
    pub(crate) graph: Graph,
    pub(crate) weights: Tensors,
    pub(crate) input_scales: BTreeMap<String, f32>,
    pub(crate) output_scales: BTreeMap<String, f32>,
}

/// Why a node has no integer form.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Its operation has none here.
    Unsupported(&'static str),
    /// It reads what was refused.
    Follows,
    Graph(GraphError),
}

impl From<GraphError> for Refusal {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

/// Most of 15 bits and a sign.
pub(crate) const WIDE: i32 = 32_767;

pub(crate) fn rewrite(graph: &Graph, facts: &Facts) -> Result<Written, QuantizeError> {
    let norms = norms(graph, facts);
    let is_needed = needed(graph, facts, &norms);
    let mut rewriter = Rewriter::new(graph, facts)?;
    let mut refused: BTreeMap<(&'static str, &'static str), usize> = BTreeMap::new();
    for (at, node) in graph.nodes().iter().enumerate().filter(|(at, _)| is_needed[*at]) {
        let made = match &norms[at] {
            Some(norm) => rewriter.norm(*norm),
            None => rewriter.node(node),
        };
        match made {
            Ok(form) => rewriter.forms[node.output.index()] = Some(form),
            Err(Refusal::Unsupported(reason)) => *refused.entry((node.op.name(), reason)).or_insert(0) += 1,
            Err(Refusal::Follows) => {}
            Err(Refusal::Graph(error)) => return Err(error.into()),
        }
    }
    if !refused.is_empty() {
        let ops = refused.into_iter().map(|((op, reason), count)| UnsupportedOp { op, reason, count });
        return Err(QuantizeError::Unsupported(ops.collect()));
    }
    rewriter.finish()
}

/// The graph without inputs that no node reads.
pub(crate) fn without_inputs(graph: &Graph, names: &[&str]) -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new();
    let mut new: Vec<Option<ValueId>> = vec![None; graph.types().len()];
    for (name, value) in graph.inputs().iter().filter(|(name, _)| !names.contains(&name.as_str())) {
        new[value.index()] = Some(b.input(name, graph.value_type(*value).clone())?);
    }
    for node in graph.nodes() {
        let inputs: Vec<ValueId> = node.inputs.iter().filter_map(|value| new[value.index()]).collect();
        new[node.output.index()] = Some(b.apply(node.op.clone(), &inputs)?);
    }
    for (name, value) in graph.outputs() {
        b.output(name, new[value.index()].expect("an output is made"));
    }
    b.finish()
}

fn norms(graph: &Graph, facts: &Facts) -> Vec<Option<Norm>> {
    let finder = Finder::new(graph, facts);
    graph.nodes().iter().map(|node| finder.at(node)).collect()
}

/// Nodes that outputs depend on, where what a norm is spelt with is skipped.
fn needed(graph: &Graph, facts: &Facts, norms: &[Option<Norm>]) -> Vec<bool> {
    let mut is_read = vec![false; graph.types().len()];
    graph.outputs().iter().for_each(|(_, value)| is_read[value.index()] = true);
    let mut is_needed = vec![false; graph.nodes().len()];
    for (at, node) in graph.nodes().iter().enumerate().rev() {
        let made = node.output.index();
        // Of what follows from weights alone, only integers are written again.
        if !is_read[made] || facts.is_known[made] && graph.value_type(node.output).dtype == DType::F32 {
            continue;
        }
        is_needed[at] = true;
        match &norms[at] {
            Some(norm) => is_read[norm.x.index()] = true,
            None => node.inputs.iter().for_each(|value| is_read[value.index()] = true),
        }
    }
    is_needed
}

pub(crate) struct Rewriter<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    b: GraphBuilder,
    /// By the index of the old value.
    forms: Vec<Option<Form>>,
    bytes: HashMap<ValueId, Scaled>,
    wide: HashMap<ValueId, Scaled>,
    /// Old values that only products read, however moved.
    is_for_products: Vec<bool>,
    weights: Tensors,
    names: BTreeSet<String>,
    input_scales: BTreeMap<String, f32>,
}

impl<'a> Rewriter<'a> {
    fn new(graph: &'a Graph, facts: &'a Facts) -> Result<Self, QuantizeError> {
        let mut rewriter = Self {
            graph,
            facts,
            b: GraphBuilder::new(),
            forms: vec![None; graph.types().len()],
            bytes: HashMap::new(),
            wide: HashMap::new(),
            is_for_products: for_products(graph),
            weights: Tensors::new(),
            names: graph.inputs().iter().map(|(name, _)| name.clone()).collect(),
            input_scales: BTreeMap::new(),
        };
        for (name, value) in graph.inputs() {
            let of = graph.value_type(*value);
            let form = match of.dtype {
                // Weights that are integers stay what they are.
                DType::I32 if !facts.is_known[value.index()] => Form::Whole(rewriter.b.input(name, of.clone())?),
                DType::F32 if !facts.is_known[value.index()] => {
                    let scale = facts.range(*value).clip / 127.0;
                    let value = rewriter.b.input(name, TensorType::new(DType::I8, of.shape.clone()))?;
                    rewriter.input_scales.insert(name.clone(), scale as f32);
                    Form::Scaled(Scaled {
                        value,
                        scales: Scales::one(f64::from(scale as f32)),
                        bound: 128.0,
                        is_relu: false,
                    })
                }
                _ => continue,
            };
            rewriter.forms[value.index()] = Some(form);
        }
        Ok(rewriter)
    }

    fn node(&mut self, node: &Node) -> Result<Form, Refusal> {
        let made = self.graph.value_type(node.output);
        if made.dtype != DType::F32 {
            return self.whole(node);
        }
        match &node.op {
            Op::Unary(unary) => self.unary(*unary, node),
            Op::Binary(binary) => self.binary(*binary, node),
            Op::Where => self.choose(node),
            Op::Cast { .. } => self.cast(node),
            Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. } => self.moved(node),
            Op::Gather { axis } => self.gather(node, *axis),
            Op::Reduce { reduction, axes } => self.reduce(node, *reduction, axes),
            Op::MatMul { trans_a, trans_b } => self.product(node, *trans_a, *trans_b),
            Op::Conv2d { window, groups } => self.convolution(node, *window, *groups),
            Op::MaxPool2d { .. } => self.max_pool(node),
            Op::SumPool2d { window, kernel_height, kernel_width } => {
                self.sum_pool(node, *window, [*kernel_height, *kernel_width])
            }
            Op::Softmax => self.softmax(node),
            _ => Err(Refusal::Unsupported("it is for training")),
        }
    }

    /// An integer of the old graph.
    fn whole(&mut self, node: &Node) -> Result<Form, Refusal> {
        if node.inputs.iter().any(|value| self.graph.value_type(*value).dtype == DType::F32) {
            return match self.known(node.output) {
                Some(tensor) => Ok(Form::Whole(self.weight(&format!("value{}", node.output.index()), tensor)?)),
                None => Err(Refusal::Unsupported("it makes integers of floats")),
            };
        }
        let mut inputs = Vec::new();
        for value in &node.inputs {
            inputs.push(match self.forms[value.index()].clone() {
                Some(Form::Whole(value)) => value,
                Some(_) => unreachable!("integers are kept as they are"),
                None if self.facts.is_known[value.index()] => {
                    let tensor = self.known(*value).ok_or(Refusal::Follows)?;
                    self.weight("whole", tensor)?
                }
                None => return Err(Refusal::Follows),
            });
        }
        Ok(Form::Whole(self.b.apply(node.op.clone(), &inputs)?))
    }

    fn finish(mut self) -> Result<Written, QuantizeError> {
        let mut output_scales = BTreeMap::new();
        for (name, value) in self.graph.outputs() {
            let made = match self.form(*value) {
                Ok(Form::Whole(value)) => value,
                // An output is of integers with one scale.
                _ => {
                    let made = match self.output(*value) {
                        Ok(made) => made,
                        Err(Refusal::Graph(error)) => return Err(error.into()),
                        Err(Refusal::Unsupported(reason)) => {
                            let op = UnsupportedOp { op: "output", reason, count: 1 };
                            return Err(QuantizeError::Unsupported(vec![op]));
                        }
                        Err(Refusal::Follows) => unreachable!("every output has a form"),
                    };
                    output_scales.insert(name.clone(), made.scales.values[0] as f32);
                    made.value
                }
            };
            self.b.output(name, made);
        }
        let (weights, input_scales) = (self.weights, self.input_scales);
        Ok(Written { graph: self.b.finish()?, weights, input_scales, output_scales })
    }

    fn shape(&self, value: ValueId) -> &'a [u32] {
        &self.graph.value_type(value).shape
    }

    fn known(&self, value: ValueId) -> Option<Tensor> {
        self.facts.known[value.index()].clone()
    }

    /// Adds an input that stays, named after what it is.
    fn weight(&mut self, name: &str, tensor: Tensor) -> Result<ValueId, GraphError> {
        let mut own = name.to_owned();
        let mut number = 2;
        while !self.names.insert(own.clone()) {
            own = format!("{name}.{number}");
            number += 1;
        }
        let value = self.b.input(&own, tensor.tensor_type())?;
        self.weights.insert(own, tensor);
        Ok(value)
    }

    /// Integers as a constant if there is one, else as a weight.
    fn integers(&mut self, name: &str, shape: &[u32], values: Vec<i32>) -> Result<ValueId, GraphError> {
        match values.as_slice() {
            [one] => self.number(*one),
            _ => self.weight(name, Tensor::new(shape, Data::I32(values))),
        }
    }

    fn number(&mut self, number: i32) -> Result<ValueId, GraphError> {
        self.b.apply(Op::Constant(Literal::integer(number)), &[])
    }

    /// The name of the weight that a known value follows from, or of its place in the graph.
    fn name_of(&self, mut value: ValueId) -> String {
        loop {
            if let Some((name, _)) = self.graph.inputs().iter().find(|(_, input)| *input == value) {
                return name.clone();
            }
            let maker = self.graph.nodes().iter().find(|node| node.output == value);
            match maker.and_then(|node| node.inputs.first()) {
                Some(input) => value = *input,
                None => return format!("value{}", value.index()),
            }
        }
    }
}

/// Old values that nothing reads but products, and moves whose results are for products.
fn for_products(graph: &Graph) -> Vec<bool> {
    let mut is_for = vec![true; graph.types().len()];
    graph.outputs().iter().for_each(|(_, value)| is_for[value.index()] = false);
    for node in graph.nodes().iter().rev() {
        let passes = match &node.op {
            Op::MatMul { .. } | Op::Conv2d { .. } | Op::MaxPool2d { .. } | Op::SumPool2d { .. } => true,
            Op::Reshape { .. } | Op::Transpose { .. } | Op::Broadcast { .. } | Op::Slice { .. } => {
                is_for[node.output.index()]
            }
            Op::Concat { .. } => is_for[node.output.index()],
            _ => false,
        };
        if !passes {
            node.inputs.iter().for_each(|value| is_for[value.index()] = false);
        }
    }
    is_for
}

//! Attention without its score matrix: softmax(f(q·kᵀ))·v, a block of rows after the other.
//!
//! The pattern is found in a plan: a product, an element-wise chain on it (a scale, a mask), a softmax, and a product with
//! its result, where nothing else reads what is between. Each row is computed by the same operations in the same order as
//! step by step; only the memory differs. Training keeps the matrix, because the gradient reads it.

use std::rc::Rc;

use shoal_graph::{Graph, Node, Op, ValueId};

use super::{
    Values,
    buffers::Buffers,
    fuse::{self, Readers, Step},
    looks::look,
    loops::Loop,
};
use crate::{
    kernels::{
        gemm::{PackedB, gemm_accumulate_packed},
        matrix::Matrix,
        rows,
    },
    tensor::{Data, Element as _},
};

/// Scores held at once: 64 KiB, so that they stay in the second-level cache.
const BLOCK_SCORES: usize = 16 * 1024;
/// Rows of a block at least, so that packing the keys and values is little beside the products.
const MIN_ROWS: usize = 16;

/// One attention of a graph.
#[derive(Debug)]
pub(crate) struct Attention {
    /// The product q·kᵀ, by its node.
    pub(crate) scores: usize,
    pub(crate) chain: Option<Loop>,
    /// The product with v, by its node.
    pub(crate) context: usize,
}

/// Whether a backend takes an attention of these products, by their nodes, and this chain.
pub(crate) type Accepts<'a> = &'a dyn Fn(&Node, &Node, Option<&Loop>) -> bool;

/// Replaces every attention among the steps that the backend takes.
pub(super) fn find(graph: &Graph, steps: Vec<Step>, readers: &[Readers], accepts: Accepts<'_>) -> Vec<Step> {
    let makers = fuse::makers(graph, &steps);
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    for at in 0..steps.len() {
        let Some((scores, chain, softmax)) = matches(graph, &steps, &makers, at, readers) else { continue };
        let Some(Step::Node(context)) = steps[at] else { continue };
        let product = |at: usize| match &steps[at] {
            Some(Step::Node(index)) => &graph.nodes()[*index],
            _ => unreachable!("it was matched"),
        };
        let loop_of = |at: usize| match &steps[at] {
            Some(Step::Loop(group)) => Some(group),
            _ => None,
        };
        if !accepts(product(scores), &graph.nodes()[context], chain.and_then(loop_of)) {
            continue;
        }
        let Some(Step::Node(scores)) = steps[scores].take() else { unreachable!("it was matched") };
        let chain = chain.and_then(|chain| steps[chain].take()).map(|step| match step {
            Step::Loop(group) => group,
            _ => unreachable!("it was matched"),
        });
        steps[softmax] = None;
        steps[at] = Some(Step::Attention(Attention { scores, chain, context }));
    }
    steps.into_iter().flatten().collect()
}

/// Positions of the product of scores, of the chain and of the softmax that end in the step at `at`.
fn matches(
    graph: &Graph,
    steps: &[Option<Step>],
    makers: &[Option<usize>],
    at: usize,
    readers: &[Readers],
) -> Option<(usize, Option<usize>, usize)> {
    let node = |at: usize| match steps[at] {
        Some(Step::Node(index)) => Some(&graph.nodes()[index]),
        _ => None,
    };
    let maker = |value: ValueId| {
        look(1);
        makers[value.index()].filter(|at| steps[*at].is_some())
    };
    let is_inner = |value: ValueId| readers[value.index()].is_one_node();
    let context = node(at)?;
    let Op::MatMul { trans_a: false, .. } = context.op else { return None };
    let weights = context.inputs[0];
    let softmax = maker(weights).filter(|_| is_inner(weights) && context.inputs[1] != weights)?;
    let softmax_node = node(softmax).filter(|node| node.op == Op::Softmax)?;
    let mut value = softmax_node.inputs[0];
    let mut chain = None;
    let mut before = maker(value).filter(|_| is_inner(value))?;
    if let Some(Step::Loop(group)) = &steps[before] {
        chain = Some(before);
        // The operand that a product makes and nothing else reads.
        (value, before) = group.values().find_map(|operand| {
            let maker = maker(operand).filter(|_| readers[operand.index()].are_within(group))?;
            let is_product = matches!(node(maker)?.op, Op::MatMul { trans_a: false, .. });
            (is_product && group.is_chain(operand)).then_some((operand, maker))
        })?;
    }
    let scores = node(before)?;
    let is_product = matches!(scores.op, Op::MatMul { trans_a: false, .. }) && scores.output == value;
    is_product.then_some((before, chain, softmax))
}

impl Attention {
    /// What it reads and what it makes.
    pub(crate) fn values(&self, graph: &Graph) -> impl Iterator<Item = ValueId> + '_ {
        let (scores, context) = (&graph.nodes()[self.scores], &graph.nodes()[self.context]);
        let inner = scores.output;
        let chain = self.chain.iter().flat_map(Loop::values).filter(move |value| *value != inner);
        let made: Vec<ValueId> = self.chain.iter().flat_map(Loop::made).collect();
        let outer = [scores.inputs[0], scores.inputs[1], context.inputs[1], context.output];
        outer.into_iter().chain(chain.filter(move |value| !made.contains(value)))
    }

    pub(super) fn run(&self, graph: &Graph, values: &mut Values, buffers: &mut Buffers) {
        let (scores, context) = (&graph.nodes()[self.scores], &graph.nodes()[self.context]);
        let get = |value: ValueId| values[value.index()].clone().expect("a value lives until its last use");
        let (q, k, v) = (get(scores.inputs[0]), get(scores.inputs[1]), get(context.inputs[1]));
        let [q, k, v] = [&q, &k, &v].map(|data| f32::elements(data).expect("products take floats"));
        let dim = |value: ValueId, from_end: usize| {
            let shape = &graph.value_type(value).shape;
            shape[shape.len() - from_end] as usize
        };
        let (rows, keys, depth) = (dim(scores.output, 2), dim(scores.output, 1), dim(scores.inputs[0], 1));
        let width = dim(context.output, 1);
        let (Op::MatMul { trans_b: trans_k, .. }, Op::MatMul { trans_b: trans_v, .. }) = (&scores.op, &context.op)
        else {
            unreachable!("an attention is made of products")
        };
        let mut out = buffers.floats(graph.value_type(context.output).elements() as usize);
        let block_rows = (BLOCK_SCORES / keys).max(MIN_ROWS).min(rows);
        let heads = q.chunks(rows * depth).zip(k.chunks(keys * depth)).zip(v.chunks(keys * width));
        for (head, (((q, k), v), out)) in heads.zip(out.chunks_mut(rows * width)).enumerate() {
            let k = if *trans_k { Matrix::transposed(k, depth) } else { Matrix::rows(k, keys) };
            let v = if *trans_v { Matrix::transposed(v, keys) } else { Matrix::rows(v, width) };
            let k = PackedB::new(&buffers.scratch, depth, keys, k);
            let v = PackedB::new(&buffers.scratch, keys, width, v);
            let blocks = q.chunks(block_rows * depth).zip(out.chunks_mut(block_rows * width)).enumerate();
            for (block, (q, out)) in blocks {
                let count = q.len() / depth;
                let mut product = buffers.floats(count * keys);
                product.fill(0.0);
                gemm_accumulate_packed(&mut buffers.scratch, count, Matrix::rows(q, depth), &k, &mut product);
                let first = (head * rows + block * block_rows) * keys;
                let chained = self.chained(scores.output, product, first, values, buffers);
                let mut weights = buffers.floats(count * keys);
                rows::softmax(&chained, keys, &mut weights);
                out.fill(0.0);
                gemm_accumulate_packed(&mut buffers.scratch, count, Matrix::rows(&weights, keys), &v, out);
                buffers.put(Data::F32(chained));
                buffers.put(Data::F32(weights));
            }
        }
        values[context.output.index()] = Some(Rc::new(Data::F32(out)));
    }

    /// The chain on scores from element `first` on.
    fn chained(
        &self,
        scores: ValueId,
        product: Vec<f32>,
        first: usize,
        values: &Values,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let Some(chain) = &self.chain else { return product };
        let range = first..first + product.len();
        let product = Rc::new(Data::F32(product));
        let chained = chain.run_part(values, scores, &product, range, buffers);
        buffers.put(Rc::into_inner(product).expect("the chain is done with it"));
        match chained {
            Data::F32(chained) => chained,
            _ => unreachable!("softmax takes floats"),
        }
    }
}

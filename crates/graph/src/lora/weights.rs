//! Where a graph reads the weights that are to be adapted: as matrices, in products, and nowhere else.

use std::collections::BTreeMap;

use crate::{
    error::GraphError,
    graph::{Graph, Node, ValueId},
    op::{DType, Op},
};

/// A weight as its products see it.
pub(super) struct Weight<'g> {
    pub(super) name: &'g str,
    pub(super) value: ValueId,
    /// The nodes that make a matrix of it; none if it is one.
    pub(super) way: Vec<usize>,
    /// Of that matrix.
    pub(super) shape: [u32; 2],
    /// Whether the matrix is \[out, in\]: the first product with it sums over its last dimension.
    pub(super) is_out_first: bool,
    products: Vec<(usize, Product)>,
}

impl Weight<'_> {
    pub(super) fn out_and_in(&self) -> [u32; 2] {
        let [rows, columns] = self.shape;
        if self.is_out_first { [rows, columns] } else { [columns, rows] }
    }
}

/// Which operand of a product a weight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left = 0,
    Right = 1,
}

/// A product with a weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) weight: usize,
    pub(super) side: Side,
    /// Whether it multiplies by the matrix transposed.
    pub(super) is_transposed: bool,
}

/// The products of all weights, by node.
pub(super) fn products(graph: &Graph, weights: &[Weight<'_>]) -> BTreeMap<usize, Product> {
    let all = weights.iter().flat_map(|weight| weight.products.iter().copied());
    debug_assert!(all.clone().all(|(node, _)| matches!(graph.nodes()[node].op, Op::MatMul { .. })));
    all.collect()
}

/// Finds the weights of those names.
pub(super) fn read<'g>(graph: &'g Graph, names: &[&str]) -> Result<Vec<Weight<'g>>, GraphError> {
    let mut reading = Reading { graph, weights: Vec::new(), seen: vec![None; graph.types().len()] };
    for name in names {
        reading.add(name)?;
    }
    for (index, node) in graph.nodes().iter().enumerate() {
        reading.node(index, node)?;
    }
    for (_, value) in graph.outputs() {
        if let Some(seen) = &reading.seen[value.index()] {
            return Err(refused(graph, &reading.weights[seen.weight], "it leaves the graph"));
        }
    }
    match reading.weights.iter().find(|weight| weight.products.is_empty()) {
        Some(weight) => Err(refused(graph, weight, "no product of matrices reads it")),
        None => Ok(reading.weights),
    }
}

/// What a value is of a weight.
#[derive(Clone)]
struct Seen {
    weight: usize,
    /// Nodes that the weight passed before it was a matrix.
    way: Vec<usize>,
    /// Whether the matrix was transposed since.
    is_turned: bool,
}

struct Reading<'g> {
    graph: &'g Graph,
    weights: Vec<Weight<'g>>,
    /// By value.
    seen: Vec<Option<Seen>>,
}

impl<'g> Reading<'g> {
    fn add(&mut self, name: &str) -> Result<(), GraphError> {
        let found = self.graph.inputs().iter().find(|(own, _)| own == name);
        let Some((own, value)) = found else {
            return Err(GraphError::BadName { name: name.to_owned(), reason: "no weight has it" });
        };
        let of = self.graph.value_type(*value);
        let weight =
            Weight { name: own, value: *value, way: vec![], shape: [0; 2], is_out_first: true, products: vec![] };
        if of.dtype != DType::F32 {
            return Err(refused(self.graph, &weight, "its elements are no f32"));
        }
        if self.seen[value.index()].is_some() {
            return Err(refused(self.graph, &weight, "it is named twice"));
        }
        self.seen[value.index()] = Some(Seen { weight: self.weights.len(), way: vec![], is_turned: false });
        self.weights.push(weight);
        Ok(())
    }

    fn node(&mut self, index: usize, node: &Node) -> Result<(), GraphError> {
        let mut read = node.inputs.iter().enumerate().filter_map(|(at, value)| Some((at, self.matrix(*value)?)));
        let Some((at, (seen, shape))) = read.next() else { return Ok(()) };
        let weight = &self.weights[seen.weight];
        let refuse = |reason| Err(refused(self.graph, weight, reason));
        if read.next().is_some() {
            return refuse("one operation reads it beside another, or twice");
        }
        let made = match (&node.op, shape) {
            (Op::Transpose { axes }, Some(_)) => Seen { is_turned: seen.is_turned ^ (axes[0] == 1), ..seen },
            (Op::Transpose { .. } | Op::Reshape { .. }, None) => Seen { way: [seen.way, vec![index]].concat(), ..seen },
            (Op::MatMul { trans_a, trans_b }, Some(shape)) => {
                if !weight.products.is_empty() && (&weight.way, weight.shape) != (&seen.way, shape) {
                    return refuse("it is reshaped to matrices in two ways");
                }
                let (side, is_stored_so) = if at == 0 { (Side::Left, *trans_a) } else { (Side::Right, *trans_b) };
                let product = Product { weight: seen.weight, side, is_transposed: is_stored_so ^ seen.is_turned };
                let weight = &mut self.weights[seen.weight];
                if weight.products.is_empty() {
                    // A left factor is summed over its last dimension, a right one over its first.
                    weight.is_out_first = (side == Side::Right) == product.is_transposed;
                    (weight.way, weight.shape) = (seen.way, shape);
                }
                weight.products.push((index, product));
                return Ok(());
            }
            _ => return refuse("something else than a product of matrices reads it"),
        };
        self.seen[node.output.index()] = Some(made);
        Ok(())
    }

    /// What the value is of a weight, and the weight's shape as a matrix, if it has become one.
    fn matrix(&self, value: ValueId) -> Option<(Seen, Option<[u32; 2]>)> {
        let seen = self.seen[value.index()].clone()?;
        let shape = match self.graph.value_type(value).shape[..] {
            [rows, columns] if seen.is_turned => Some([columns, rows]),
            [rows, columns] => Some([rows, columns]),
            _ => None,
        };
        Some((seen, shape))
    }
}

fn refused(graph: &Graph, weight: &Weight<'_>, reason: &'static str) -> GraphError {
    let shape = graph.value_type(weight.value).shape.clone();
    GraphError::NotAdaptable { name: weight.name.to_owned(), shape, reason }
}

//! Low-rank adaptation (Hu et al. 2021, *LoRA: Low-Rank Adaptation of Large Language Models*, arXiv 2106.09685) as a
//! rewrite: a weight W \[out, in\] of a product is frozen, and W + α/r·B·A is learnt in its place, with A \[r, in\] and
//! B \[out, r\]. A product y = x·Wᵀ becomes y + (α/r·x·Aᵀ)·Bᵀ, so that no run ever holds B·A. Names and shapes of A and B
//! are those of adapter files: `NAME.lora_a` and `NAME.lora_b`.
//!
//! A weight may be stored \[in, out\] as well, stand on either side of its products, and reach them by way of reshapes and
//! transpositions: what its first product sums over is `in`. Weights that anything but a product reads (a table of
//! embeddings, a convolution) are refused. Where adapters start is `shoal-compute`'s business (`init.rs`).

mod weights;

use self::weights::{Side, Weight};
use crate::{
    autodiff::gradients,
    builder::GraphBuilder,
    error::GraphError,
    graph::{Graph, ValueId},
    op::{Op, TensorType},
    passes::{Rewriting, drop_dead},
    programs::{LEARNING_RATE, LOSS, MOMENTUM, VELOCITY_PREFIX},
};

/// Which weights of a graph are adapted, and how.
#[derive(Debug, Clone, Copy)]
pub struct Lora<'a> {
    /// Inputs of the graph by name.
    pub weights: &'a [&'a str],
    /// r: columns of B and rows of A, at most the lesser dimension of any of the weights.
    pub rank: u32,
    /// α: what is learnt is scaled by α/r, so that a rate found for one rank serves others.
    pub alpha: f32,
}

/// The two matrices that are learnt for a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// The weight's name.
    pub weight: String,
    /// Name of A.
    pub a: String,
    /// Name of B.
    pub b: String,
    /// Rows of A, columns of B.
    pub rank: u32,
    /// Columns of A: what a product with the weight sums over.
    pub inputs: u32,
    /// Rows of B.
    pub outputs: u32,
}

impl Adapter {
    fn of(weight: &Weight<'_>, rank: u32) -> Self {
        let (name, [outputs, inputs]) = (weight.name.to_owned(), weight.out_and_in());
        Self { a: format!("{name}.lora_a"), b: format!("{name}.lora_b"), weight: name, rank, inputs, outputs }
    }

    /// Shape of A.
    pub fn a_shape(&self) -> [u32; 2] {
        [self.rank, self.inputs]
    }

    /// Shape of B.
    pub fn b_shape(&self) -> [u32; 2] {
        [self.outputs, self.rank]
    }
}

impl Lora<'_> {
    /// The adapters, in the order of the weights.
    ///
    /// # Errors
    /// [`GraphError::BadName`] for a name that is no input; [`GraphError::NotAdaptable`] for a weight that is more than a
    /// factor of products; [`GraphError::AdapterRank`].
    pub fn adapters(&self, graph: &Graph) -> Result<Vec<Adapter>, GraphError> {
        Ok(self.read(graph)?.iter().map(|weight| Adapter::of(weight, self.rank)).collect())
    }

    /// A forward graph with its weights adapted: A and B of each follow its inputs, and the outputs keep their names.
    ///
    /// # Errors
    /// As [`Self::adapters`]; limits.
    pub fn adapt(&self, graph: &Graph) -> Result<Graph, GraphError> {
        let weights = self.read(graph)?;
        let mut rewriting = Rewriting::new(graph)?;
        let mut factors = Vec::new();
        for weight in &weights {
            factors.push(Factors::new(&mut rewriting.builder, weight, self.rank)?);
        }
        let products = weights::products(graph, &weights);
        for (index, node) in graph.nodes().iter().enumerate() {
            rewriting.keep(node)?;
            let Some(product) = products.get(&index) else { continue };
            let factors = &factors[product.weight];
            let other = rewriting.get(node.inputs[1 - product.side as usize]);
            let Op::MatMul { trans_a, trans_b } = node.op else { unreachable!("weights are read by products alone") };
            let b = &mut rewriting.builder;
            // W = L·R, and so Wᵀ = Rᵀ·Lᵀ.
            let [first, second] = match product.is_transposed {
                false => [factors.left, factors.right],
                true => [factors.right.turned(), factors.left.turned()],
            };
            let added = match product.side {
                Side::Right => {
                    let low = b.mat_mul(other, first.value, trans_a, first.is_transposed)?;
                    let low = b.scale(low, self.scale())?;
                    b.mat_mul(low, second.value, false, second.is_transposed)?
                }
                Side::Left => {
                    let low = b.mat_mul(second.value, other, second.is_transposed, trans_b)?;
                    let low = b.scale(low, self.scale())?;
                    b.mat_mul(first.value, low, first.is_transposed, false)?
                }
            };
            let made = rewriting.get(node.output);
            let made = rewriting.builder.add(made, added)?;
            rewriting.replace(node.output, made);
        }
        rewriting.finish()
    }

    /// The graph that makes plain weights of adapted ones, for export: inputs W, A and B of each, outputs W + α/r·B·A under
    /// the weights' names. The graph that was adapted computes with them what the adapted one does.
    ///
    /// # Errors
    /// As [`Self::adapters`].
    pub fn merge(&self, graph: &Graph) -> Result<Graph, GraphError> {
        let mut b = GraphBuilder::new();
        for weight in self.read(graph)? {
            let plain = b.input(weight.name, graph.value_type(weight.value).clone())?;
            let Factors { left, right } = Factors::new(&mut b, &weight, self.rank)?;
            let product = b.mat_mul(left.value, right.value, left.is_transposed, right.is_transposed)?;
            let mut change = b.scale(product, self.scale())?;
            // Back the way that the weight came to its products.
            for node in weight.way.iter().rev().map(|index| &graph.nodes()[*index]) {
                change = match &node.op {
                    Op::Transpose { axes } => b.transpose(change, &inverse(axes))?,
                    _ => b.reshape(change, &graph.value_type(node.inputs[0]).shape)?,
                };
            }
            let merged = b.add(plain, change)?;
            b.output(weight.name, merged);
        }
        b.finish()
    }

    /// One step of SGD with momentum on the adapters alone: everything else is frozen, and no gradient of it is computed.
    /// `loss` names the output that is made less. Inputs: those of the adapted graph, every adapter's velocities, and
    /// [`LEARNING_RATE`] and [`MOMENTUM`]. Outputs: every adapter and velocity under the same names, and [`LOSS`].
    ///
    /// # Errors
    /// As [`Self::adapt`] and [`gradients`]; [`GraphError::BadName`] without such an output.
    pub fn training_step(&self, graph: &Graph, loss: &str) -> Result<Graph, GraphError> {
        let adapted = self.adapt(graph)?;
        let value_of = |name: &str, values: &[(String, ValueId)]| {
            let found = values.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
            found.ok_or_else(|| GraphError::BadName { name: name.to_owned(), reason: "the graph has no such value" })
        };
        let loss = value_of(loss, adapted.outputs())?;
        let names = self.adapters(graph)?.into_iter().flat_map(|adapter| [adapter.a, adapter.b]);
        let learnt = names.map(|name| Ok((value_of(&name, adapted.inputs())?, name)));
        let learnt: Vec<(ValueId, String)> = learnt.collect::<Result<_, GraphError>>()?;
        let mut b = GraphBuilder::continuing(&adapted);
        let values: Vec<ValueId> = learnt.iter().map(|(value, _)| *value).collect();
        let made = gradients(&mut b, loss, &values)?;
        let rate = b.input(LEARNING_RATE, TensorType::f32([]))?;
        let momentum = b.input(MOMENTUM, TensorType::f32([]))?;
        for ((value, name), gradient) in learnt.into_iter().zip(made) {
            let velocity_name = format!("{VELOCITY_PREFIX}{name}");
            let velocity_type = b.value_type(value).clone();
            let velocity = b.input(velocity_name.clone(), velocity_type)?;
            let next = b.sgd_momentum(value, velocity, gradient, rate, momentum)?;
            b.output(name, next.parameter);
            b.output(velocity_name, next.velocity);
        }
        b.output(LOSS, loss);
        drop_dead(&b.finish()?)
    }

    fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }

    fn read<'g>(&self, graph: &'g Graph) -> Result<Vec<Weight<'g>>, GraphError> {
        if !self.alpha.is_finite() {
            return Err(GraphError::NonFiniteAttribute { op: "lora", value: self.alpha });
        }
        let weights = weights::read(graph, self.weights)?;
        for weight in &weights {
            let limit = weight.shape.into_iter().min().unwrap_or(0);
            if self.rank == 0 || self.rank > limit {
                let (name, shape) = (weight.name.to_owned(), weight.shape.to_vec());
                return Err(GraphError::AdapterRank { name, shape, rank: self.rank, limit });
            }
        }
        Ok(weights)
    }
}

/// A matrix, and whether its transposition is meant.
#[derive(Clone, Copy)]
struct Factor {
    value: ValueId,
    is_transposed: bool,
}

impl Factor {
    fn turned(self) -> Self {
        Self { is_transposed: !self.is_transposed, ..self }
    }
}

/// L and R, whose product has the weight's shape: B and A, or Aᵀ and Bᵀ for a weight that is stored \[in, out\].
struct Factors {
    left: Factor,
    right: Factor,
}

impl Factors {
    fn new(b: &mut GraphBuilder, weight: &Weight<'_>, rank: u32) -> Result<Self, GraphError> {
        let adapter = Adapter::of(weight, rank);
        let (a_shape, b_shape) = (adapter.a_shape(), adapter.b_shape());
        let is_transposed = !weight.is_out_first;
        let a = Factor { value: b.input(adapter.a, TensorType::f32(a_shape))?, is_transposed };
        let b = Factor { value: b.input(adapter.b, TensorType::f32(b_shape))?, is_transposed };
        Ok(if weight.is_out_first { Self { left: b, right: a } } else { Self { left: a, right: b } })
    }
}

fn inverse(axes: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; axes.len()];
    for (at, axis) in axes.iter().enumerate() {
        inverse[*axis as usize] = at as u32;
    }
    inverse
}

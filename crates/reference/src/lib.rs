//! What a graph means, in f64: an interpreter written from the definitions in `graph.proto`, for tests of kernels, of
//! derivatives and of graph rewrites. It shares no code with the kernels, keeps no order of summation and is as slow as plain
//! loops are. Integers are whole numbers in f64, with the wrap-around of their type.
//!
//! Conversions to integers round towards zero and saturate; an i32 that becomes i8 or u8 keeps its low bits.

mod elementwise;
mod movement;
mod numbers;
mod products;
mod rows;
mod shape;
mod windows;

use std::collections::BTreeMap;

use shoal_graph::{DType, Graph, Node, Op};

pub use numbers::{Numbers, random_inputs};

/// Tensors by name, row-major; integers are whole numbers.
pub type Reals = BTreeMap<String, Vec<f64>>;

/// Why a graph does not run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// An input of the graph that is not given.
    #[error("input {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// An input with another number of elements than its shape has.
    #[error("input {name:?} has {found} elements, its shape has {expected}")]
    Length {
        /// Its name.
        name: String,
        /// Elements of the shape.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A label, or an index of a gather or a scatter, that points beside the tensor.
    #[error("{op} was given index {index}, the dimension is {size}")]
    Outside {
        /// The operation.
        op: &'static str,
        /// The index.
        index: f64,
        /// The dimension it must lie in.
        size: usize,
    },
}

/// One operand of a node.
#[derive(Clone, Copy)]
struct Operand<'a> {
    dtype: DType,
    shape: &'a [u32],
    data: &'a [f64],
}

impl Operand<'_> {
    fn dim(&self, axis: usize) -> usize {
        self.shape[axis] as usize
    }
}

/// Runs a graph and returns its outputs.
///
/// # Errors
/// Inputs that are missing or of the wrong length, and indices outside their range.
pub fn run(graph: &Graph, inputs: &Reals) -> Result<Reals, Error> {
    let values = run_all(graph, inputs)?;
    Ok(graph.outputs().iter().map(|(name, value)| (name.clone(), values[value.index()].clone())).collect())
}

/// Runs a graph and returns every value, by [`shoal_graph::ValueId::index`].
///
/// # Errors
/// As [`run`].
pub fn run_all(graph: &Graph, inputs: &Reals) -> Result<Vec<Vec<f64>>, Error> {
    let mut values = vec![Vec::new(); graph.types().len()];
    for (name, value) in graph.inputs() {
        let given = inputs.get(name).ok_or_else(|| Error::Missing { name: name.clone() })?;
        let expected = shape::elements(&graph.value_type(*value).shape);
        if given.len() != expected {
            return Err(Error::Length { name: name.clone(), expected, found: given.len() });
        }
        values[value.index()].clone_from(given);
    }
    for node in graph.nodes() {
        values[node.output.index()] = apply(graph, node, &values)?;
    }
    Ok(values)
}

fn apply(graph: &Graph, node: &Node, values: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    let operands = node.inputs.iter().map(|value| {
        let of = graph.value_type(*value);
        Operand { dtype: of.dtype, shape: &of.shape, data: &values[value.index()] }
    });
    let operands: Vec<Operand<'_>> = operands.collect();
    let made = &graph.value_type(node.output).shape;
    let at = |i: usize| operands[i];
    Ok(match &node.op {
        Op::Constant(literal) => movement::literal(literal),
        Op::Iota { axis, .. } => movement::iota(*axis as usize, made),
        Op::Unary(unary) => at(0).data.iter().map(|x| elementwise::unary(*unary, at(0).dtype, *x)).collect(),
        Op::Binary(binary) => elementwise::binary(*binary, at(0), at(1), made),
        Op::Where => elementwise::choose(at(0), at(1), at(2), made),
        Op::Cast { to } => at(0).data.iter().map(|x| elementwise::cast(at(0).dtype, *to, *x)).collect(),
        Op::Reshape { .. } => at(0).data.to_vec(),
        Op::Transpose { axes } => movement::transpose(at(0), axes, made),
        Op::Broadcast { .. } => movement::broadcast(at(0), made),
        Op::Slice { starts, steps, .. } => movement::slice(at(0), starts, steps, made),
        Op::Pad { low, interior, value, .. } => movement::pad(at(0), low, interior, *value, made),
        Op::Concat { axis } => movement::concat(&operands, *axis as usize, made),
        Op::Gather { axis } => movement::gather(at(0), at(1), *axis as usize, made)?,
        Op::ScatterAdd { axis, .. } => movement::scatter_add(at(0), at(1), *axis as usize, made)?,
        Op::Reduce { reduction, axes } => rows::reduce(*reduction, at(0), axes, made),
        Op::ArgMax { axis } => rows::arg_max(at(0), *axis, made),
        Op::MatMul { trans_a, trans_b } => products::mat_mul(at(0), at(1), *trans_a, *trans_b, made),
        Op::MatMulInteger { trans_b } => products::mat_mul(at(0), at(1), false, *trans_b, made),
        Op::Conv2dInteger { window, groups } => products::conv2d(*window, *groups, at(0), at(1), made),
        Op::Requantize { shift, low, high, .. } => elementwise::requantize(*shift, [*low, *high], at(0), at(1), made),
        Op::Conv2d { window, groups } => products::conv2d(*window, *groups, at(0), at(1), made),
        Op::Conv2dGradInput { window, groups, .. } => products::conv2d_grad_input(*window, *groups, at(0), at(1), made),
        Op::Conv2dGradWeight { window, groups, .. } => {
            products::conv2d_grad_weight(*window, *groups, at(0), at(1), made)
        }
        Op::MaxPool2d { window, kernel_height, kernel_width } => {
            windows::max_pool(*window, [*kernel_height, *kernel_width], at(0), made)
        }
        Op::MaxPool2dGrad { window, kernel_height, kernel_width } => {
            windows::max_pool_grad(*window, [*kernel_height, *kernel_width], at(0), at(1))
        }
        Op::SumPool2d { window, kernel_height, kernel_width } => {
            windows::sum_pool(*window, [*kernel_height, *kernel_width], at(0), made)
        }
        Op::SumPool2dGrad { window, kernel_height, kernel_width, .. } => {
            windows::sum_pool_grad(*window, [*kernel_height, *kernel_width], at(0), made)
        }
        Op::Softmax => rows::softmax(at(0)),
        Op::SoftmaxGrad => rows::softmax_grad(at(0), at(1)),
        Op::SoftmaxCrossEntropy => rows::cross_entropy(at(0), at(1))?,
        Op::SoftmaxCrossEntropyGrad => rows::cross_entropy_grad(at(0), at(1), at(2))?,
    })
}

/// An index that came as data.
fn checked(op: &'static str, index: f64, size: usize) -> Result<usize, Error> {
    if index >= 0.0 && index < size as f64 { Ok(index as usize) } else { Err(Error::Outside { op, index, size }) }
}

//! Operations on constants alone, where the result is the same in every arithmetic: elements that only move, and
//! whole numbers. Sums of floats stay, since their order is the backend's to keep.

use super::Rewriting;
use crate::{
    error::GraphError,
    graph::Graph,
    op::{Binary, DType, Literal, Op, TensorType, Unary},
};

/// Bytes of a folded constant at most: a graph travels to every worker, and what is longer is cheaper made there.
const MAX_FOLDED_BYTES: u64 = 1 << 10;

/// The graph with exact operations on small constants replaced by what they make.
///
/// # Errors
/// [`GraphError::TooLarge`] if the constants take the graph over its limit of bytes.
pub fn fold_constants(graph: &Graph) -> Result<Graph, GraphError> {
    let mut rewriting = Rewriting::new(graph)?;
    let mut literals: Vec<Option<Literal>> = vec![None; graph.types().len()];
    for node in graph.nodes() {
        let operands: Option<Vec<&Literal>> =
            node.inputs.iter().map(|value| literals[value.index()].as_ref()).collect();
        let made = graph.value_type(node.output);
        let folded = operands.filter(|_| made.bytes() <= MAX_FOLDED_BYTES).and_then(|x| fold(&node.op, &x, made));
        match folded {
            Some(literal) => {
                let value = rewriting.builder.apply(Op::Constant(literal.clone()), &[])?;
                rewriting.new[node.output.index()] = Some(value);
                literals[node.output.index()] = Some(literal);
            }
            None => rewriting.keep(node)?,
        }
    }
    rewriting.finish()
}

fn fold(op: &Op, x: &[&Literal], made: &TensorType) -> Option<Literal> {
    match (op, x) {
        (Op::Constant(literal), []) => Some(literal.clone()),
        (Op::Iota { axis, shape }, []) => {
            let of: Vec<i32> = indices(shape).map(|index| index[*axis as usize] as i32).collect();
            Some(Literal::i32(shape.clone(), &of))
        }
        (Op::Reshape { .. }, [x]) => Some(Literal::from_bytes(made.clone(), x.bytes().to_vec())),
        (Op::Transpose { axes }, [x]) => moved(x, made, |index| {
            let mut from = vec![0; index.len()];
            axes.iter().zip(index).for_each(|(axis, at)| from[*axis as usize] = *at);
            from
        }),
        (Op::Broadcast { .. }, [x]) => moved(x, made, |index| stretched(x, index)),
        (Op::Slice { starts, steps, .. }, [x]) => moved(x, made, |index| {
            let at = |axis: usize| i64::from(starts[axis]) + i64::from(steps[axis]) * index[axis] as i64;
            (0..index.len()).map(|axis| at(axis) as usize).collect()
        }),
        (Op::Unary(unary), [x]) if x.tensor_type().dtype == DType::I32 => {
            let of: Vec<i32> = x.i32_values().map(|x| whole_unary(*unary, x)).collect::<Option<_>>()?;
            Some(Literal::i32(made.shape.clone(), &of))
        }
        (Op::Binary(binary), [a, b]) if a.tensor_type().dtype == DType::I32 => {
            let (left, right): (Vec<i32>, Vec<i32>) = (a.i32_values().collect(), b.i32_values().collect());
            let at = |index: &[usize]| {
                let a = left[position(a, &stretched(a, index))];
                whole_binary(*binary, a, right[position(b, &stretched(b, index))])
            };
            let of: Vec<i32> = indices(&made.shape).map(|index| at(&index)).collect::<Option<_>>()?;
            Some(Literal::i32(made.shape.clone(), &of))
        }
        _ => None,
    }
}

fn whole_unary(unary: Unary, x: i32) -> Option<i32> {
    match unary {
        Unary::Neg => Some(x.wrapping_neg()),
        Unary::Abs => Some(x.wrapping_abs()),
        Unary::Sign => Some(x.signum()),
        Unary::Sqrt => Some(x.max(0).isqrt()),
        _ => None,
    }
}

fn whole_binary(binary: Binary, a: i32, b: i32) -> Option<i32> {
    Some(match binary {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div if b == 0 => 0,
        Binary::Div => a.wrapping_div(b),
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Less => i32::from(a < b),
        Binary::LessEqual => i32::from(a <= b),
        Binary::Equal => i32::from(a == b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::Pow => return None,
    })
}

/// Elements of x, each from the index that `from` names.
fn moved(x: &Literal, made: &TensorType, from: impl Fn(&[usize]) -> Vec<usize>) -> Option<Literal> {
    let size = made.dtype.bytes() as usize;
    let element = |index: Vec<usize>| x.bytes()[position(x, &from(&index)) * size..][..size].to_vec();
    Some(Literal::from_bytes(made.clone(), indices(&made.shape).flat_map(element).collect()))
}

/// The index in x of an index of what x broadcasts to.
fn stretched(x: &Literal, index: &[usize]) -> Vec<usize> {
    let shape = &x.tensor_type().shape;
    let own = &index[index.len() - shape.len()..];
    shape.iter().zip(own).map(|(dim, at)| if *dim == 1 { 0 } else { *at }).collect()
}

fn position(x: &Literal, index: &[usize]) -> usize {
    x.tensor_type().shape.iter().zip(index).fold(0, |position, (dim, at)| position * *dim as usize + at)
}

/// Every index of a shape in row-major order.
fn indices(shape: &[u32]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count: usize = shape.iter().map(|dim| *dim as usize).product();
    (0..count).map(move |mut rest| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis] as usize;
            rest /= shape[axis] as usize;
        }
        index
    })
}

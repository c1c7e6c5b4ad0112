//! Runs graphs in f64. Every tensor is walked by the index of each axis, as the definitions are written.

use shoal_graph::{Graph, Op, Reduction, TensorType};

use super::{Reals, elements, windows};

/// Runs a graph in f64.
pub fn run(graph: &Graph, inputs: &Reals) -> Reals {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.types().len()];
    for (name, value) in graph.inputs() {
        values[value.index()] = inputs[name].clone();
    }
    for node in graph.nodes() {
        let operands: Vec<&[f64]> = node.inputs.iter().map(|value| values[value.index()].as_slice()).collect();
        let types: Vec<&TensorType> = node.inputs.iter().map(|value| graph.value_type(*value)).collect();
        let made = apply(&node.op, &operands, &types, graph.value_type(node.output));
        values[node.output.index()] = made;
    }
    graph.outputs().iter().map(|(name, value)| (name.clone(), values[value.index()].clone())).collect()
}

type Index = Vec<usize>;

/// Every index of a tensor of that shape, in row-major order.
fn indices(shape: &[u32]) -> impl Iterator<Item = Index> + '_ {
    let len: usize = shape.iter().map(|dim| *dim as usize).product();
    (0..len).map(move |mut flat| {
        let mut index = vec![0; shape.len()];
        for (at, dim) in index.iter_mut().zip(shape).rev() {
            *at = flat % *dim as usize;
            flat /= *dim as usize;
        }
        index
    })
}

fn flat(shape: &[u32], index: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |flat, (at, dim)| flat * *dim as usize + at)
}

/// The element that broadcasting puts at an index.
fn stretched(x: &[f64], shape: &[u32], index: &[usize]) -> f64 {
    let own: Index =
        index[index.len() - shape.len()..].iter().zip(shape).map(|(at, dim)| if *dim == 1 { 0 } else { *at }).collect();
    x[flat(shape, &own)]
}

fn apply(op: &Op, x: &[&[f64]], types: &[&TensorType], out: &TensorType) -> Vec<f64> {
    let shapes: Vec<&[u32]> = types.iter().map(|operand| operand.shape.as_slice()).collect();
    if let Some(made) = windows::apply(op, x, &shapes, &out.shape) {
        return made;
    }
    let each = |f: &dyn Fn(&Index) -> f64| indices(&out.shape).map(|index| f(&index)).collect::<Vec<_>>();
    let last = || *shapes[0].last().unwrap() as usize;
    match op {
        Op::Constant(literal) => {
            literal.f32_values().map(f64::from).chain(literal.i32_values().map(f64::from)).collect()
        }
        Op::Iota { axis, .. } => each(&|index| index[*axis as usize] as f64),
        Op::Unary(unary) => x[0].iter().map(|x| elements::unary(*unary, *x)).collect(),
        Op::Binary(binary) => each(&|index| {
            let (a, b) = (stretched(x[0], shapes[0], index), stretched(x[1], shapes[1], index));
            elements::binary(*binary, types[0].dtype, a, b)
        }),
        Op::Where => each(&|index| {
            let chosen = if stretched(x[0], shapes[0], index) != 0.0 { 1 } else { 2 };
            stretched(x[chosen], shapes[chosen], index)
        }),
        Op::Cast { to } => x[0].iter().map(|x| elements::cast(*x, *to)).collect(),
        Op::Reshape { .. } => x[0].to_vec(),
        Op::Transpose { axes } => each(&|index| {
            let mut from = vec![0; index.len()];
            axes.iter().zip(index).for_each(|(axis, at)| from[*axis as usize] = *at);
            x[0][flat(shapes[0], &from)]
        }),
        Op::Broadcast { .. } => each(&|index| stretched(x[0], shapes[0], index)),
        Op::Slice { starts, steps, .. } => each(&|index| {
            let at = |axis: usize| (starts[axis] as i64 + i64::from(steps[axis]) * index[axis] as i64) as usize;
            x[0][flat(shapes[0], &(0..index.len()).map(at).collect::<Index>())]
        }),
        Op::Pad { low, interior, value, .. } => {
            let mut y = vec![elements::cast(f64::from(*value), out.dtype); out.elements() as usize];
            for (index, x) in indices(shapes[0]).zip(x[0]) {
                let at = |axis: usize| low[axis] as usize + index[axis] * (interior[axis] as usize + 1);
                y[flat(&out.shape, &(0..index.len()).map(at).collect::<Index>())] = *x;
            }
            y
        }
        Op::Concat { axis } => each(&|index| {
            let (mut index, axis) = (index.clone(), *axis as usize);
            let mut operand = 0;
            while index[axis] >= shapes[operand][axis] as usize {
                index[axis] -= shapes[operand][axis] as usize;
                operand += 1;
            }
            x[operand][flat(shapes[operand], &index)]
        }),
        Op::Gather { axis } => {
            let (axis, rank) = (*axis as usize, shapes[1].len());
            each(&|index| {
                let at = x[1][flat(shapes[1], &index[axis..axis + rank])] as usize;
                x[0][flat(shapes[0], &[&index[..axis], &[at], &index[axis + rank..]].concat())]
            })
        }
        Op::ScatterAdd { axis, .. } => {
            let (axis, rank) = (*axis as usize, shapes[1].len());
            let mut y = vec![0.0; out.elements() as usize];
            for (index, update) in indices(shapes[0]).zip(x[0]) {
                let at = x[1][flat(shapes[1], &index[axis..axis + rank])] as usize;
                y[flat(&out.shape, &[&index[..axis], &[at], &index[axis + rank..]].concat())] += update;
            }
            y
        }
        Op::Reduce { reduction, axes } => reduce(*reduction, axes, x[0], shapes[0], &out.shape),
        Op::ArgMax { axis } => each(&|index| {
            let axis = *axis as usize;
            let at = |at: usize| x[0][flat(shapes[0], &[&index[..axis], &[at], &index[axis..]].concat())];
            (0..shapes[0][axis] as usize).fold(0, |best, other| if at(other) > at(best) { other } else { best }) as f64
        }),
        Op::MatMul { trans_a, trans_b } => product(*trans_a, *trans_b, x, &out.shape),
        Op::MatMulInteger { trans_b } => product(false, *trans_b, x, &out.shape),
        Op::Softmax => softmax(x[0], last()),
        Op::SoftmaxGrad => {
            let rows = x[0].chunks(last()).zip(x[1].chunks(last()));
            let gradient = rows.flat_map(|(y, dy)| {
                let total: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
                y.iter().zip(dy).map(move |(y, dy)| y * (dy - total))
            });
            gradient.collect()
        }
        Op::SoftmaxCrossEntropy => {
            let p = softmax(x[0], last());
            let losses = x[1].iter().enumerate().map(|(row, label)| -p[row * last() + *label as usize].ln());
            vec![losses.sum::<f64>() / x[1].len() as f64]
        }
        Op::SoftmaxCrossEntropyGrad => {
            let mut y = softmax(x[0], last());
            for (row, label) in x[1].iter().enumerate() {
                y[row * last() + *label as usize] -= 1.0;
            }
            y.iter().map(|y| y * x[2][0] / x[1].len() as f64).collect()
        }
        _ => unreachable!("{} has windows", op.name()),
    }
}

fn reduce(reduction: Reduction, axes: &[u32], x: &[f64], shape: &[u32], out: &[u32]) -> Vec<f64> {
    let (start, combine): (f64, fn(f64, f64) -> f64) = match reduction {
        Reduction::Sum => (0.0, |a, b| a + b),
        Reduction::Product => (1.0, |a, b| a * b),
        Reduction::Max => (f64::NEG_INFINITY, f64::max),
        Reduction::Min => (f64::INFINITY, f64::min),
    };
    let mut y = vec![start; out.iter().map(|dim| *dim as usize).product()];
    for (index, x) in indices(shape).zip(x) {
        let kept: Index =
            (0..index.len()).filter(|axis| !axes.contains(&(*axis as u32))).map(|axis| index[axis]).collect();
        let y = &mut y[flat(out, &kept)];
        *y = combine(*y, *x);
    }
    y
}

fn product(trans_a: bool, trans_b: bool, x: &[&[f64]], out: &[u32]) -> Vec<f64> {
    let [batch @ .., i_dim, j_dim] = out else { panic!("a product has two dimensions") };
    let depth = x[0].len() / batch.iter().chain([i_dim]).map(|dim| *dim as usize).product::<usize>();
    let (m, n) = (*i_dim as usize, *j_dim as usize);
    let element = |index: Index| {
        let [batch_index @ .., i, j] = &index[..] else { panic!("a product has two dimensions") };
        let matrix = flat(batch, batch_index);
        let a = |p: usize| x[0][matrix * m * depth + if trans_a { p * m + i } else { i * depth + p }];
        let b = |p: usize| x[1][matrix * n * depth + if trans_b { j * depth + p } else { p * n + j }];
        (0..depth).map(|p| a(p) * b(p)).sum()
    };
    indices(out).map(element).collect()
}

fn softmax(x: &[f64], width: usize) -> Vec<f64> {
    x.chunks(width)
        .flat_map(|row| {
            let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = row.iter().map(|x| (x - greatest).exp()).sum();
            row.iter().map(move |x| (x - greatest).exp() / total)
        })
        .collect()
}

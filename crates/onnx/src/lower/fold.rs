//! Evaluates operations on known values while lowering: shapes, indices, masks and small tables. Unlike a graph's, these
//! may be empty, and their integers have 64 bits.

use shoal_graph::{Binary, DType, Op, Reduction, Unary};

use super::value::Value;
use crate::{
    element::Element,
    tensor::{Data, elements, places},
};

/// What the operation makes; `None` where it is not evaluated: an operation that is not here, operands that do not go
/// together, or more elements than there is room for.
pub(super) fn evaluate(op: &Op, inputs: &[&Value], element: Element, room: u64) -> Option<(Vec<u32>, Data)> {
    let data = inputs.iter().map(|value| value.data()).collect::<Option<Vec<_>>>()?;
    let shapes: Vec<&[u32]> = inputs.iter().map(|value| value.shape.as_slice()).collect();
    // An empty tensor may have large dimensions beside the empty one, which are walked nevertheless.
    let bounded = |shape: &[u32]| (places(shape) <= room).then(|| shape.to_vec());
    let (shape, data) = match (op, data.as_slice()) {
        (Op::Iota { axis, shape }, []) => (bounded(shape)?, iota(*axis as usize, shape)),
        (Op::Unary(unary), [x]) => (shapes[0].to_vec(), map_unary(*unary, x)?),
        (Op::Cast { to }, [x]) => (shapes[0].to_vec(), cast(*to, x)),
        (Op::Binary(binary), [a, b]) => {
            let shape = bounded(&broadcast(shapes[0], shapes[1])?)?;
            let (at_a, at_b) = (stretched(shapes[0], &shape), stretched(shapes[1], &shape));
            (shape, map_binary(*binary, a, b, &at_a, &at_b)?)
        }
        (Op::Where, [condition, a, b]) => {
            let shape = bounded(&broadcast(&broadcast(shapes[0], shapes[1])?, shapes[2])?)?;
            let at: Vec<_> = shapes.iter().map(|own| stretched(own, &shape)).collect();
            (shape, choose(condition, a, b, &at)?)
        }
        (Op::Reshape { shape }, [x]) if elements(shape) == x.len() as u64 => (bounded(shape)?, (*x).clone()),
        (Op::Transpose { axes }, [x]) => {
            let strides = strides(shapes[0]);
            let of = |axis: &u32| Some((*shapes[0].get(*axis as usize)?, *strides.get(*axis as usize)?));
            let (shape, strides): (Vec<_>, Vec<_>) =
                axes.iter().map(of).collect::<Option<Vec<_>>>()?.into_iter().unzip();
            let at = positions(&shape, &strides, 0);
            (shape, pick(x, &at)?)
        }
        (Op::Broadcast { shape }, [x]) if broadcast(shapes[0], shape).as_ref() == Some(shape) => {
            (bounded(shape)?, pick(x, &stretched(shapes[0], shape))?)
        }
        (Op::Slice { starts, steps, shape }, [x]) => {
            let own = strides(shapes[0]);
            let offset = starts.iter().zip(&own).map(|(start, stride)| i64::from(*start) * stride).sum();
            let steps: Vec<i64> = steps.iter().zip(&own).map(|(step, stride)| i64::from(*step) * stride).collect();
            (bounded(shape)?, pick(x, &positions(shape, &steps, offset))?)
        }
        (Op::Concat { axis }, parts) => concat(*axis as usize, parts, &shapes, room)?,
        (Op::Gather { axis }, [x, Data::Integers(indices)]) => {
            gather(*axis as usize, x, shapes[0], indices, shapes[1], room)?
        }
        (Op::Reduce { reduction, axes }, [x]) => reduce(*reduction, axes, x, shapes[0])?,
        _ => return None,
    };
    debug_assert_eq!(data.len() as u64, elements(&shape));
    let data = match data {
        Data::Floats(values) => Data::Floats(values.into_iter().map(|x| element.round(x)).collect()),
        Data::Integers(values) => Data::Integers(values.into_iter().map(|x| element.wrap(x)).collect()),
    };
    Some((shape, data))
}

/// The shape that both stretch to; 1 also shrinks to 0.
pub(super) fn broadcast(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[u32], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let each = (0..rank).map(|axis| match (dim(a, axis), dim(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    each.collect()
}

/// Elements between neighbours along each axis.
fn strides(shape: &[u32]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * i64::from(shape[axis]).max(1);
    }
    strides
}

/// Positions of all elements of a shape under strides, in row-major order.
fn positions(shape: &[u32], strides: &[i64], offset: i64) -> Vec<usize> {
    let mut made = vec![offset];
    for (dim, stride) in shape.iter().zip(strides) {
        made = made.iter().flat_map(|start| (0..i64::from(*dim)).map(move |at| start + at * stride)).collect();
    }
    made.into_iter().map(|at| at as usize).collect()
}

/// Where each element of a shape comes from in a tensor that stretches to it.
fn stretched(own: &[u32], shape: &[u32]) -> Vec<usize> {
    let missing = shape.len() - own.len();
    let own_strides = strides(own);
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(at) if own[at] != 1 => own_strides[at],
        _ => 0,
    };
    positions(shape, &(0..shape.len()).map(stride).collect::<Vec<_>>(), 0)
}

fn iota(axis: usize, shape: &[u32]) -> Data {
    let strides: Vec<i64> = (0..shape.len()).map(|own| i64::from(own == axis)).collect();
    Data::Integers(positions(shape, &strides, 0).into_iter().map(|at| at as i64).collect())
}

fn pick(x: &Data, at: &[usize]) -> Option<Data> {
    Some(match x {
        Data::Floats(x) => Data::Floats(at.iter().map(|at| x.get(*at).copied()).collect::<Option<_>>()?),
        Data::Integers(x) => Data::Integers(at.iter().map(|at| x.get(*at).copied()).collect::<Option<_>>()?),
    })
}

fn map_unary(unary: Unary, x: &Data) -> Option<Data> {
    Some(match x {
        Data::Floats(x) => Data::Floats(x.iter().map(|x| float_unary(unary, *x)).collect::<Option<_>>()?),
        Data::Integers(x) => Data::Integers(
            x.iter()
                .map(|x| match unary {
                    Unary::Neg => Some(x.wrapping_neg()),
                    Unary::Abs => Some(x.wrapping_abs()),
                    Unary::Sign => Some(x.signum()),
                    _ => None,
                })
                .collect::<Option<_>>()?,
        ),
    })
}

fn float_unary(unary: Unary, x: f64) -> Option<f64> {
    Some(match unary {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x == 0.0 {
                x
            } else {
                x.signum()
            }
        }
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Relu => x.max(0.0),
        Unary::Erf => return None,
    })
}

fn cast(to: DType, x: &Data) -> Data {
    match (to, x) {
        (DType::F32, Data::Integers(x)) => Data::Floats(x.iter().map(|x| *x as f64).collect()),
        (DType::F32, Data::Floats(_)) | (_, Data::Integers(_)) => x.clone(),
        (_, Data::Floats(x)) => Data::Integers(x.iter().map(|x| *x as i64).collect()),
    }
}

fn map_binary(binary: Binary, a: &Data, b: &Data, at_a: &[usize], at_b: &[usize]) -> Option<Data> {
    let each = at_a.iter().zip(at_b);
    match (a, b) {
        (Data::Floats(a), Data::Floats(b)) => {
            let pairs = each.map(|(at_a, at_b)| (a[*at_a], b[*at_b]));
            Some(match binary {
                Binary::Less => truths(pairs.map(|(a, b)| a < b)),
                Binary::LessEqual => truths(pairs.map(|(a, b)| a <= b)),
                Binary::Equal => truths(pairs.map(|(a, b)| a == b)),
                _ => Data::Floats(pairs.map(|(a, b)| float_binary(binary, a, b)).collect::<Option<_>>()?),
            })
        }
        (Data::Integers(a), Data::Integers(b)) => {
            let pairs = each.map(|(at_a, at_b)| (a[*at_a], b[*at_b]));
            Some(match binary {
                Binary::Less => truths(pairs.map(|(a, b)| a < b)),
                Binary::LessEqual => truths(pairs.map(|(a, b)| a <= b)),
                Binary::Equal => truths(pairs.map(|(a, b)| a == b)),
                _ => Data::Integers(pairs.map(|(a, b)| integer_binary(binary, a, b)).collect::<Option<_>>()?),
            })
        }
        _ => None,
    }
}

fn truths(values: impl Iterator<Item = bool>) -> Data {
    Data::Integers(values.map(i64::from).collect())
}

fn float_binary(binary: Binary, a: f64, b: f64) -> Option<f64> {
    Some(match binary {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if b > a {
                b
            } else {
                a
            }
        }
        Binary::Min => {
            if b < a {
                b
            } else {
                a
            }
        }
        Binary::Pow => a.powf(b),
        _ => return None,
    })
}

fn integer_binary(binary: Binary, a: i64, b: i64) -> Option<i64> {
    Some(match binary {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::Div => {
            if b == 0 {
                0
            } else {
                a.wrapping_div(b)
            }
        }
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        _ => return None,
    })
}

fn choose(condition: &Data, a: &Data, b: &Data, at: &[Vec<usize>]) -> Option<Data> {
    let Data::Integers(condition) = condition else { return None };
    let each = at[0].iter().zip(&at[1]).zip(&at[2]).map(|((c, a), b)| (condition[*c] != 0, *a, *b));
    Some(match (a, b) {
        (Data::Floats(x), Data::Floats(y)) => {
            Data::Floats(each.map(|(first, a, b)| if first { x[a] } else { y[b] }).collect())
        }
        (Data::Integers(x), Data::Integers(y)) => {
            Data::Integers(each.map(|(first, a, b)| if first { x[a] } else { y[b] }).collect())
        }
        _ => return None,
    })
}

/// Elements before an axis, along it, and after it.
fn split(shape: &[u32], axis: usize) -> Option<(usize, usize, usize)> {
    let dim = *shape.get(axis)? as usize;
    Some((elements(&shape[..axis]) as usize, dim, elements(&shape[axis + 1..]) as usize))
}

fn concat(axis: usize, parts: &[&Data], shapes: &[&[u32]], room: u64) -> Option<(Vec<u32>, Data)> {
    let mut shape = shapes.first()?.to_vec();
    if axis >= shape.len() {
        return None;
    }
    let alike =
        |own: &&[u32]| own.len() == shape.len() && (0..shape.len()).all(|at| at == axis || own[at] == shape[at]);
    if !shapes.iter().all(alike) {
        return None;
    }
    let total: u64 = shapes.iter().map(|own| u64::from(own[axis])).sum();
    *shape.get_mut(axis)? = u32::try_from(total).ok()?;
    let (outer, ..) = split(&shape, axis)?;
    if places(&shape) > room {
        return None;
    }
    let rows = (0..outer).flat_map(|row| parts.iter().zip(shapes).map(move |(part, own)| (row, *part, *own)));
    let range =
        |row: usize, own: &[u32]| split(own, axis).map(|(_, dim, inner)| row * dim * inner..(row + 1) * dim * inner);
    let data = match parts.first()? {
        Data::Floats(_) => {
            let mut made = Vec::new();
            for (row, part, own) in rows {
                let Data::Floats(values) = part else { return None };
                made.extend_from_slice(&values[range(row, own)?]);
            }
            Data::Floats(made)
        }
        Data::Integers(_) => {
            let mut made = Vec::new();
            for (row, part, own) in rows {
                let Data::Integers(values) = part else { return None };
                made.extend_from_slice(&values[range(row, own)?]);
            }
            Data::Integers(made)
        }
    };
    Some((shape, data))
}

fn gather(
    axis: usize,
    x: &Data,
    shape: &[u32],
    indices: &[i64],
    indices_shape: &[u32],
    room: u64,
) -> Option<(Vec<u32>, Data)> {
    let (outer, dim, inner) = split(shape, axis)?;
    if indices.iter().any(|index| *index < 0 || *index >= dim as i64) {
        return None;
    }
    let made = [&shape[..axis], indices_shape, &shape[axis + 1..]].concat();
    if places(&made) > room {
        return None;
    }
    let at: Vec<usize> = (0..outer)
        .flat_map(|row| indices.iter().map(move |index| (row * dim + *index as usize) * inner))
        .flat_map(|start| start..start + inner)
        .collect();
    Some((made, pick(x, &at)?))
}

fn reduce(reduction: Reduction, axes: &[u32], x: &Data, shape: &[u32]) -> Option<(Vec<u32>, Data)> {
    let kept = |axis: usize| !axes.contains(&(axis as u32));
    let made: Vec<u32> = (0..shape.len()).filter(|axis| kept(*axis)).map(|axis| shape[axis]).collect();
    let mut own = strides(&made).into_iter();
    let strides: Vec<i64> = (0..shape.len()).map(|axis| if kept(axis) { own.next().unwrap_or(0) } else { 0 }).collect();
    let at = positions(shape, &strides, 0);
    let count = elements(&made) as usize;
    let data = match x {
        Data::Floats(x) => {
            let from = match reduction {
                Reduction::Sum => 0.0,
                Reduction::Product => 1.0,
                Reduction::Max => f64::NEG_INFINITY,
                Reduction::Min => f64::INFINITY,
            };
            let mut made = vec![from; count];
            for (x, at) in x.iter().zip(at) {
                made[at] = float_binary(combine(reduction), made[at], *x)?;
            }
            Data::Floats(made)
        }
        Data::Integers(x) => {
            let from = match reduction {
                Reduction::Sum => 0,
                Reduction::Product => 1,
                Reduction::Max => i64::MIN,
                Reduction::Min => i64::MAX,
            };
            let mut made = vec![from; count];
            for (x, at) in x.iter().zip(at) {
                made[at] = integer_binary(combine(reduction), made[at], *x)?;
            }
            Data::Integers(made)
        }
    };
    Some((made, data))
}

fn combine(reduction: Reduction) -> Binary {
    match reduction {
        Reduction::Sum => Binary::Add,
        Reduction::Product => Binary::Mul,
        Reduction::Max => Binary::Max,
        Reduction::Min => Binary::Min,
    }
}

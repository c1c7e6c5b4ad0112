//! Many elements to one, along axes; and what is like it: running sums, greatest elements, softmax.

use shoal_graph::{Binary, Op, Reduction, Unary};

use super::{
    call::{Call, axes, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError, tensor::elements};

/// Greatest number of elements that `TopK` finds: each takes some nodes.
const MAX_TOP: i64 = 256;

pub(super) fn reduce(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = call.list(low, "axes", 1)?.unwrap_or_default();
    let keep = call.int("keepdims", 1) != 0;
    let over = match given.is_empty() {
        true if call.int("noop_with_empty_axes", 0) != 0 => Vec::new(),
        true => (0..x.rank()).collect(),
        false => axes(&given, &x.shape)?,
    };
    // The others stay integers of integers.
    let float = if call.op() == "ReduceL2" || call.op().starts_with("ReduceLog") { low.float(x)? } else { x.clone() };
    let made = match call.op() {
        "ReduceSum" => low.reduce(Reduction::Sum, x, &over, keep)?,
        "ReduceMean" => low.mean(x, &over, keep)?,
        "ReduceMax" => low.reduce(Reduction::Max, x, &over, keep)?,
        "ReduceMin" => low.reduce(Reduction::Min, x, &over, keep)?,
        "ReduceProd" => low.reduce(Reduction::Product, x, &over, keep)?,
        "ReduceL1" => {
            let size = low.unary(Unary::Abs, x)?;
            low.reduce(Reduction::Sum, &size, &over, keep)?
        }
        "ReduceSumSquare" => {
            let square = low.mul(x, x)?;
            low.reduce(Reduction::Sum, &square, &over, keep)?
        }
        "ReduceL2" => {
            let square = low.mul(&float, &float)?;
            let sum = low.reduce(Reduction::Sum, &square, &over, keep)?;
            low.unary(Unary::Sqrt, &sum)?
        }
        "ReduceLogSum" => {
            let sum = low.reduce(Reduction::Sum, &float, &over, keep)?;
            low.unary(Unary::Log, &sum)?
        }
        "ReduceLogSumExp" => low.log_sum_exp(&float, &over, keep)?,
        other => unreachable!("{other} is no reduction"),
    };
    one(low.cast(&made, x.element))
}

pub(super) fn arg(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let at = call.axis(0, x)?;
    let x = low.float(x)?;
    let x = if call.op() == "ArgMin" { low.unary(Unary::Neg, &x)? } else { x };
    let made = if call.int("select_last_index", 0) != 0 {
        let dim = x.shape[at];
        let turned = low.slice(&x, at, dim.saturating_sub(1), -1, dim)?;
        let found = low.arg_max(&turned, at)?;
        low.binary(Binary::Sub, &Value::scalar(Element::I64, f64::from(dim) - 1.0), &found)?
    } else {
        low.arg_max(&x, at)?
    };
    if call.int("keepdims", 1) == 0 {
        return Ok(vec![made]);
    }
    let mut shape = x.shape.clone();
    shape[at] = 1;
    one(low.reshape(&made, &shape))
}

/// As a product with a triangle of ones.
pub(super) fn cumulative_sum(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let at = axes(&call.integers(low, 1)?, &x.shape)?.first().copied().unwrap_or(0);
    let dim = x.shape[at];
    let (row, column) = (low.iota(0, &[dim, 1])?, low.iota(1, &[1, dim])?);
    let (first, second) = if call.int("reverse", 0) != 0 { (&column, &row) } else { (&row, &column) };
    let binary = if call.int("exclusive", 0) != 0 { Binary::Less } else { Binary::LessEqual };
    let counts = low.binary(binary, first, second)?;
    let counts = low.cast(&counts, Element::F32)?;
    let last = x.rank() - 1;
    let float = low.float(x)?;
    let moved = low.swap(&float, at, last)?;
    let rows = low.reshape(&moved, &[(x.elements() / u64::from(dim.max(1))) as u32, dim])?;
    let sums = low.product(&rows, &counts, false, false)?;
    let sums = low.reshape(&sums, &moved.shape)?;
    let sums = low.swap(&sums, at, last)?;
    one(low.cast(&sums, x.element))
}

/// The greatest or least elements in order, each found and then taken out of the running.
pub(super) fn top_k(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let at = call.axis(-1, x)?;
    let k = match call.attribute("k") {
        Some(_) => call.int("k", 0),
        None => call.integers(low, 1)?.first().copied().unwrap_or(0),
    };
    if !(1..=i64::from(x.shape[at]).min(MAX_TOP)).contains(&k) {
        return Err(call.shapes(0, [k], "k is out of range"));
    }
    let float = low.float(x)?;
    let is_largest = call.int("largest", 1) != 0;
    let mut rest = if is_largest { float } else { low.unary(Unary::Neg, &float)? };
    let mut along = vec![1; x.rank()];
    along[at] = x.shape[at];
    let along = low.iota(at, &along)?;
    let mut kept = x.shape.clone();
    kept[at] = 1;
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for _ in 0..k {
        values.push(low.reduce(Reduction::Max, &rest, &[at], true)?);
        let place = low.arg_max(&rest, at)?;
        let place = low.reshape(&place, &kept)?;
        let is_found = low.binary(Binary::Equal, &place, &along)?;
        rest = low.select(&is_found, &Value::scalar(rest.element, f64::NEG_INFINITY), &rest)?;
        places.push(place);
    }
    let values = low.concat(&values, at)?;
    let values = if is_largest { values } else { low.unary(Unary::Neg, &values)? };
    Ok(vec![low.cast(&values, x.element)?, low.concat(&places, at)?])
}

/// Along an axis; before version 13 over all axes from it on.
pub(super) fn softmax(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let is_old = call.version < 13;
    let at = call.axis(if is_old { 1 } else { -1 }, x)?;
    let last = x.rank() - 1;
    let moved = if is_old {
        low.reshape(x, &[elements(&x.shape[..at]) as u32, elements(&x.shape[at..]) as u32])?
    } else {
        low.swap(x, at, last)?
    };
    let made = match call.op() {
        "Softmax" => low.softmax(&moved)?,
        "LogSoftmax" => low.log_softmax(&moved)?,
        _ => {
            let last = moved.rank() - 1;
            let place = low.arg_max(&moved, last)?;
            let mut along = vec![1; moved.rank()];
            along[last] = moved.shape[last];
            let along = low.iota(last, &along)?;
            let place = low.reshape(&place, &[place.shape.as_slice(), &[1]].concat())?;
            let is_hard = low.binary(Binary::Equal, &place, &along)?;
            low.cast(&is_hard, x.element)?
        }
    };
    one(if is_old { low.reshape(&made, &x.shape) } else { low.swap(&made, at, last) })
}

impl Lowering<'_> {
    /// Position of the greatest along an axis, the first of equals; without that axis.
    pub(super) fn arg_max(&mut self, x: &Value, at: usize) -> Made {
        self.emit(Op::ArgMax { axis: at as u32 }, &[x], Element::I64)
    }

    /// ln Σ e^x by way of the greatest.
    fn log_sum_exp(&mut self, x: &Value, over: &[usize], keep: bool) -> Made {
        let greatest = self.reduce(Reduction::Max, x, over, true)?;
        let shifted = self.sub(x, &greatest)?;
        let exponentials = self.unary(Unary::Exp, &shifted)?;
        let sum = self.reduce(Reduction::Sum, &exponentials, over, true)?;
        let log = self.unary(Unary::Log, &sum)?;
        let made = self.add(&log, &greatest)?;
        if keep {
            return Ok(made);
        }
        let shape: Vec<u32> = (0..x.rank()).filter(|at| !over.contains(at)).map(|at| x.shape[at]).collect();
        self.reshape(&made, &shape)
    }

    /// x − ln Σ e^x over the last axis.
    pub(super) fn log_softmax(&mut self, x: &Value) -> Made {
        let Some(last) = x.rank().checked_sub(1) else { return Err(NodeError::Unsupported("softmax of a scalar")) };
        let greatest = self.reduce(Reduction::Max, x, &[last], true)?;
        let shifted = self.sub(x, &greatest)?;
        let exponentials = self.unary(Unary::Exp, &shifted)?;
        let sum = self.reduce(Reduction::Sum, &exponentials, &[last], true)?;
        let log = self.unary(Unary::Log, &sum)?;
        self.sub(&shifted, &log)
    }
}

//! Operators whose result depends on attributes, shapes and known inputs: constants, shapes, ranges, masks.

use shoal_graph::Binary;

use super::{
    call::{Call, axis, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{
    element::Element,
    error::NodeError,
    limits::MAX_FOLDED_ELEMENTS,
    tensor::{Data, Tensor, shape_from_dims},
};

pub(super) fn constant(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let Some(attribute) = call.node.attribute.first() else { return Err(NodeError::MissingAttribute("value")) };
    let tensor = match attribute.name() {
        "value" => {
            let tensor = attribute.t.as_deref().ok_or(NodeError::MissingAttribute("value"))?;
            return one(low.constant(tensor));
        }
        "value_float" => Tensor::floats([], vec![attribute.f().into()]),
        "value_int" => Tensor::integers(Element::I64, [], vec![attribute.i()]),
        "value_floats" => {
            let values: Vec<f64> = attribute.floats.iter().map(|x| f64::from(*x)).collect();
            Tensor::floats([values.len() as u32], values)
        }
        "value_ints" => Tensor::integers(Element::I64, [attribute.ints.len() as u32], attribute.ints.clone()),
        _ => return Err(NodeError::Unsupported("a constant of strings or of a sparse tensor")),
    };
    Ok(vec![Value::of(tensor)])
}

pub(super) fn constant_of_shape(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let shape = shape_from_dims(&call.integers(low, 0)?)?;
    let value = match call.attribute("value").and_then(|attribute| attribute.t.as_deref()) {
        Some(tensor) => low.constant(tensor)?,
        None => Value::scalar(Element::F32, 0.0),
    };
    let value = low.reshape(&value, &[])?;
    one(low.broadcast(&value, &shape))
}

/// Of the axes from `start` to `end`.
pub(super) fn shape(_: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let shape = &call.input(0)?.shape;
    let rank = shape.len() as i64;
    let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(call.int("start", 0)), bound(call.int("end", rank)));
    let part = shape.get(start..end).unwrap_or(&[]);
    Ok(vec![Value::i64s(part.iter().map(|dim| i64::from(*dim)))])
}

pub(super) fn size(_: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    Ok(vec![Value::scalar(Element::I64, call.input(0)?.elements() as f64)])
}

pub(super) fn range(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let element = call.input(0)?.element;
    let number = |index| Ok::<_, NodeError>(call.numbers(low, index)?.first().copied().unwrap_or(0.0));
    let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if count.is_nan() || count > MAX_FOLDED_ELEMENTS as f64 {
        let (found, limit) = (count as u64, MAX_FOLDED_ELEMENTS as u64);
        return Err(NodeError::TooLarge { what: "elements of a range", found, limit });
    }
    low.budget.spend(count as u64)?;
    let values = (0..count as u32).map(|at| start + f64::from(at) * delta);
    let data = if element.is_float() {
        Data::Floats(values.collect())
    } else {
        Data::Integers(values.map(|x| x as i64).collect())
    };
    Ok(vec![Value::of(Tensor { element, shape: vec![count as u32], data })])
}

pub(super) fn eye_like(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let element = match call.attribute("dtype") {
        Some(_) => Element::from_number(call.int("dtype", 0) as i32)?,
        None => x.element,
    };
    let [rows, columns] = *x.shape.as_slice() else { return Err(call.shapes(0, [], "it must have two dimensions")) };
    let (row, column) = (low.iota(0, &[rows, 1])?, low.iota(1, &[1, columns])?);
    let shifted = low.plus(&row, call.int("k", 0) as f64)?;
    let is_diagonal = low.binary(Binary::Equal, &shifted, &column)?;
    one(low.cast(&is_diagonal, element))
}

/// The upper or lower triangle; zeros elsewhere.
pub(super) fn trilu(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let k = call.optional_integers(low, 1)?.and_then(|values| values.first().copied()).unwrap_or(0);
    let [.., rows, columns] = *x.shape.as_slice() else {
        return Err(call.shapes(0, [], "it must have two dimensions at least"));
    };
    // Beyond the matrix all diagonals are alike.
    let k = k.clamp(-i64::from(rows), i64::from(columns));
    if x.elements() == 0 {
        return Ok(vec![x.clone()]);
    }
    let (row, column) = (low.iota(0, &[rows, 1])?, low.iota(1, &[1, columns])?);
    let diagonal = low.plus(&row, k as f64)?;
    let is_upper = call.int("upper", 1) != 0;
    let (first, second) = if is_upper { (&diagonal, &column) } else { (&column, &diagonal) };
    let stays = low.binary(Binary::LessEqual, first, second)?;
    one(low.select(&stays, x, &Value::scalar(x.element, 0.0)))
}

pub(super) fn one_hot(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let depth = call.numbers(low, 1)?.first().copied().unwrap_or(0.0);
    if !(1.0..=f64::from(u32::MAX)).contains(&depth) {
        return Err(call.shapes(1, [depth as i64], "the depth must be at least 1"));
    }
    let mut shape = indices.shape.clone();
    shape.push(1);
    let at = axis(call.int("axis", -1), &shape)?;
    let last = shape.remove(shape.len() - 1);
    shape.insert(at, last);
    let indices = low.cast(indices, Element::I64)?;
    let indices = low.counted_from_start(&indices, depth as u32)?;
    let indices = low.reshape(&indices, &shape)?;
    let mut places = vec![1; shape.len()];
    places[at] = depth as u32;
    let places = low.iota(at, &places)?;
    let is_hot = low.binary(Binary::Equal, &indices, &places)?;
    let (off, on) = (low.slice(values, 0, 0, 1, 1)?, low.slice(values, 0, 1, 1, 1)?);
    one(low.select(&is_hot, &on, &off))
}

impl Lowering<'_> {
    /// Indices that may count from the end, counted from the start.
    pub(super) fn counted_from_start(&mut self, indices: &Value, dim: u32) -> Made {
        let can_look = indices.data().is_some() && self.budget.spend(indices.elements()).is_ok();
        if can_look && indices.integers().is_some_and(|values| values.iter().all(|index| *index >= 0)) {
            return Ok(indices.clone());
        }
        let is_negative = self.with(Binary::Less, indices, 0.0)?;
        let counted = self.plus(indices, dim.into())?;
        self.select(&is_negative, &counted, indices)
    }
}

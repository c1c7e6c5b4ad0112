//! Elements by index. All lower to gathers and scatters along one axis of a flattened tensor.

use shoal_graph::{Binary, Op};

use super::{
    call::{Call, dim, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError, tensor::elements};

pub(super) fn gather(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let at = call.axis(0, x)?;
    let indices = low.counted_from_start(indices, x.shape[at])?;
    one(low.gather(x, &indices, at))
}

/// Each index replaces one coordinate of its own place.
pub(super) fn gather_elements(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let at = call.axis(0, x)?;
    let places = low.element_places(call, x, indices, at)?;
    let flat = low.flat(x)?;
    one(low.gather(&flat, &places, 0))
}

/// Each row of indices names a place of the first dimensions after the batch's.
pub(super) fn gather_nd(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = call.int("batch_dims", 0);
    let batch = usize::try_from(batch).map_err(|_| call.refuse("batch_dims", "it must not be negative"))?;
    let (places, depth) = low.row_places(call, x, indices, batch)?;
    let rest = &x.shape[depth..];
    let rows = low.reshape(x, &[&[dim(&x.shape[..depth])?], rest].concat())?;
    one(low.gather(&rows, &places, 0))
}

pub(super) fn scatter_elements(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let at = call.axis(0, x)?;
    if indices.shape != updates.shape {
        return Err(call.shapes(1, updates.shape.iter().map(|n| i64::from(*n)), "indices and updates differ"));
    }
    let places = low.element_places(call, x, indices, at)?;
    let (flat, places, updates) = (low.flat(x)?, low.flat(&places)?, low.flat(updates)?);
    let made = low.scatter(call, &flat, &places, &updates)?;
    one(low.reshape(&made, &x.shape))
}

pub(super) fn scatter_nd(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (places, depth) = low.row_places(call, x, indices, 0)?;
    let rest = dim(&x.shape[depth..])?;
    let rows = low.reshape(x, &[dim(&x.shape[..depth])?, rest])?;
    let places = low.flat(&places)?;
    let updates = low.reshape(updates, &[places.shape[0], rest])?;
    let made = low.scatter(call, &rows, &places, &updates)?;
    one(low.reshape(&made, &x.shape))
}

impl Lowering<'_> {
    fn flat(&mut self, x: &Value) -> Made {
        self.reshape(x, &[dim(&x.shape)?])
    }

    /// Place in the flattened x of each index along an axis.
    fn element_places(&mut self, call: &Call<'_>, x: &Value, indices: &Value, at: usize) -> Made {
        let fits = |axis: usize| axis == at || indices.shape[axis] <= x.shape[axis];
        if indices.rank() != x.rank() || !(0..x.rank()).all(fits) {
            return Err(call.shapes(1, x.shape.iter().map(|n| i64::from(*n)), "indices reach beyond it"));
        }
        let indices = self.counted_from_start(indices, x.shape[at])?;
        let stride = |axis: usize| elements(&x.shape[axis + 1..]) as f64;
        let mut places = self.scale(&indices, stride(at))?;
        for axis in (0..x.rank()).filter(|axis| *axis != at && indices.shape[*axis] > 1) {
            let mut shape = vec![1; x.rank()];
            shape[axis] = indices.shape[axis];
            let along = self.iota(axis, &shape)?;
            let along = self.scale(&along, stride(axis))?;
            places = self.add(&places, &along)?;
        }
        Ok(places)
    }

    /// Place of each row of indices among the rows of x, and how many dimensions a place replaces.
    fn row_places(
        &mut self,
        call: &Call<'_>,
        x: &Value,
        indices: &Value,
        batch: usize,
    ) -> Result<(Value, usize), NodeError> {
        let refused = |reason| call.shapes(1, x.shape.iter().map(|n| i64::from(*n)), reason);
        let Some((length, places_shape)) = indices.shape.split_last() else {
            return Err(refused("it must have one dimension at least"));
        };
        let depth = batch + *length as usize;
        if depth > x.rank() || batch > places_shape.len() || x.shape[..batch] != places_shape[..batch] {
            return Err(refused("its rows are longer than x has dimensions, or the batches differ"));
        }
        let stride = |axis: usize| elements(&x.shape[axis + 1..depth]) as f64;
        let mut places = self.broadcast(&Value::scalar(Element::I64, 0.0), places_shape)?;
        for axis in 0..*length as usize {
            let one = self.slice(indices, places_shape.len(), axis as u32, 1, 1)?;
            let one = self.reshape(&one, places_shape)?;
            let one = self.counted_from_start(&one, x.shape[batch + axis])?;
            let one = self.scale(&one, stride(batch + axis))?;
            places = self.add(&places, &one)?;
        }
        for axis in 0..batch {
            let mut shape = vec![1; places_shape.len()];
            shape[axis] = x.shape[axis];
            let along = self.iota(axis, &shape)?;
            let along = self.scale(&along, stride(axis))?;
            places = self.add(&places, &along)?;
        }
        Ok((places, depth))
    }

    /// Updates at places along the first axis of x. Places that occur twice without a reduction have no defined value in
    /// ONNX; with `add`, all updates are added.
    fn scatter(&mut self, call: &Call<'_>, x: &Value, places: &Value, updates: &Value) -> Made {
        let op = Op::ScatterAdd { axis: 0, size: x.shape[0] };
        let floats = self.float(updates)?;
        let added = self.emit(op.clone(), &[&floats, places], floats.element)?;
        let added = self.cast(&added, x.element)?;
        match call.text("reduction", "none") {
            "add" => self.add(x, &added),
            "none" => {
                let mut shape = vec![1; x.rank()];
                shape[0] = places.shape[0];
                let ones = self.broadcast(&Value::scalar(Element::F32, 1.0), &shape)?;
                let hits = self.emit(op, &[&ones, places], Element::F32)?;
                let is_hit = self.binary(Binary::Less, &Value::scalar(Element::F32, 0.0), &hits)?;
                self.select(&is_hit, &added, x)
            }
            _ => Err(call.refuse("reduction", "it is none or add")),
        }
    }
}

//! Losses by class: of logarithms of probabilities, or of logits.

use shoal_graph::{Binary, Reduction, Unary};

use super::{call::Call, context::Lowering, table::Results, value::Value};
use crate::{error::NodeError, tensor::elements};

pub(super) fn negative_log_likelihood(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (rows, _) = low.class_rows(call)?;
    low.loss(call, &rows)
}

/// Also the logarithms of the probabilities.
pub(super) fn softmax_cross_entropy(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (rows, moved) = low.class_rows(call)?;
    let logarithms = low.log_softmax(&rows)?;
    let mut made = low.loss(call, &logarithms)?;
    if call.wants(1) {
        let apart = low.reshape(&logarithms, &moved)?;
        let last = moved.len() as u32 - 1;
        let axes: Vec<u32> = [0, last].into_iter().chain(1..last).collect();
        made.push(low.transpose(&apart, &axes)?);
    }
    Ok(made)
}

impl Lowering<'_> {
    /// Scores [n, c, …] as rows [n·…, c], and their shape with the classes last.
    fn class_rows(&mut self, call: &Call<'_>) -> Result<(Value, Vec<u32>), NodeError> {
        let x = call.floats(0)?;
        if x.rank() < 2 {
            return Err(call.shapes(0, [], "it must have classes"));
        }
        let axes: Vec<u32> = [0].into_iter().chain(2..x.rank() as u32).chain([1]).collect();
        let moved = self.transpose(x, &axes)?;
        let classes = x.shape[1];
        let rows = self.reshape(&moved, &[(x.elements() / u64::from(classes.max(1))) as u32, classes])?;
        Ok((rows, moved.shape))
    }

    fn loss(&mut self, call: &Call<'_>, rows: &Value) -> Results {
        let labels = call.input(1)?;
        let (count, classes) = (rows.shape[0], rows.shape[1]);
        if elements(&labels.shape) != u64::from(count) {
            return Err(call.shapes(1, [count.into()], "one label a place"));
        }
        let flat = self.reshape(labels, &[count, 1])?;
        let along = self.iota(1, &[1, classes])?;
        let is_label = self.binary(Binary::Equal, &flat, &along)?;
        let zero = Value::scalar(rows.element, 0.0);
        let at_label = self.select(&is_label, rows, &zero)?;
        let at_label = self.reduce(Reduction::Sum, &at_label, &[1], false)?;
        let mut losses = self.unary(Unary::Neg, &at_label)?;
        let mut weights = None;
        if let Some(given) = call.optional(2) {
            let own = self.select(&is_label, given, &zero)?;
            weights = Some(self.reduce(Reduction::Sum, &own, &[1], false)?);
        }
        if call.attribute("ignore_index").is_some() {
            let is_ignored = self.with(Binary::Equal, &flat, call.int("ignore_index", 0) as f64)?;
            let is_ignored = self.reshape(&is_ignored, &[count])?;
            let one = Value::scalar(rows.element, 1.0);
            weights = Some(self.select(&is_ignored, &zero, weights.as_ref().unwrap_or(&one))?);
        }
        if let Some(weights) = &weights {
            losses = self.mul(&losses, weights)?;
        }
        let made = match call.text("reduction", "mean") {
            "none" => self.reshape(&losses, &labels.shape)?,
            "sum" => self.reduce(Reduction::Sum, &losses, &[0], false)?,
            "mean" => match weights {
                None => self.mean(&losses, &[0], false)?,
                Some(weights) => {
                    let weights = self.broadcast(&weights, &[count])?;
                    let (sum, total) = (
                        self.reduce(Reduction::Sum, &losses, &[0], false)?,
                        self.reduce(Reduction::Sum, &weights, &[0], false)?,
                    );
                    self.div(&sum, &total)?
                }
            },
            _ => return Err(call.refuse("reduction", "it is none, sum or mean")),
        };
        Ok(vec![made])
    }
}

//! From one form to another.

use shoal_compute::{Data, Tensor};
use shoal_graph::{DType, GraphError, Op, Reduction, ValueId};

use super::{Refusal, Rewriter, WIDE};
use crate::{
    fixed::factors,
    form::{Form, Scaled, Scales, Table},
};

/// What the greatest magnitude seen becomes in 15 bits: what is up to twice as great still fits.
pub(super) const HALF_WIDE: f64 = 16_384.0;
/// Places of a table.
pub(super) const PLACES: i32 = 4096;

impl Rewriter<'_> {
    pub(super) fn form(&self, value: ValueId) -> Result<Form, Refusal> {
        if let Some(form) = &self.forms[value.index()] {
            return Ok(form.clone());
        }
        self.known(value).map(Form::Known).ok_or(Refusal::Follows)
    }

    /// i8 with one scale above zero.
    pub(super) fn bytes(&mut self, value: ValueId) -> Result<Scaled, Refusal> {
        if let Some(made) = self.bytes.get(&value) {
            return Ok(made.clone());
        }
        let form = self.form(value)?;
        let made = match &form {
            Form::Scaled(x) if self.b.value_type(x.value).dtype == DType::I8 => x.clone(),
            Form::Scaled(x) => {
                let scale = self.facts.range(value).clip / 127.0;
                self.requantized(x, scale, [-127, 127], DType::I8)?
            }
            Form::Table(table) => {
                let scale = self.facts.range(value).clip / 127.0;
                let entry = |x: &f64| (x / scale).round().clamp(-127.0, 127.0) as i8;
                let data = Data::I8(table.values.iter().map(entry).collect());
                self.looked_up(table, data, scale, 127.0)?
            }
            Form::Softmax { .. } => {
                let x = self.wide(value)?;
                let scale = self.facts.range(value).clip / 127.0;
                self.requantized(&x, scale, [-127, 127], DType::I8)?
            }
            Form::Known(tensor) => {
                let (tensor, scale) = known_bytes(tensor)?;
                let value = self.weight(&self.name_of(value), tensor)?;
                Scaled { value, scales: Scales::one(scale), bound: 127.0, is_relu: false }
            }
            Form::Whole(_) => unreachable!("a float is no integer of the old graph"),
        };
        self.bytes.insert(value, made.clone());
        Ok(made)
    }

    /// i32 of 15 bits with one scale above zero.
    pub(super) fn wide(&mut self, value: ValueId) -> Result<Scaled, Refusal> {
        if let Some(made) = self.wide.get(&value) {
            return Ok(made.clone());
        }
        let form = self.form(value)?;
        let made = match &form {
            Form::Scaled(x) => {
                let x = self.widened(x)?;
                let is_fit = x.bound <= f64::from(WIDE) && !x.is_relu && x.scales.single().is_some_and(|s| s > 0.0);
                if is_fit {
                    x
                } else {
                    let scale = self.facts.range(value).greatest / HALF_WIDE;
                    self.requantized(&x, scale, [-WIDE, WIDE], DType::I32)?
                }
            }
            Form::Table(table) => {
                let greatest = table.values.iter().fold(0.0f64, |greatest, x| greatest.max(x.abs()));
                let scale = if greatest > 0.0 { greatest / f64::from(WIDE) } else { 1.0 };
                let data = Data::I32(table.values.iter().map(|x| (x / scale).round() as i32).collect());
                self.looked_up(table, data, scale, f64::from(WIDE))?
            }
            Form::Softmax { weights, sums } => {
                let weights = self.b.cast(*weights, DType::I32)?;
                let one = self.number(WIDE)?;
                let long = self.b.mul(weights, one)?;
                let value = self.b.div(long, *sums)?;
                let scales = Scales::one(1.0 / f64::from(WIDE));
                Scaled { value, scales, bound: f64::from(WIDE), is_relu: false }
            }
            Form::Known(tensor) => {
                let values = reals(tensor)?;
                let greatest = values.iter().fold(0.0f64, |greatest, x| greatest.max(x.abs()));
                let scale = if greatest > 0.0 { greatest / HALF_WIDE } else { 1.0 };
                let data = values.iter().map(|x| (x / scale).round() as i32).collect();
                let shape = tensor.shape().to_vec();
                let value = self.integers(&self.name_of(value), &shape, data)?;
                Scaled { value, scales: Scales::one(scale), bound: HALF_WIDE, is_relu: false }
            }
            Form::Whole(_) => unreachable!("a float is no integer of the old graph"),
        };
        self.wide.insert(value, made.clone());
        Ok(made)
    }

    /// i32 of whatever bound and scales, with no relu outstanding.
    pub(super) fn plain(&mut self, value: ValueId) -> Result<Scaled, Refusal> {
        match self.form(value)? {
            Form::Scaled(x) if !x.is_relu => Ok(self.widened(&x)?),
            _ => self.wide(value),
        }
    }

    /// What leaves the graph: as many bits as there are, with one scale.
    pub(super) fn output(&mut self, value: ValueId) -> Result<Scaled, Refusal> {
        match self.form(value)? {
            Form::Scaled(x) if !x.is_relu && x.scales.single().is_some_and(|scale| scale > 0.0) => Ok(x),
            _ => self.wide(value),
        }
    }

    /// As i32.
    pub(super) fn widened(&mut self, x: &Scaled) -> Result<Scaled, GraphError> {
        let value = self.b.cast(x.value, DType::I32)?;
        Ok(Scaled { value, ..x.clone() })
    }

    /// Under one scale, within a range.
    pub(super) fn requantized(
        &mut self,
        x: &Scaled,
        scale: f64,
        [low, high]: [i32; 2],
        to: DType,
    ) -> Result<Scaled, GraphError> {
        let real: Vec<f64> = x.scales.values.iter().map(|own| own / scale).collect();
        let made = factors(&real);
        let rank = self.b.shape(x.value).len();
        let shape: Vec<u32> = x.scales.axis.map_or(Vec::new(), |axis| {
            let mut shape = vec![1; rank - axis];
            shape[0] = real.len() as u32;
            shape
        });
        let multiplier = self.integers("multiplier", &shape, made.multipliers)?;
        let low = if x.is_relu { low.max(0) } else { low };
        let x = self.b.cast(x.value, DType::I32)?;
        let value = self.b.apply(Op::Requantize { shift: made.shift, low, high, to }, &[x, multiplier])?;
        let bound = f64::from(high).max(-f64::from(low));
        Ok(Scaled { value, scales: Scales::one(scale), bound, is_relu: false })
    }

    /// A table's entries at its places.
    fn looked_up(&mut self, table: &Table, entries: Data, scale: f64, bound: f64) -> Result<Scaled, GraphError> {
        let entries = self.weight("table", Tensor::new([table.values.len() as u32], entries))?;
        let value = self.b.apply(Op::Gather { axis: 0 }, &[entries, table.places])?;
        Ok(Scaled { value, scales: Scales::one(scale), bound, is_relu: false })
    }

    /// Elements added over axes that stay, of no more than 31 bits.
    pub(super) fn summed(&mut self, x: ValueId, axes: &[u32]) -> Result<ValueId, GraphError> {
        self.b.reduce(Reduction::Sum, x, axes)
    }
}

/// Floats as f64.
pub(super) fn reals(tensor: &Tensor) -> Result<Vec<f64>, Refusal> {
    let x = tensor.as_f32().ok_or(Refusal::Unsupported("its weights are no floats"))?;
    if x.iter().any(|x| x.is_nan()) {
        return Err(Refusal::Unsupported("its weights are not finite"));
    }
    // Infinities of masks are the greatest float.
    Ok(x.iter().map(|x| f64::from(x.clamp(f32::MIN, f32::MAX))).collect())
}

/// Bytes of one scale.
fn known_bytes(tensor: &Tensor) -> Result<(Tensor, f64), Refusal> {
    let values = reals(tensor)?;
    let greatest = values.iter().fold(0.0f64, |greatest, x| greatest.max(x.abs()));
    let scale = if greatest > 0.0 { greatest / 127.0 } else { 1.0 };
    let data = Data::I8(values.iter().map(|x| (x / scale).round() as i8).collect());
    Ok((Tensor::new(tensor.shape(), data), scale))
}

//! Normalisations, at inference.

use shoal_graph::{Binary, Reduction, Unary};

use super::{
    call::{Call, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError, tensor::elements};

/// With the running mean and variance, which are inputs.
pub(super) fn batch_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    if call.int("training_mode", 0) != 0 {
        return Err(NodeError::Unsupported("batch normalization in training"));
    }
    let x = call.floats(0)?;
    let mut parts = Vec::new();
    for index in 1..5 {
        parts.push(low.per_channel(call.input(index)?, x.rank())?);
    }
    let variance = low.plus(&parts[3], call.float("epsilon", 1e-5))?;
    let root = low.unary(Unary::Sqrt, &variance)?;
    let factor = low.div(&parts[0], &root)?;
    let centred = low.sub(x, &parts[2])?;
    let scaled = low.mul(&centred, &factor)?;
    one(low.add(&scaled, &parts[1]))
}

/// Each channel of each sample by itself.
pub(super) fn instance_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let over: Vec<usize> = (2..x.rank()).collect();
    let made = low.standardise(x, &over, call.float("epsilon", 1e-5))?.y;
    let (scale, bias) = (low.per_channel(call.input(1)?, x.rank())?, low.per_channel(call.input(2)?, x.rank())?);
    let scaled = low.mul(&made, &scale)?;
    one(low.add(&scaled, &bias))
}

/// Over all axes from one on; also the mean and the inverse deviation.
pub(super) fn layer_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let over: Vec<usize> = (call.axis(-1, x)?..x.rank()).collect();
    let Standardised { y, mean, inverse } = low.standardise(x, &over, call.float("epsilon", 1e-5))?;
    let mut made = low.mul(&y, call.input(1)?)?;
    if let Some(bias) = call.optional(2) {
        made = low.add(&made, bias)?;
    }
    Ok(vec![made, mean, inverse])
}

pub(super) fn rms_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let over: Vec<usize> = (call.axis(-1, x)?..x.rank()).collect();
    let inverse = low.inverse_root(x, &over, call.float("epsilon", 1e-5))?;
    let made = low.mul(x, &inverse)?;
    one(low.mul(&made, call.input(1)?))
}

/// Scale and bias are of groups before version 21, of channels since.
pub(super) fn group_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let refused = |reason| call.shapes(0, [call.int("num_groups", 0)], reason);
    let groups = match u32::try_from(call.int("num_groups", 0)) {
        Ok(groups @ 1..) => groups,
        _ => return Err(refused("groups must be at least 1")),
    };
    let [n, channels, ..] = *x.shape.as_slice() else { return Err(refused("it must have channels")) };
    let rest = elements(&x.shape[1..]);
    if !channels.is_multiple_of(groups) {
        return Err(refused("groups do not divide the channels"));
    }
    let grouped = low.reshape(x, &[n, groups, (rest / u64::from(groups)) as u32])?;
    let y = low.standardise(&grouped, &[2], call.float("epsilon", 1e-5))?.y;
    let (scale, bias) = (call.input(1)?, call.input(2)?);
    if call.version < 21 {
        let (scale, bias) = (low.reshape(scale, &[groups, 1])?, low.reshape(bias, &[groups, 1])?);
        let scaled = low.mul(&y, &scale)?;
        let made = low.add(&scaled, &bias)?;
        return one(low.reshape(&made, &x.shape));
    }
    let y = low.reshape(&y, &x.shape)?;
    let (scale, bias) = (low.per_channel(scale, x.rank())?, low.per_channel(bias, x.rank())?);
    let scaled = low.mul(&y, &scale)?;
    one(low.add(&scaled, &bias))
}

/// By the sum of sizes or the root of the sum of squares; what is zero stays.
pub(super) fn lp_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let at = call.axis(-1, x)?;
    let norm = if call.int("p", 2) == 1 {
        let size = low.unary(Unary::Abs, x)?;
        low.reduce(Reduction::Sum, &size, &[at], true)?
    } else {
        let square = low.mul(x, x)?;
        let sum = low.reduce(Reduction::Sum, &square, &[at], true)?;
        low.unary(Unary::Sqrt, &sum)?
    };
    let is_zero = low.with(Binary::Equal, &norm, 0.0)?;
    let norm = low.select(&is_zero, &Value::scalar(x.element, 1.0), &norm)?;
    one(low.div(x, &norm))
}

pub(super) fn mean_variance_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let given = call.ints("axes").map_or_else(|| vec![0, 2, 3], <[i64]>::to_vec);
    let over = super::call::axes(&given, &x.shape)?;
    let mean = low.mean(x, &over, true)?;
    let centred = low.sub(x, &mean)?;
    let square = low.mul(&centred, &centred)?;
    let variance = low.mean(&square, &over, true)?;
    let deviation = low.unary(Unary::Sqrt, &variance)?;
    let deviation = low.plus(&deviation, 1e-9)?;
    one(low.div(&centred, &deviation))
}

/// x / (bias + alpha/size · Σ x²)^beta, the sum over neighbouring channels.
pub(super) fn local_response_normalization(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let size = u32::try_from(call.int("size", 1)).map_err(|_| call.refuse("size", "out of range"))?;
    let square = low.mul(x, x)?;
    let sums = low.sum_over_channels(&square, size)?;
    let scaled = low.scale(&sums, call.float("alpha", 1e-4) / f64::from(size.max(1)))?;
    let below = low.plus(&scaled, call.float("bias", 1.0))?;
    let below = low.with(Binary::Pow, &below, call.float("beta", 0.75))?;
    one(low.div(x, &below))
}

pub(super) struct Standardised {
    pub(super) y: Value,
    pub(super) mean: Value,
    pub(super) inverse: Value,
}

impl Lowering<'_> {
    /// (x − mean)/√(variance + ε) over axes, which stay.
    fn standardise(&mut self, x: &Value, over: &[usize], epsilon: f64) -> Result<Standardised, NodeError> {
        let mean = self.mean(x, over, true)?;
        let centred = self.sub(x, &mean)?;
        let inverse = self.inverse_root(&centred, over, epsilon)?;
        let y = self.mul(&centred, &inverse)?;
        let as_f32 = |value: Value| Value { element: Element::F32, ..value };
        Ok(Standardised { y, mean: as_f32(mean), inverse: as_f32(inverse) })
    }

    /// 1/√(mean x² + ε) over axes.
    fn inverse_root(&mut self, x: &Value, over: &[usize], epsilon: f64) -> Made {
        let square = self.mul(x, x)?;
        let mean = self.mean(&square, over, true)?;
        let mean = self.plus(&mean, epsilon)?;
        let root = self.unary(Unary::Sqrt, &mean)?;
        self.unary(Unary::Reciprocal, &root)
    }
}

//! Attention and rotary position embedding as single operators (since operator set 23).

use shoal_graph::{Binary, Reduction, Unary};

use super::{
    call::{Call, dim, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError};

/// Scaled dot-product attention of queries over keys and values, with a cache before them, grouped heads, a mask, and
/// what is made on the way as further outputs.
pub(super) fn attention(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let is_flat = call.input(0)?.rank() == 3;
    let q = low.heads(call, 0, "q_num_heads")?;
    let (k, v) = (low.heads(call, 1, "kv_num_heads")?, low.heads(call, 2, "kv_num_heads")?);
    let past = call.optional(4).map_or(0, |past| past.shape.get(2).copied().unwrap_or(0));
    let join = |low: &mut Lowering<'_>, past: Option<&Value>, new: Value| match past {
        Some(past) => low.concat(&[past.clone(), new], 2),
        None => Ok(new),
    };
    let (k, v) = (join(low, call.optional(4), k)?, join(low, call.optional(5), v)?);
    let (present_k, present_v) = (k.clone(), v.clone());
    let (k, v) = (low.repeat_heads(call, &k, q.shape[1])?, low.repeat_heads(call, &v, q.shape[1])?);
    let scale = call.float("scale", 1.0 / f64::from(q.shape[3]).sqrt());
    let mut scores = low.product(&q, &k, false, true)?;
    scores = low.scale(&scores, scale)?;
    let mut shown = scores.clone();
    let softcap = call.float("softcap", 0.0);
    if softcap > 0.0 {
        let small = low.scale(&scores, 1.0 / softcap)?;
        let tanh = low.unary(Unary::Tanh, &small)?;
        scores = low.scale(&tanh, softcap)?;
    }
    let mode = call.int("qk_matmul_output_mode", 0);
    if mode == 1 {
        shown = scores.clone();
    }
    let (masked, bias) = low.masked(call, &scores, past)?;
    if mode == 2 {
        shown = masked.clone();
    }
    let mut weights = low.softmax(&masked)?;
    if let Some(bias) = bias {
        // A query that may see nothing gives zeros.
        let greatest = low.reduce(Reduction::Max, &bias, &[bias.rank() - 1], true)?;
        let is_blind = low.with(Binary::Equal, &greatest, f64::NEG_INFINITY)?;
        weights = low.select(&is_blind, &Value::scalar(weights.element, 0.0), &weights)?;
    }
    if mode == 3 {
        shown = weights.clone();
    }
    let mut made = low.product(&weights, &v, false, false)?;
    if is_flat {
        let [b, h, s, d] = *made.shape.as_slice() else { return Err(NodeError::Unsupported("heads")) };
        made = low.swap(&made, 1, 2)?;
        made = low.reshape(&made, &[b, s, dim(&[h, d])?])?;
    }
    Ok(vec![made, present_k, present_v, shown])
}

/// Pairs of features rotated by the angles of their positions: halves, or neighbours if interleaved.
pub(super) fn rotary_embedding(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.floats(0)?;
    let is_flat = x.rank() == 3;
    let x = low.heads(call, 0, "num_heads")?;
    let (mut cos, mut sin) = (call.floats(1)?.clone(), call.floats(2)?.clone());
    if let Some(places) = call.optional(3) {
        (cos, sin) = (low.gather(&cos, places, 0)?, low.gather(&sin, places, 0)?);
    }
    let [b, h, s, d] = *x.shape.as_slice() else { return Err(call.shapes(0, [], "three or four dimensions")) };
    let rotated = match u32::try_from(call.int("rotary_embedding_dim", 0)) {
        Ok(0) => d,
        Ok(rotated) if rotated <= d => rotated,
        _ => return Err(call.refuse("rotary_embedding_dim", "it is more than there is")),
    };
    let half = rotated / 2;
    if cos.rank() != 3 || cos.shape != sin.shape || cos.shape[1] != s || cos.shape[2] != half {
        return Err(call.shapes(1, [s.into(), half.into()], "a cosine for each position and pair"));
    }
    let angles = [cos.shape[0], 1, s, half];
    let (cos, sin) = (low.reshape(&cos, &angles)?, low.reshape(&sin, &angles)?);
    let is_interleaved = call.int("interleaved", 0) != 0;
    let part = |low: &mut Lowering<'_>, second: u32| match is_interleaved {
        true => low.slice(&x, 3, second, 2, half),
        false => low.slice(&x, 3, second * half, 1, half),
    };
    let (first, second) = (part(low, 0)?, part(low, 1)?);
    let product = |low: &mut Lowering<'_>, a: &Value, b: &Value| low.mul(a, b);
    let (fc, ss) = (product(low, &first, &cos)?, product(low, &second, &sin)?);
    let (fs, sc) = (product(low, &first, &sin)?, product(low, &second, &cos)?);
    let (mut real, mut imaginary) = (low.sub(&fc, &ss)?, low.add(&fs, &sc)?);
    let turned = if is_interleaved {
        let apart = [b, h, s, half, 1];
        (real, imaginary) = (low.reshape(&real, &apart)?, low.reshape(&imaginary, &apart)?);
        let joined = low.concat(&[real, imaginary], 4)?;
        low.reshape(&joined, &[b, h, s, dim(&[half, 2])?])?
    } else {
        low.concat(&[real, imaginary], 3)?
    };
    let mut made = turned;
    if rotated < d {
        let rest = low.slice(&x, 3, rotated, 1, d - rotated)?;
        made = low.concat(&[made, rest], 3)?;
    }
    if !is_flat {
        return Ok(vec![made]);
    }
    let made = low.swap(&made, 1, 2)?;
    one(low.reshape(&made, &[b, s, dim(&[h, d])?]))
}

impl Lowering<'_> {
    /// [b, s, h·d] as [b, h, s, d]; four dimensions as they are.
    fn heads(&mut self, call: &Call<'_>, index: usize, name: &'static str) -> Made {
        let x = call.floats(index)?;
        let [b, s, features] = *x.shape.as_slice() else {
            return if x.rank() == 4 { Ok(x.clone()) } else { Err(call.shapes(index, [], "three or four dimensions")) };
        };
        let heads = match u32::try_from(call.int(name, 0)) {
            Ok(heads @ 1..) if features.is_multiple_of(heads) => heads,
            _ => return Err(call.refuse(name, "it must divide the features")),
        };
        let apart = self.reshape(x, &[b, s, heads, features / heads])?;
        self.swap(&apart, 1, 2)
    }

    /// Each head of keys or values for as many queries' heads as share it.
    fn repeat_heads(&mut self, call: &Call<'_>, x: &Value, heads: u32) -> Made {
        let [b, own, s, d] = *x.shape.as_slice() else { return Err(call.shapes(1, [], "four dimensions")) };
        if own == heads {
            return Ok(x.clone());
        }
        if own == 0 || !heads.is_multiple_of(own) {
            return Err(call.shapes(1, [heads.into()], "heads of keys must divide those of queries"));
        }
        let apart = self.reshape(x, &[b, own, 1, s, d])?;
        let repeated = self.broadcast(&apart, &[b, own, heads / own, s, d])?;
        self.reshape(&repeated, &[b, heads, s, d])
    }

    /// Scores with −∞ where a query may not see a key, and the mask's part of them, where a query may see nothing.
    fn masked(&mut self, call: &Call<'_>, scores: &Value, past: u32) -> Result<(Value, Option<Value>), NodeError> {
        let (s, t) = (scores.shape[2], scores.shape[3]);
        let never = Value::scalar(scores.element, f64::NEG_INFINITY);
        let zero = Value::scalar(scores.element, 0.0);
        let mut bias: Option<Value> = None;
        if let Some(mask) = call.optional(3) {
            let additive = if mask.element == Element::Bool { self.select(mask, &zero, &never)? } else { mask.clone() };
            let missing = t.saturating_sub(additive.shape.last().copied().unwrap_or(t));
            let (low, mut high) = (vec![0; additive.rank()], vec![0; additive.rank()]);
            if let Some(last) = high.last_mut() {
                *last = missing;
            }
            bias = Some(self.pad(&additive, &low, &high, f64::NEG_INFINITY)?);
        }
        let key = self.iota(1, &[1, t])?;
        let query = self.iota(0, &[s, 1])?;
        let valid = call.optional(6).map(|valid| self.reshape(valid, &[valid.shape[0], 1, 1, 1])).transpose()?;
        // A query's place among the keys.
        let place = match (&valid, past) {
            (Some(valid), 0) => {
                let shift = self.plus(valid, -f64::from(s))?;
                self.add(&query, &shift)?
            }
            _ => self.plus(&query, past.into())?,
        };
        let mut rules = Vec::new();
        if call.int("is_causal", 0) != 0 {
            rules.push(self.binary(Binary::LessEqual, &key, &place)?);
        }
        let left = call.int("left_window_size", -1);
        if left >= 0 {
            let first = self.plus(&place, -(left as f64))?;
            rules.push(self.binary(Binary::LessEqual, &first, &key)?);
        }
        let right = call.int("right_window_size", -1);
        if right >= 0 {
            let last = self.plus(&place, right as f64)?;
            rules.push(self.binary(Binary::LessEqual, &key, &last)?);
        }
        if let Some(valid) = &valid {
            rules.push(self.less(&key, valid)?);
        }
        let mut may_be_blind = bias.is_some() || valid.is_some();
        may_be_blind |= left >= 0 || right >= 0;
        for rule in rules {
            bias = Some(match bias {
                Some(bias) => self.select(&rule, &bias, &never)?,
                None => self.select(&rule, &zero, &never)?,
            });
        }
        let Some(bias) = bias else { return Ok((scores.clone(), None)) };
        let masked = self.add(scores, &bias)?;
        Ok((masked, may_be_blind.then_some(bias)))
    }
}

//! Parts of tensors: joined, cut, padded, repeated.

use super::{
    call::{Call, axes, axis, one},
    context::{Lowering, Made},
    table::Results,
    value::Value,
};
use crate::error::NodeError;

/// Elements that one axis may have before or after what is there: what a graph's tensor may have at most.
const MAX_PADDING: i64 = 1 << 28;

pub(super) fn concat(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let parts = call.all()?;
    let at = call.axis(1, call.input(0)?)?;
    one(low.concat(&parts, at))
}

/// By given lengths, or into as many equal parts as there are outputs, the last of which may be shorter.
pub(super) fn split(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let at = call.axis(0, x)?;
    let dim = i64::from(x.shape[at]);
    let lengths = call.list(low, "split", 1)?.unwrap_or_else(|| {
        let parts = call.int("num_outputs", call.outputs() as i64).max(1);
        let length = dim.div_euclid(parts) + i64::from(dim % parts != 0);
        (0..parts.min(call.outputs() as i64)).map(|part| length.min(dim - part * length)).collect()
    });
    if lengths.iter().any(|length| *length < 0)
        || lengths.iter().try_fold(0i64, |sum, n| sum.checked_add(*n)) != Some(dim)
    {
        return Err(call.shapes(0, lengths.into_iter().take(16), "the parts do not add up to the dimension"));
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        parts.push(low.slice(x, at, start, 1, length as u32)?);
        start += length as u32;
    }
    Ok(parts)
}

pub(super) fn slice(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let starts = call.list(low, "starts", 1)?.ok_or(NodeError::MissingAttribute("starts"))?;
    let ends = call.list(low, "ends", 2)?.ok_or(NodeError::MissingAttribute("ends"))?;
    let given = call.list(low, "axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.optional_integers(low, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), given.len(), steps.len()].iter().any(|len| *len != starts.len()) {
        return Err(call.shapes(0, [], "starts, ends, axes and steps differ in number"));
    }
    let mut made = x.clone();
    for (((start, end), one), step) in starts.into_iter().zip(ends).zip(given).zip(steps) {
        let at = axis(one, &x.shape)?;
        let dim = i64::from(x.shape[at]);
        let counted_from_start = |place: i64| if place < 0 { place.saturating_add(dim) } else { place };
        // A step beyond the dimension takes one element.
        let step = step.clamp(-dim - 1, dim + 1);
        let (start, end) = match step {
            0 => return Err(call.shapes(0, [0], "a step of zero")),
            1.. => (counted_from_start(start).clamp(0, dim), counted_from_start(end).clamp(0, dim)),
            _ => (counted_from_start(start).clamp(-1, dim - 1), counted_from_start(end).clamp(-1, dim - 1)),
        };
        let span = if step > 0 { end - start } else { start - end };
        let length = (span.max(0) as u64).div_ceil(step.unsigned_abs()) as u32;
        made = low.slice(&made, at, start.max(0) as u32, step as i32, length)?;
    }
    Ok(vec![made])
}

pub(super) fn pad(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let pads = call.list(low, "pads", 1)?.ok_or(NodeError::MissingAttribute("pads"))?;
    let value = match call.optional(2) {
        Some(_) => call.numbers(low, 2)?.first().copied().unwrap_or(0.0),
        None => call.float("value", 0.0),
    };
    let given = match call.optional_integers(low, 3)? {
        Some(given) => given.iter().map(|one| axis(*one, &x.shape)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let in_range = |n: &i64| (-MAX_PADDING..=MAX_PADDING).contains(n);
    if pads.len() != 2 * given.len() || !pads.iter().all(in_range) {
        return Err(call.shapes(0, pads.into_iter().take(16), "it takes two pads an axis"));
    }
    let mode = call.text("mode", "constant").to_owned();
    let (mut low_ends, mut high_ends) = (vec![0; x.rank()], vec![0; x.rank()]);
    for (index, at) in given.iter().enumerate() {
        (low_ends[*at], high_ends[*at]) = (pads[index], pads[index + given.len()]);
    }
    if mode == "constant" {
        return one(low.pad_or_cut(x, &low_ends, &high_ends, value));
    }
    let mut made = x.clone();
    for at in given {
        let dim = i64::from(x.shape[at]);
        let (first, last) = (-low_ends[at], dim + high_ends[at]);
        if last <= first || dim == 0 {
            return Err(call.shapes(0, [low_ends[at], high_ends[at]], "pads out of range"));
        }
        low.budget.spend((last - first) as u64)?;
        let place = |place: i64| match mode.as_str() {
            "edge" => Some(place.clamp(0, dim - 1)),
            "wrap" => Some(place.rem_euclid(dim)),
            "reflect" => {
                let period = (2 * (dim - 1)).max(1);
                let within = place.rem_euclid(period);
                Some(if within < dim { within } else { period - within })
            }
            _ => None,
        };
        let places: Option<Vec<i64>> = (first..last).map(place).collect();
        let places = places.ok_or_else(|| call.refuse("mode", "it is constant, edge, reflect or wrap"))?;
        if !places.iter().copied().eq(0..dim) {
            made = low.gather(&made, &Value::i64s(places), at)?;
        }
    }
    Ok(vec![made])
}

pub(super) fn tile(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let repeats = call.integers(low, 1)?;
    if repeats.len() != x.rank() {
        return Err(call.shapes(0, repeats.into_iter().take(16), "one repeat a dimension"));
    }
    let mut made = x.clone();
    for (at, repeat) in repeats.into_iter().enumerate().filter(|(_, repeat)| *repeat != 1) {
        let (repeat, dim) = match (u32::try_from(repeat), x.shape[at]) {
            (Ok(repeat @ 1..), dim) if u64::from(repeat) * u64::from(dim) <= MAX_PADDING as u64 => (repeat, dim),
            _ => return Err(call.shapes(0, [repeat], "a repeat out of range")),
        };
        let mut apart = made.shape.clone();
        apart.insert(at, 1);
        let mut shape = made.shape.clone();
        shape[at] = dim * repeat;
        made = low.reshape(&made, &apart)?;
        apart[at] = repeat;
        made = low.broadcast(&made, &apart)?;
        made = low.reshape(&made, &shape)?;
    }
    Ok(vec![made])
}

/// The middle of given axes, padded with zeros where it is shorter than wanted.
pub(super) fn center_crop_pad(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let wanted = call.integers(low, 1)?;
    let given = match call.ints("axes") {
        Some(given) => given.iter().map(|one| axis(*one, &x.shape)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    if wanted.len() != given.len() || !wanted.iter().all(|n| (1..=MAX_PADDING).contains(n)) {
        return Err(call.shapes(0, wanted.into_iter().take(16), "one size an axis"));
    }
    let (mut before, mut after) = (vec![0; x.rank()], vec![0; x.rank()]);
    for (at, wanted) in given.into_iter().zip(wanted) {
        let missing = wanted - i64::from(x.shape[at]);
        // An odd element is at the end, whether it is added or cut off.
        before[at] = if missing > 0 { missing / 2 } else { -(-missing / 2) };
        after[at] = missing - before[at];
    }
    one(low.pad_or_cut(x, &before, &after, 0.0))
}

/// The places along an axis, or of all elements, whose condition holds; it must be known.
pub(super) fn compress(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let condition = call.integers(low, 1)?;
    let (x, at) = match call.attribute("axis") {
        Some(_) => (x.clone(), axes(&[call.int("axis", 0)], &x.shape)?[0]),
        None => (low.reshape(x, &[x.elements() as u32])?, 0),
    };
    let places: Vec<i64> = (0..).zip(&condition).filter(|(_, holds)| **holds != 0).map(|(place, _)| place).collect();
    if condition.len() > x.shape[at] as usize {
        return Err(call.shapes(1, [x.shape[at].into()], "more conditions than places"));
    }
    one(low.gather(&x, &Value::i64s(places), at))
}

impl Lowering<'_> {
    /// Negative pads cut off.
    pub(super) fn pad_or_cut(&mut self, x: &Value, before: &[i64], after: &[i64], value: f64) -> Made {
        let mut made = x.clone();
        for at in 0..x.rank() {
            let (cut, end) = ((-before[at]).max(0), (-after[at]).max(0));
            if (cut, end) != (0, 0) {
                let length = i64::from(x.shape[at]) - cut - end;
                let length =
                    u32::try_from(length).map_err(|_| NodeError::Unsupported("more is cut off than there is"))?;
                made = self.slice(&made, at, cut as u32, 1, length)?;
            }
        }
        let positive = |pads: &[i64]| pads.iter().map(|n| (*n).max(0) as u32).collect::<Vec<_>>();
        self.pad(&made, &positive(before), &positive(after), value)
    }
}

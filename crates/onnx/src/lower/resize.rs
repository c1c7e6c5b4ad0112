//! Resizing. Each axis by itself: which elements of the input an element of the result is made of, and with which
//! weights, follows from sizes alone, so that each tap is one gather with known indices.

use super::{
    call::{Call, axis},
    context::Lowering,
    table::Results,
    value::Value,
};
use crate::{error::NodeError, limits::MAX_FOLDED_ELEMENTS, tensor::Tensor};

/// Elements that one element of the result is made of, along one axis.
const MAX_TAPS: usize = 64;

/// How one axis is resized.
struct Axis {
    from: u32,
    to: u32,
    scale: f64,
    /// Region of interest, as parts of the axis.
    region: (f64, f64),
}

pub(super) fn resize(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let input = call.input(0)?;
    let mut made = low.float(input)?;
    let mut outside: Option<Value> = None;
    for (at, axis) in axes(low, call, input)? {
        low.budget.spend(axis.to.into())?;
        let coordinates: Vec<f64> = (0..axis.to).map(|place| axis.coordinate(call, place.into())).collect();
        if coordinates.iter().zip(0..).all(|(x, place)| *x == f64::from(place)) && axis.from == axis.to {
            continue;
        }
        let taps = taps(low, call, &axis, &coordinates)?;
        let mut shape = vec![1; input.rank()];
        shape[at] = axis.to;
        let mut sum: Option<Value> = None;
        for tap in 0..taps.first().map_or(0, Vec::len) {
            let part = low.gather(&made, &Value::i64s(taps.iter().map(|own| own[tap].0)), at)?;
            let weights = Value::of(Tensor::floats(shape.clone(), taps.iter().map(|own| own[tap].1).collect()));
            let part = if weights.uniform() == Some(1.0) { part } else { low.mul(&part, &weights)? };
            sum = Some(match sum {
                Some(sum) => low.add(&sum, &part)?,
                None => part,
            });
        }
        made = sum.ok_or(NodeError::Unsupported("a resize to nothing"))?;
        if call.text("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
            let last = f64::from(axis.from) - 1.0;
            let is_outside = coordinates.iter().map(|x| i64::from(*x < 0.0 || *x > last)).collect();
            let own = Value::of(Tensor::integers(crate::Element::Bool, shape, is_outside));
            outside = Some(match outside {
                Some(others) => low.binary(shoal_graph::Binary::Or, &others, &own)?,
                None => own,
            });
        }
    }
    if let Some(outside) = outside.filter(|outside| outside.uniform() != Some(0.0)) {
        let value = Value::scalar(made.element, call.float("extrapolation_value", 0.0));
        made = low.select(&outside, &value, &made)?;
    }
    Ok(vec![low.cast(&made, input.element)?])
}

/// What is given of scales, sizes and regions, for the axes that are named.
fn axes(low: &Lowering<'_>, call: &Call<'_>, x: &Value) -> Result<Vec<(usize, Axis)>, NodeError> {
    let named = match call.ints("axes") {
        Some(given) => given.iter().map(|one| axis(*one, &x.shape)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let given = |index: usize| match call.optional(index).filter(|value| value.elements() > 0) {
        Some(_) => call.numbers(low, index).map(Some),
        None => Ok(None),
    };
    let is_short = call.inputs.len() <= 2;
    let mut scales = match call.attribute("scales") {
        Some(attribute) => Some(attribute.floats.iter().map(|x| f64::from(*x)).collect()),
        None => given(if is_short { 1 } else { 2 })?,
    };
    let sizes = given(3)?;
    let region = if is_short { None } else { given(1)? };
    let mut targets: Vec<f64> = Vec::new();
    if let Some(sizes) = &sizes {
        let ratios: Vec<f64> = sizes.iter().zip(&named).map(|(size, at)| size / f64::from(x.shape[*at])).collect();
        let ratio = match call.text("keep_aspect_ratio_policy", "stretch") {
            "stretch" => None,
            "not_larger" => Some(ratios.iter().copied().fold(f64::INFINITY, f64::min)),
            "not_smaller" => Some(ratios.iter().copied().fold(0.0, f64::max)),
            _ => return Err(call.refuse("keep_aspect_ratio_policy", "it is stretch, not_larger or not_smaller")),
        };
        targets = match ratio {
            Some(ratio) => named.iter().map(|at| (ratio * f64::from(x.shape[*at]) + 0.5).floor()).collect(),
            None => sizes.clone(),
        };
        scales = Some(ratio.map_or(ratios, |ratio| vec![ratio; named.len()]));
    }
    let scales: Vec<f64> = scales.ok_or(NodeError::Unsupported("a resize without scales and sizes"))?;
    if scales.len() != named.len() || (sizes.is_some() && targets.len() != named.len()) {
        return Err(call.shapes(0, [scales.len() as i64], "one scale or size an axis"));
    }
    let region = region.filter(|region| region.len() == 2 * named.len());
    let mut axes = Vec::new();
    for (index, at) in named.iter().enumerate() {
        let from = x.shape[*at];
        let to = targets.get(index).copied().unwrap_or_else(|| (f64::from(from) * scales[index]).floor());
        if !(1.0..=MAX_FOLDED_ELEMENTS as f64).contains(&to) || from == 0 {
            return Err(call.shapes(0, [to as i64], "a size out of range"));
        }
        let region = region.as_ref().map_or((0.0, 1.0), |own| (own[index], own[index + named.len()]));
        axes.push((*at, Axis { from, to: to as u32, scale: scales[index], region }));
    }
    Ok(axes)
}

impl Axis {
    /// Where in the input an element of the result lies.
    fn coordinate(&self, call: &Call<'_>, place: f64) -> f64 {
        let (from, to) = (f64::from(self.from), f64::from(self.to));
        let resized = self.scale * from;
        let default = if call.op() == "Upsample" || call.version < 11 { "asymmetric" } else { "half_pixel" };
        match call.text("coordinate_transformation_mode", default) {
            "asymmetric" => place / self.scale,
            "align_corners" if resized == 1.0 || to == 1.0 => 0.0,
            "align_corners" => place * (from - 1.0) / (resized - 1.0),
            "pytorch_half_pixel" if resized <= 1.0 => 0.0,
            "tf_half_pixel_for_nn" => (place + 0.5) / self.scale,
            "half_pixel_symmetric" => {
                let offset = from / 2.0 * (1.0 - to / resized);
                offset + (place + 0.5) / self.scale - 0.5
            }
            "tf_crop_and_resize" => {
                let (start, end) = self.region;
                if to > 1.0 {
                    start * (from - 1.0) + place * (end - start) * (from - 1.0) / (to - 1.0)
                } else {
                    (start + end) * (from - 1.0) / 2.0
                }
            }
            _ => (place + 0.5) / self.scale - 0.5,
        }
    }
}

/// For each element of the result, elements of the input with their weights, equally many.
fn taps(
    low: &Lowering<'_>,
    call: &Call<'_>,
    axis: &Axis,
    coordinates: &[f64],
) -> Result<Vec<Vec<(i64, f64)>>, NodeError> {
    // Each tap is a place and a weight.
    let pay = |count: usize| low.budget.spend(2 * u64::from(axis.to) * count as u64);
    let last = i64::from(axis.from) - 1;
    let mode = call.text("mode", "nearest");
    if mode == "nearest" {
        let default = if call.op() == "Upsample" || call.version < 11 { "floor" } else { "round_prefer_floor" };
        let nearest = |x: f64| match call.text("nearest_mode", default) {
            "round_prefer_ceil" => (x + 0.5).floor(),
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            _ => (x - 0.5).ceil(),
        };
        pay(1)?;
        return Ok(coordinates.iter().map(|x| vec![((nearest(*x) as i64).clamp(0, last), 1.0)]).collect());
    }
    let is_cubic = mode == "cubic";
    if !is_cubic && mode != "linear" && mode != "bilinear" {
        return Err(call.refuse("mode", "it is nearest, linear or cubic"));
    }
    let a = call.float("cubic_coeff_a", -0.75);
    // Smoothed, a result is made of more elements where the image shrinks.
    let shrink = if call.int("antialias", 0) != 0 { axis.scale.min(1.0) } else { 1.0 };
    let reach = if is_cubic { 2.0 } else { 1.0 };
    let first = (-reach / shrink).floor() + 1.0;
    let count = (2.0 - 2.0 * first) as usize;
    if count > MAX_TAPS {
        return Err(NodeError::TooLarge { what: "taps of a resize", found: count as u64, limit: MAX_TAPS as u64 });
    }
    pay(count)?;
    let weight = |distance: f64| {
        let x = (distance * shrink).abs();
        match (is_cubic, x) {
            (false, x) => (1.0 - x).max(0.0),
            (true, x) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            (true, x) if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
            (true, _) => 0.0,
        }
    };
    let excludes = call.int("exclude_outside", 0) != 0;
    let of = |x: &f64| {
        let base = x.floor();
        let mut own: Vec<(i64, f64)> = (0..count)
            .map(|tap| {
                let place = base + first + tap as f64;
                let is_inside = (0.0..=last as f64).contains(&place);
                let weight = if excludes && !is_inside { 0.0 } else { weight(place - x) };
                ((place as i64).clamp(0, last), weight)
            })
            .collect();
        let sum: f64 = own.iter().map(|(_, weight)| weight).sum();
        own.iter_mut().for_each(|(_, weight)| *weight /= sum);
        own
    };
    Ok(coordinates.iter().map(of).collect())
}

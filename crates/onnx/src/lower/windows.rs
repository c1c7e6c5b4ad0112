//! Convolutions over one, two or three spatial axes. One axis is an image of one row; three are the sum, over the
//! kernel's depth, of convolutions of slices.

use shoal_graph::{Axis2d, Op, Window2d};

use super::{
    call::{Call, dim, one},
    context::{Lowering, Made},
    geometry::{Geometry, numbers},
    table::Results,
    value::Value,
};
use crate::{element::Element, error::NodeError};

pub(super) fn conv(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let made = low.conv(call, call.floats(0)?, call.floats(1)?)?;
    match call.optional(2) {
        Some(bias) => {
            let bias = low.per_channel(bias, made.rank())?;
            one(low.add(&made, &bias))
        }
        None => Ok(vec![made]),
    }
}

/// Exact as long as the sums stay below 2²⁴: they are made in f32.
pub(super) fn conv_integer(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, w) = (low.centred(call, 0, 2, 1)?, low.centred(call, 1, 3, 0)?);
    let made = low.conv(call, &x, &w)?;
    one(low.cast(&made, Element::I32))
}

/// x, its scale and zero point, w and its, y's, and a bias in steps of both scales.
pub(super) fn quantised_conv(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, w) = (low.centred(call, 0, 2, 1)?, low.centred(call, 3, 5, 0)?);
    let mut sums = low.conv(call, &x, &w)?;
    if let Some(bias) = call.optional(8) {
        let bias = low.float(bias)?;
        let bias = low.per_channel(&bias, sums.rank())?;
        sums = low.add(&sums, &bias)?;
    }
    let w_scale = low.per_channel(call.input(4)?, sums.rank())?;
    let scale = low.mul(call.input(1)?, &w_scale)?;
    let scaled = low.mul(&sums, &scale)?;
    let (y_scale, zero) = (call.input(6)?.clone(), call.input(7)?.clone());
    one(low.quantised(&scaled, &y_scale, &zero))
}

pub(super) fn conv_transpose(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let (x, w) = (call.floats(0)?, call.floats(1)?);
    let spatial = x.rank().saturating_sub(2);
    if !(1..=2).contains(&spatial) || w.rank() != x.rank() {
        return Err(call.shapes(0, w.shape.iter().map(|n| i64::from(*n)), "one or two spatial axes"));
    }
    let mut geometry = Geometry::of(call, &x.shape[2..], &w.shape[2..])?;
    let extra = numbers(call, "output_padding", spatial, 0, 0)?;
    let wanted = numbers(call, "output_shape", spatial, 0, 1)?;
    let auto = call.text("auto_pad", "NOTSET");
    let mut output = Vec::with_capacity(spatial);
    for (at, axis) in geometry.axes.iter_mut().enumerate() {
        let image = u64::from(x.shape[at + 2]);
        let natural =
            image.saturating_sub(1) * u64::from(axis.stride) + axis.extent(geometry.kernel[at]) + u64::from(extra[at]);
        let target = match (wanted[at], auto) {
            (0, "SAME_UPPER" | "SAME_LOWER") => image * u64::from(axis.stride),
            (0, _) => natural.saturating_sub(u64::from(axis.low) + u64::from(axis.high)),
            (wanted, _) => wanted.into(),
        };
        if wanted[at] != 0 || auto.starts_with("SAME") {
            let total = natural.saturating_sub(target) as u32;
            axis.low = if auto == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) };
            axis.high = total - axis.low;
        }
        output.push(u32::try_from(target).map_err(|_| NodeError::Unsupported("an output beyond 32 bits"))?);
    }
    let groups = groups(call)?;
    let [height, width] = if spatial == 1 { [1, output[0]] } else { [output[0], output[1]] };
    let op = Op::Conv2dGradInput { window: geometry.window(), groups, height, width };
    let (image, kernel) = (low.as_image(x)?, low.as_image(w)?);
    let made = low.emit(op, &[&kernel, &image], x.element)?;
    let made = low.reshape(&made, &[&made.shape[..2], output.as_slice()].concat())?;
    match call.optional(2) {
        Some(bias) => {
            let bias = low.per_channel(bias, made.rank())?;
            one(low.add(&made, &bias))
        }
        None => Ok(vec![made]),
    }
}

fn groups(call: &Call<'_>) -> Result<u32, NodeError> {
    u32::try_from(call.int("group", 1)).map_err(|_| call.refuse("group", "out of range"))
}

impl Lowering<'_> {
    fn conv(&mut self, call: &Call<'_>, x: &Value, w: &Value) -> Made {
        let spatial = x.rank().saturating_sub(2);
        if !(1..=3).contains(&spatial) || w.rank() != x.rank() {
            return Err(call.shapes(0, w.shape.iter().map(|n| i64::from(*n)), "one to three spatial axes"));
        }
        if call
            .ints("kernel_shape")
            .is_some_and(|given| !given.iter().copied().eq(w.shape[2..].iter().map(|n| i64::from(*n))))
        {
            return Err(call.refuse("kernel_shape", "the weights have another"));
        }
        let geometry = Geometry::of(call, &x.shape[2..], &w.shape[2..])?;
        let groups = groups(call)?;
        if spatial == 3 {
            return self.conv3d(x, w, &geometry, groups);
        }
        let (image, kernel) = (self.as_image(x)?, self.as_image(w)?);
        let made = self.emit(Op::Conv2d { window: geometry.window(), groups }, &[&image, &kernel], x.element)?;
        if spatial == 2 {
            return Ok(made);
        }
        let shape = [made.shape[0], made.shape[1], made.shape[3]];
        self.reshape(&made, &shape)
    }

    fn conv3d(&mut self, x: &Value, w: &Value, geometry: &Geometry, groups: u32) -> Made {
        let [n, c, depth, h, wide] = *x.shape.as_slice() else { return Err(NodeError::Unsupported("a convolution")) };
        let [o, per_group, kernel, kh, kw] = *w.shape.as_slice() else {
            return Err(NodeError::Unsupported("a convolution"));
        };
        let axis: Axis2d = geometry.axes[0];
        let windows = geometry.windows(0, depth)?;
        let padded = self.pad(x, &[0, 0, axis.low, 0, 0], &[0, 0, axis.high, 0, 0], 0.0)?;
        let window: Window2d = geometry.window();
        let mut sum: Option<Value> = None;
        for at in 0..kernel {
            let part = self.slice(&padded, 2, at * axis.dilation, axis.stride as i32, windows)?;
            let part = self.transpose(&part, &[0, 2, 1, 3, 4])?;
            let part = self.reshape(&part, &[dim(&[n, windows])?, c, h, wide])?;
            let plane = self.slice(w, 2, at, 1, 1)?;
            let plane = self.reshape(&plane, &[o, per_group, kh, kw])?;
            let made = self.emit(Op::Conv2d { window, groups }, &[&part, &plane], x.element)?;
            sum = Some(match sum {
                Some(sum) => self.add(&sum, &made)?,
                None => made,
            });
        }
        let sum = sum.ok_or(NodeError::Unsupported("an empty kernel"))?;
        let (oh, ow) = (sum.shape[2], sum.shape[3]);
        let apart = self.reshape(&sum, &[n, windows, o, oh, ow])?;
        self.transpose(&apart, &[0, 2, 1, 3, 4])
    }

    /// One spatial axis as an image of one row.
    pub(super) fn as_image(&mut self, x: &Value) -> Made {
        match *x.shape.as_slice() {
            [n, c, width] => self.reshape(x, &[n, c, 1, width]),
            _ => Ok(x.clone()),
        }
    }

    /// [c] as [c, 1, …], which broadcasts over a tensor [n, c, …] of that rank; a scalar stays one.
    pub(super) fn per_channel(&mut self, x: &Value, rank: usize) -> Made {
        if x.rank() != 1 || x.shape == [1] {
            return self.reshape(x, &[]);
        }
        let mut shape = vec![1; rank.saturating_sub(1).max(1)];
        shape[0] = x.shape[0];
        self.reshape(x, &shape)
    }

    /// An integer operand as f32, less its zero point, of which there may be one for each place of an axis.
    fn centred(&mut self, call: &Call<'_>, index: usize, zero: usize, axis: usize) -> Made {
        let x = self.float(call.input(index)?)?;
        let Some(zero) = call.optional(zero) else { return Ok(x) };
        let zero = self.float(zero)?;
        let zero = self.per_channel(&zero, x.rank() - axis + usize::from(axis == 0))?;
        let zero = if axis == 0 && zero.rank() > 0 {
            let mut shape = vec![1; x.rank()];
            shape[0] = zero.shape[0];
            self.reshape(&zero, &shape)?
        } else {
            zero
        };
        self.sub(&x, &zero)
    }
}

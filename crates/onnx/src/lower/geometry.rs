//! Where windows lie: ONNX's strides, dilations, pads, `auto_pad` and `ceil_mode` as the axes of a graph's windows.

use shoal_graph::{Axis2d, Window2d, limits::MAX_WINDOW};

use super::call::Call;
use crate::error::NodeError;

/// Windows along the spatial axes of a tensor [n, c, …].
pub(super) struct Geometry {
    pub(super) kernel: Vec<u32>,
    pub(super) axes: Vec<Axis2d>,
    /// Padding at the ends as the model has it; `ceil_mode` adds to that of the axes.
    pub(super) declared_high: Vec<u32>,
}

impl Geometry {
    /// Of an operator that slides a kernel over an image of these extents.
    pub(super) fn of(call: &Call<'_>, image: &[u32], kernel: &[u32]) -> Result<Self, NodeError> {
        let rank = image.len();
        let strides = numbers(call, "strides", rank, 1, 1)?;
        let dilations = numbers(call, "dilations", rank, 1, 1)?;
        let pads = numbers(call, "pads", 2 * rank, 0, 0)?;
        let is_ceil = call.int("ceil_mode", 0) != 0;
        let auto = call.text("auto_pad", "NOTSET");
        let mut axes = Vec::with_capacity(rank);
        let mut declared_high = Vec::with_capacity(rank);
        for at in 0..rank {
            check(kernel[at], 1)?;
            let mut axis = Axis2d { stride: strides[at], dilation: dilations[at], low: 0, high: 0 };
            let extent = axis.extent(kernel[at]);
            match auto {
                "NOTSET" => (axis.low, axis.high) = (pads[at], pads[at + rank]),
                "VALID" => {}
                "SAME_UPPER" | "SAME_LOWER" => {
                    let windows = u64::from(image[at]).div_ceil(axis.stride.into());
                    let wanted = windows.saturating_sub(1) * u64::from(axis.stride) + extent;
                    let total = check(u32::try_from(wanted.saturating_sub(image[at].into())).unwrap_or(u32::MAX), 0)?;
                    axis.low = if auto == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) };
                    axis.high = total - axis.low;
                }
                _ => return Err(call.refuse("auto_pad", "it is NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
            }
            declared_high.push(axis.high);
            if is_ceil {
                axis.high = ceil_high(axis, image[at], extent);
            }
            axes.push(axis);
        }
        Ok(Self { kernel: kernel.to_vec(), axes, declared_high })
    }

    /// The windows of the last two axes, or of one axis as a row.
    pub(super) fn window(&self) -> Window2d {
        match *self.axes.as_slice() {
            [.., height, width] => Window2d { height, width },
            [width] => Window2d { height: Axis2d::DENSE, width },
            [] => Window2d::DENSE,
        }
    }

    /// Number of windows along an axis.
    pub(super) fn windows(&self, at: usize, image: u32) -> Result<u32, NodeError> {
        let windows = self.axes[at].output(image, self.kernel[at]);
        windows.ok_or(NodeError::Unsupported("a kernel that is larger than the padded image"))
    }
}

/// The last window may reach beyond the padding, as long as it begins within the image or the padding before it.
fn ceil_high(axis: Axis2d, image: u32, extent: u64) -> u32 {
    let stride = u64::from(axis.stride);
    let padded = u64::from(image) + u64::from(axis.low) + u64::from(axis.high);
    let mut windows = padded.saturating_sub(extent).div_ceil(stride) + 1;
    if (windows - 1) * stride >= u64::from(image) + u64::from(axis.low) {
        windows -= 1;
    }
    let reach = (windows.max(1) - 1) * stride + extent;
    let high = reach.saturating_sub(u64::from(image) + u64::from(axis.low));
    // Beyond the limit of windows the graph refuses it.
    u32::try_from(high).unwrap_or(u32::MAX).max(if windows == 0 { axis.high } else { 0 })
}

fn check(number: u32, least: u32) -> Result<u32, NodeError> {
    if (least..=MAX_WINDOW).contains(&number) {
        return Ok(number);
    }
    Err(NodeError::TooLarge { what: "kernel, stride, dilation or pad", found: number.into(), limit: MAX_WINDOW.into() })
}

/// An attribute with a number for each axis, or its default.
pub(super) fn numbers(
    call: &Call<'_>,
    name: &'static str,
    count: usize,
    default: u32,
    least: u32,
) -> Result<Vec<u32>, NodeError> {
    let Some(given) = call.ints(name).filter(|given| !given.is_empty()) else { return Ok(vec![default; count]) };
    if given.len() != count {
        return Err(call.refuse(name, "one number for each spatial axis, two for pads"));
    }
    let each = given.iter().map(|number| match u32::try_from(*number) {
        Ok(number) => check(number, least),
        Err(_) => Err(call.refuse(name, "out of range")),
    });
    each.collect()
}

//! The same elements under another shape or in another order of axes.

use super::{
    call::{Call, axes, axis, dim, one},
    context::Lowering,
    fold,
    table::Results,
};
use crate::{
    error::NodeError,
    tensor::{elements, shape_from_dims},
};

/// −1 is what is left, 0 what the input has there.
pub(super) fn reshape(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = call.list(low, "shape", 1)?.ok_or(NodeError::MissingAttribute("shape"))?;
    let refused = |reason| call.shapes(0, given.iter().copied().take(16), reason);
    let keeps_zero = call.int("allowzero", 0) == 1;
    let dim = |(at, dim): (usize, &i64)| match dim {
        0 if !keeps_zero => x.shape.get(at).map(|dim| i64::from(*dim)),
        -1 => Some(1),
        dim => Some(*dim),
    };
    let wanted: Option<Vec<i64>> = given.iter().enumerate().map(dim).collect();
    let mut shape = shape_from_dims(&wanted.ok_or_else(|| refused("it has no dimension to keep there"))?)?;
    if let Some(at) = given.iter().position(|dim| *dim == -1) {
        let (all, others) = (x.elements(), elements(&shape));
        if others == 0 || all % others != 0 {
            return Err(refused("its elements cannot be divided so"));
        }
        shape[at] = u32::try_from(all / others).map_err(|_| refused("a dimension is too large"))?;
    }
    if elements(&shape) != x.elements() {
        return Err(refused("the new shape has another element count"));
    }
    one(low.reshape(x, &shape))
}

pub(super) fn flatten(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = call.int("axis", 1);
    let at = if given == x.rank() as i64 { x.rank() } else { axis(given, &x.shape)? };
    let side = |part: &[u32]| u32::try_from(elements(part)).map_err(|_| call.shapes(0, [given], "it is too large"));
    one(low.reshape(x, &[side(&x.shape[..at])?, side(&x.shape[at..])?]))
}

pub(super) fn squeeze(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = match call.list(low, "axes", 1)? {
        Some(given) => axes(&given, &x.shape)?,
        None => (0..x.rank()).filter(|at| x.shape[*at] == 1).collect(),
    };
    if let Some(at) = given.iter().find(|at| x.shape[**at] != 1) {
        return Err(call.shapes(0, [*at as i64], "only dimensions of 1 are squeezed"));
    }
    let shape: Vec<u32> = (0..x.rank()).filter(|at| !given.contains(at)).map(|at| x.shape[at]).collect();
    one(low.reshape(x, &shape))
}

pub(super) fn unsqueeze(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = call.list(low, "axes", 1)?.ok_or(NodeError::MissingAttribute("axes"))?;
    let rank = x.rank() + given.len();
    if rank > crate::limits::MAX_RANK {
        return Err(call.shapes(0, [rank as i64], "too many dimensions"));
    }
    let given = axes(&given, &vec![1; rank])?;
    let mut own = x.shape.iter();
    let shape: Vec<u32> =
        (0..rank).map(|at| if given.contains(&at) { 1 } else { own.next().copied().unwrap_or(1) }).collect();
    one(low.reshape(x, &shape))
}

pub(super) fn expand(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let given = call.integers(low, 1)?;
    let shape = fold::broadcast(&x.shape, &shape_from_dims(&given)?);
    one(low.broadcast(x, &shape.ok_or_else(|| call.shapes(0, given, "they do not broadcast"))?))
}

pub(super) fn transpose(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let order = match call.ints("perm") {
        Some(given) => given.iter().map(|one| axis(*one, &x.shape)).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).rev().collect(),
    };
    let mut seen = order.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..x.rank()) {
        return Err(call.refuse("perm", "it must name each axis once"));
    }
    one(low.transpose(x, &order.iter().map(|at| *at as u32).collect::<Vec<_>>()))
}

/// Blocks of channels become blocks of pixels.
pub(super) fn depth_to_space(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let ([n, c, h, w], block) = (image(call)?, block(call)?);
    let area = block.checked_mul(block).filter(|area| c.is_multiple_of(*area));
    let channels = c / area.ok_or_else(|| call.shapes(0, [block.into()], "its channels are no blocks"))?;
    let made = if call.text("mode", "DCR") == "CRD" {
        let apart = low.reshape(x, &[n, channels, block, block, h, w])?;
        low.transpose(&apart, &[0, 1, 4, 2, 5, 3])?
    } else {
        let apart = low.reshape(x, &[n, block, block, channels, h, w])?;
        low.transpose(&apart, &[0, 3, 4, 1, 5, 2])?
    };
    one(low.reshape(&made, &[n, channels, dim(&[h, block])?, dim(&[w, block])?]))
}

/// Blocks of pixels become blocks of channels.
pub(super) fn space_to_depth(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = call.input(0)?;
    let ([n, c, h, w], block) = (image(call)?, block(call)?);
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(call.shapes(0, [block.into()], "its pixels are no blocks"));
    }
    let apart = low.reshape(x, &[n, c, h / block, block, w / block, block])?;
    let made = low.transpose(&apart, &[0, 3, 5, 1, 2, 4])?;
    one(low.reshape(&made, &[n, dim(&[c, block, block])?, h / block, w / block]))
}

fn image(call: &Call<'_>) -> Result<[u32; 4], NodeError> {
    let x = call.input(0)?;
    x.shape.as_slice().try_into().map_err(|_| call.shapes(0, [], "it must have four dimensions"))
}

fn block(call: &Call<'_>) -> Result<u32, NodeError> {
    match u32::try_from(call.int("blocksize", 0)) {
        Ok(block @ 1..) => Ok(block),
        _ => Err(call.refuse("blocksize", "it must be at least 1")),
    }
}

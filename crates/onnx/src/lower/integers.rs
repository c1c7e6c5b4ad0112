//! Nodes of our own domain (`export/integers.rs`): what is known by its name is not unfolded.

use shoal_graph::{Axis2d, DType, Op, Unary, Window2d};

use super::{
    call::{Call, one},
    context::Lowering,
    table::{Lower, Results},
    value::Value,
};
use crate::{element::Element, error::NodeError};

pub(super) fn find(name: &str) -> Option<Lower> {
    Some(match name {
        "Requantize" => requantize,
        "Conv2dInteger" => convolution,
        "MaxPool2dInteger" => max_pool,
        "SqrtInteger" => root,
        _ => return None,
    })
}

fn requantize(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let divisor = call.int("divisor", 0);
    if divisor < 2 || divisor.count_ones() != 1 {
        return Err(call.refuse("divisor", "it must be a power of two from 2 on"));
    }
    let element = Element::from_number(call.int("to", 0) as i32)?;
    if !matches!(element, Element::I32 | Element::I8 | Element::U8) {
        return Err(call.refuse("to", "it must be int32, int8 or uint8"));
    }
    let bound = |name, default| i32::try_from(call.int(name, default)).map_err(|_| call.refuse(name, "it is no int32"));
    let (least, most) = (bound("low", i32::MIN.into())?, bound("high", i32::MAX.into())?);
    let inputs = [whole(low, call, 0)?, whole(low, call, 1)?];
    let op = Op::Requantize { shift: divisor.trailing_zeros(), low: least, high: most, to: element.stored() };
    one(low.apply_narrow(op, &inputs, element))
}

fn convolution(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let inputs = [bytes(low, call, 0)?, bytes(low, call, 1)?];
    let groups = u32::try_from(call.int("group", 1)).map_err(|_| call.refuse("group", "it is no count"))?;
    let op = Op::Conv2dInteger { window: window(call)?, groups };
    one(low.apply_narrow(op, &inputs, Element::I32))
}

fn max_pool(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = bytes(low, call, 0)?;
    let [kernel_height, kernel_width] = list(call, "kernel_shape", 0)?;
    let op = Op::MaxPool2d { window: window(call)?, kernel_height, kernel_width };
    one(low.apply_narrow(op, &[x], Element::I8))
}

fn root(low: &mut Lowering<'_>, call: &Call<'_>) -> Results {
    let x = whole(low, call, 0)?;
    one(low.apply_narrow(Op::Unary(Unary::Sqrt), &[x], Element::I32))
}

fn whole(low: &mut Lowering<'_>, call: &Call<'_>, index: usize) -> Result<shoal_graph::ValueId, NodeError> {
    let value: &Value = call.input(index)?;
    match value.element {
        Element::I32 => low.id(value),
        found => Err(NodeError::WrongElement { index, found }),
    }
}

fn bytes(low: &mut Lowering<'_>, call: &Call<'_>, index: usize) -> Result<shoal_graph::ValueId, NodeError> {
    let value: &Value = call.input(index)?;
    match value.element.stored() {
        DType::I8 | DType::U8 => low.narrow_id(value),
        _ => Err(NodeError::WrongElement { index, found: value.element }),
    }
}

fn window(call: &Call<'_>) -> Result<Window2d, NodeError> {
    let (strides, dilations): ([u32; 2], [u32; 2]) = (list(call, "strides", 1)?, list(call, "dilations", 1)?);
    let pads: [u32; 4] = list(call, "pads", 0)?;
    let axis = |at: usize| Axis2d { stride: strides[at], dilation: dilations[at], low: pads[at], high: pads[at + 2] };
    Ok(Window2d { height: axis(0), width: axis(1) })
}

/// Numbers of an attribute, all the same where there is none.
fn list<const N: usize>(call: &Call<'_>, name: &'static str, default: u32) -> Result<[u32; N], NodeError> {
    let Some(given) = call.ints(name) else { return Ok([default; N]) };
    let numbers: Option<Vec<u32>> = given.iter().map(|number| u32::try_from(*number).ok()).collect();
    numbers
        .and_then(|all| all.try_into().ok())
        .ok_or_else(|| call.refuse(name, "it has other numbers than an image needs"))
}

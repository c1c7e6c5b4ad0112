//! Operations that move elements: one kernel copies from places to places, and the operation says which.

use shoal_graph::{DType, Op, ValueId};

use super::{Call, Dispatch, Operand, Plan, view_words};
use crate::{
    kernels::strided::{self, View},
    webgpu::kernel::Kernel,
};

pub(super) fn plan(call: &Call<'_>) -> Plan {
    let (made, flat) = (call.made(), View::broadcast(call.made(), call.made()));
    let read = |view: &View| call.plan(vec![copy(call, call.node.inputs[0], call.len(), view, &flat)]);
    match &call.node.op {
        Op::Iota { axis, shape } => {
            let at = *axis as usize;
            let words = [call.len() as u32, 0, shape[at + 1..].iter().product(), shape[at]];
            call.one(Kernel::Iota, &words, call.len())
        }
        Op::Transpose { axes } => read(&strided::transposed(call.shape(0), axes)),
        Op::Broadcast { shape } => read(&View::broadcast(call.shape(0), shape)),
        Op::Slice { starts, steps, shape } => read(&strided::sliced(call.shape(0), starts, steps, shape)),
        Op::Pad { low, interior, value, .. } => {
            let x = call.graph.value_type(call.node.inputs[0]);
            let word = if x.dtype == DType::F32 { value.to_bits() } else { (*value as i32).cast_unsigned() };
            let (from, to) = (View::broadcast(&x.shape, &x.shape), strided::padded(&x.shape, low, interior, made));
            call.plan(vec![call.fill(word), copy(call, call.node.inputs[0], x.elements(), &from, &to)])
        }
        Op::Concat { axis } => call.plan(concat(call, *axis as usize)),
        op => unreachable!("{} computes", op.name()),
    }
}

/// Each operand to its part of every run of the result.
fn concat(call: &Call<'_>, axis: usize) -> Vec<Dispatch> {
    let run = |shape: &[u32]| -> u32 { shape[axis..].iter().product() };
    let whole = run(call.made());
    let mut first = 0usize;
    let part = |value: &ValueId| {
        let shape = &call.graph.value_type(*value).shape;
        let (outer, own) = (shape[..axis].iter().product(), run(shape));
        let to = View::new(&[outer, own], &[whole as isize, 1], first);
        first += own as usize;
        copy(call, *value, u64::from(outer) * u64::from(own), &View::broadcast(shape, shape), &to)
    };
    call.node.inputs.iter().map(part).collect()
}

fn copy(call: &Call<'_>, from: ValueId, len: u64, read: &View, write: &View) -> Dispatch {
    let words = [vec![len as u32, 0, 0, 0], view_words(read), view_words(write)].concat();
    Dispatch { operands: vec![Operand::Value(from)], ..call.dispatch(Kernel::Copy, &words, len) }
}

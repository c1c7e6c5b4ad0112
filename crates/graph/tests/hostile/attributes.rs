//! Operations whose attributes are wrong, beyond the limits, or overflow.

use shoal_graph::limits::MAX_CONCAT;
use shoal_wire::proto::{self, node::Op as P};

fn value(dtype: i32, shape: &[u32]) -> proto::Value {
    proto::Value { name: String::new(), dtype, shape: shape.to_vec() }
}

/// One operation over f32 inputs of those shapes; what it makes is declared f32 of `made`.
fn one(op: P, shapes: &[&[u32]], made: &[u32]) -> proto::Graph {
    let inputs = shapes.iter().enumerate().map(|(i, shape)| proto::Value { name: format!("in{i}"), ..value(1, shape) });
    let count = shapes.len() as u32;
    proto::Graph {
        version: 2,
        values: inputs.chain([value(1, made)]).collect(),
        inputs: (0..count).collect(),
        nodes: vec![proto::Node { inputs: (0..count).collect(), output: count, op: Some(op) }],
        outputs: vec![proto::GraphOutput { name: "y".into(), value: count }],
    }
}

fn axis(stride: u32, dilation: u32, low: u32, high: u32) -> Option<proto::WindowAxis> {
    Some(proto::WindowAxis { stride, dilation, low, high })
}

fn window(stride: u32, dilation: u32, low: u32, high: u32) -> Option<proto::Window2d> {
    Some(proto::Window2d { height: axis(stride, dilation, low, high), width: axis(1, 1, 0, 0) })
}

fn square() -> Option<proto::Window2d> {
    window(1, 1, 0, 0)
}

/// What each is, the graph, and a part of the refusal's words.
pub(crate) fn attributes() -> Vec<(&'static str, proto::Graph, &'static str)> {
    const MAX: u32 = u32::MAX;
    let conv = |window, groups| P::Conv2d(proto::Conv2d { window, groups });
    let pool =
        |window, kernel_height, kernel_width| P::MaxPool2d(proto::Pool2d { window, kernel_height, kernel_width });
    let slice = |starts: &[u32], steps: &[i32], shape: &[u32]| {
        P::Slice(proto::Slice { starts: starts.to_vec(), steps: steps.to_vec(), shape: shape.to_vec() })
    };
    let pad = |low, high, interior, value| {
        P::Pad(proto::Pad { low: vec![low], high: vec![high], interior: vec![interior], value })
    };
    let shape = |dims: &[u32]| proto::Shape { dims: dims.to_vec() };
    let (image, weight): (&[u32], &[u32]) = (&[1, 2, 4, 4], &[2, 2, 3, 3]);
    vec![
        ("a shape that overflows", one(P::Reshape(shape(&[MAX; 6])), &[&[2]], &[2]), "element count of a tensor"),
        ("a rank of 64", one(P::Broadcast(shape(&[1; 64])), &[&[1]], &[1]), "rank of a tensor"),
        ("a dimension of 0", one(P::Reshape(shape(&[0])), &[&[2]], &[2]), "a dimension"),
        ("a broadcast that shrinks", one(P::Broadcast(shape(&[1])), &[&[2]], &[1]), "broadcast"),
        ("a broadcast beyond the limit", one(P::Broadcast(shape(&[1 << 30])), &[&[1]], &[1]), "element count"),
        (
            "2^32 products an element",
            one(
                P::MatMul(proto::MatMul { trans_a: false, trans_b: false }),
                &[&[1 << 16, 1 << 12], &[1 << 12, 1 << 16]],
                &[1],
            ),
            "element count of a tensor",
        ),
        (
            "2^54 operations",
            one(
                P::MatMul(proto::MatMul { trans_a: false, trans_b: true }),
                &[&[1 << 14, 1 << 14], &[1 << 14, 1 << 14]],
                &[1 << 14, 1 << 13],
            ),
            "mat_mul makes",
        ),
        ("an axis that is not there", one(P::Gather(proto::Gather { axis: MAX }), &[&[2], &[2]], &[2]), "gather"),
        (
            "a scatter at the last axis there could be",
            one(P::ScatterAdd(proto::ScatterAdd { axis: MAX, size: 2 }), &[&[2], &[2]], &[2]),
            "scatter_add",
        ),
        (
            "a reduction over axes that fall",
            one(P::Reduce(proto::Reduce { reduction: 1, axes: vec![1, 0] }), &[&[2, 2]], &[]),
            "reduce_sum",
        ),
        (
            "a reduction over 100,000 axes",
            one(P::Reduce(proto::Reduce { reduction: 1, axes: (0..100_000).collect() }), &[&[2, 2]], &[]),
            "reduce_sum",
        ),
        (
            "a transposition of 500,000 axes",
            one(P::Transpose(proto::Axes { axes: (0..250_000).rev().collect() }), &[&[2, 2]], &[2, 2]),
            "transpose",
        ),
        (
            "a transposition that repeats",
            one(P::Transpose(proto::Axes { axes: vec![1, 1] }), &[&[2, 2]], &[2, 2]),
            "transpose",
        ),
        ("a slice that leaves x", one(slice(&[1], &[1], &[4]), &[&[4]], &[4]), "leaves x"),
        ("a slice of the least step", one(slice(&[3], &[i32::MIN], &[2]), &[&[4]], &[2]), "leaves x"),
        ("a slice of the greatest step", one(slice(&[0], &[i32::MAX], &[1 << 28]), &[&[4]], &[1 << 28]), "leaves x"),
        ("a slice of step 0", one(slice(&[0], &[0], &[2]), &[&[4]], &[2]), "a step"),
        ("a slice without steps", one(slice(&[0], &[], &[2]), &[&[4]], &[2]), "one number for each axis"),
        ("padding that overflows", one(pad(MAX, MAX, 0, 0.0), &[&[2]], &[2]), "too long"),
        ("interior padding that overflows", one(pad(0, 0, MAX, 0.0), &[&[1 << 28]], &[2]), "too long"),
        ("padding of NaN", one(pad(1, 0, 0, f32::NAN), &[&[2]], &[3]), "non-finite"),
        ("groups of 0", one(conv(square(), 0), &[image, weight], &[1, 2, 2, 2]), "groups"),
        ("groups that do not divide", one(conv(square(), 3), &[image, weight], &[1, 2, 2, 2]), "groups"),
        ("groups that overflow", one(conv(square(), MAX), &[image, weight], &[1, 2, 2, 2]), "groups"),
        ("a stride of 0", one(conv(window(0, 1, 0, 0), 1), &[image, weight], &[1, 2, 2, 2]), "stride"),
        ("a dilation of 0", one(conv(window(1, 0, 0, 0), 1), &[image, weight], &[1, 2, 2, 2]), "dilation"),
        ("a greatest dilation", one(conv(window(1, MAX, 0, 0), 1), &[image, weight], &[1, 2, 2, 2]), "dilation"),
        ("a greatest padding", one(conv(window(1, 1, MAX, MAX), 1), &[image, weight], &[1, 2, 2, 2]), "padding"),
        (
            "a kernel larger than the image",
            one(conv(window(1, 2, 0, 0), 1), &[image, weight], &[1, 2, 1, 1]),
            "kernel is larger",
        ),
        ("a kernel of 0", one(pool(square(), 0, 1), &[image], &[1, 2, 4, 4]), "kernel"),
        ("a greatest kernel", one(pool(square(), 1, MAX), &[image], &[1, 2, 4, 4]), "kernel"),
        ("no window", one(conv(None, 1), &[image, weight], &[1, 2, 2, 2]), "no known operation"),
        (
            "half a window",
            one(
                conv(Some(proto::Window2d { height: None, width: axis(1, 1, 0, 0) }), 1),
                &[image, weight],
                &[1, 2, 2, 2],
            ),
            "no known operation",
        ),
        (
            "a gradient of an image that overflows",
            one(
                P::Conv2dGradInput(proto::Conv2dGradInput { window: square(), groups: MAX, height: MAX, width: MAX }),
                &[weight, image],
                &[1],
            ),
            "conv2d_grad_input",
        ),
        (
            "a gradient of a kernel of 0",
            one(
                P::Conv2dGradWeight(proto::Conv2dGradWeight {
                    window: square(),
                    groups: 1,
                    kernel_height: 0,
                    kernel_width: 0,
                }),
                &[image, image],
                &[1],
            ),
            "kernel",
        ),
        (
            "a gradient of an image of 0",
            one(
                P::SumPool2dGrad(proto::SumPool2dGrad {
                    window: square(),
                    kernel_height: 1,
                    kernel_width: 1,
                    height: 0,
                    width: 1,
                }),
                &[image],
                &[1],
            ),
            "a dimension",
        ),
        ("an unknown unary", one(P::Unary(17), &[&[2]], &[2]), "no known operation"),
        ("a unary of 0", one(P::Unary(0), &[&[2]], &[2]), "no known operation"),
        ("an unknown binary", one(P::Binary(-1), &[&[2], &[2]], &[2]), "no known operation"),
        ("an unknown cast", one(P::Cast(5), &[&[2]], &[2]), "no known operation"),
        (
            "an unknown reduction",
            one(P::Reduce(proto::Reduce { reduction: 5, axes: vec![0] }), &[&[2]], &[]),
            "no known operation",
        ),
        ("bits of floats", one(P::Binary(11), &[&[2], &[2]], &[2]), "and takes"),
        ("a concatenation of nothing", one(P::Concat(proto::Concat { axis: 0 }), &[], &[1]), "concat"),
        (
            "a concatenation of too many",
            one(P::Concat(proto::Concat { axis: 0 }), &[[1u32].as_slice(); MAX_CONCAT + 1], &[257]),
            "concat",
        ),
        (
            "a concatenation that overflows",
            one(P::Concat(proto::Concat { axis: 0 }), &[[1u32 << 28].as_slice(); 16], &[1]),
            "concat",
        ),
        (
            "an iota that overflows",
            one(P::Iota(proto::Iota { axis: 0, shape: vec![MAX; 4] }), &[], &[1]),
            "element count",
        ),
        (
            "a constant of a claimed size",
            one(P::Constant(proto::Constant { dtype: 1, shape: vec![1 << 28], data: vec![0; 4] }), &[], &[1 << 28]),
            "constant",
        ),
        (
            "a constant of a claimed size that overflows",
            one(P::Constant(proto::Constant { dtype: 1, shape: vec![MAX; 6], data: vec![] }), &[], &[1]),
            "element count",
        ),
        (
            "a constant that is too large",
            one(
                P::Constant(proto::Constant { dtype: 3, shape: vec![1 << 17], data: vec![0; 1 << 17] }),
                &[],
                &[1 << 17],
            ),
            "constant in bytes",
        ),
        (
            "a constant of NaN",
            one(
                P::Constant(proto::Constant { dtype: 1, shape: vec![1], data: f32::NAN.to_le_bytes().to_vec() }),
                &[],
                &[1],
            ),
            "non-finite",
        ),
        ("rows of a scalar", one(P::Softmax(proto::Softmax {}), &[&[]], &[]), "softmax"),
    ]
}

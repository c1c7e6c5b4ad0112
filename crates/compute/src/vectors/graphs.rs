//! Graphs of single operations. The order of the list is fixed: its first nine are also run on edge values.

use shoal_graph::{Axis2d, Binary, Graph, GraphBuilder, Literal, Op, Reduction, TensorType, Unary, ValueId, Window2d};

use super::layers;

/// Every graph with its name.
pub(super) fn all() -> Vec<(&'static str, Graph)> {
    vec![
        ("matmul_k1024", graph(|b| mat_mul(b, [37, 1024], [1024, 29], false, false))),
        ("matmul_trans_a_k1500", graph(|b| mat_mul(b, [1500, 5], [1500, 33], true, false))),
        ("matmul_trans_b_k2000", graph(|b| mat_mul(b, [6, 2000], [13, 2000], false, true))),
        ("conv2d_padded", graph(|b| conv(b, [3, 5, 9, 11], [7, 5, 3, 3], Window2d::square(1, 1), 1))),
        ("conv2d_strided_k1152", graph(|b| conv(b, [2, 128, 7, 7], [9, 128, 3, 3], Window2d::square(2, 2), 1))),
        ("max_pool2d_ties", graph(max_pool)),
        ("softmax_1000", graph(|b| unary(b, Op::Softmax, [4, 1000]))),
        ("softmax_cross_entropy", graph(cross_entropy)),
        ("relu_add_scale", graph(elementwise)),
        ("matmul_batched", graph(batched)),
        ("conv2d_depthwise", graph(|b| conv(b, [2, 9, 11, 10], [9, 1, 3, 3], Window2d::square(1, 1), 9))),
        ("conv2d_groups_dilated_strided", graph(|b| conv(b, [2, 6, 13, 12], [10, 3, 3, 2], CROOKED, 2))),
        ("elementwise_f32", graph(floats)),
        ("elementwise_i32", graph(integers)),
        ("reduce_all_axes", graph(reductions)),
        ("layer_norm_with_gradients", layers::layer_norm()),
        ("causal_attention_with_gradients", layers::attention()),
        ("adam_step", layers::adam_step()),
        ("transformer_training_step", layers::transformer_step()),
        ("conv_net_training_step", layers::conv_net_step()),
    ]
}

/// Steps, dilations and padding that differ on every side.
const CROOKED: Window2d = Window2d {
    height: Axis2d { stride: 2, dilation: 1, low: 0, high: 2 },
    width: Axis2d { stride: 1, dilation: 2, low: 1, high: 0 },
};

pub(super) fn graph(build: impl FnOnce(&mut GraphBuilder) -> ValueId) -> Graph {
    let mut builder = GraphBuilder::new();
    let value = build(&mut builder);
    builder.output("result", value);
    builder.finish().expect("a vector's graph is well-formed")
}

pub(super) fn input<const N: usize>(b: &mut GraphBuilder, name: &str, shape: [u32; N]) -> ValueId {
    b.input(name, TensorType::f32(shape)).expect("a vector's shapes are within the limits")
}

pub(super) fn apply(b: &mut GraphBuilder, op: Op, inputs: &[ValueId]) -> ValueId {
    b.apply(op, inputs).expect("a vector's shapes go together")
}

fn mat_mul(b: &mut GraphBuilder, a: [u32; 2], c: [u32; 2], trans_a: bool, trans_b: bool) -> ValueId {
    let (left, right) = (input(b, "a", a), input(b, "b", c));
    apply(b, Op::MatMul { trans_a, trans_b }, &[left, right])
}

/// A convolution and both its gradients, with its own result as dy, joined so that one output covers all.
fn conv(b: &mut GraphBuilder, x: [u32; 4], weight: [u32; 4], window: Window2d, groups: u32) -> ValueId {
    let (image, kernel) = (input(b, "x", x), input(b, "weight", weight));
    let y = apply(b, Op::Conv2d { window, groups }, &[image, kernel]);
    let dx = apply(b, Op::Conv2dGradInput { window, groups, height: x[2], width: x[3] }, &[kernel, y]);
    let op = Op::Conv2dGradWeight { window, groups, kernel_height: weight[2], kernel_width: weight[3] };
    let dweight = apply(b, op, &[dx, y]);
    b.output("dx", dx);
    b.output("dweight", dweight);
    y
}

fn unary(b: &mut GraphBuilder, op: Op, shape: [u32; 2]) -> ValueId {
    let x = input(b, "x", shape);
    apply(b, op, &[x])
}

fn max_pool(b: &mut GraphBuilder) -> ValueId {
    let (x, dy) = (input(b, "x", [2, 3, 7, 9]), input(b, "dy", [2, 3, 3, 4]));
    // Windows without a positive element are ties of four zeros; dy tells which of them won.
    let zeroed = apply(b, Op::Unary(Unary::Relu), &[x]);
    let axis = Axis2d { stride: 2, ..Axis2d::DENSE };
    let window = Window2d { height: axis, width: axis };
    let y = apply(b, Op::MaxPool2d { window, kernel_height: 2, kernel_width: 2 }, &[zeroed]);
    let dx = apply(b, Op::MaxPool2dGrad { window, kernel_height: 2, kernel_width: 2 }, &[zeroed, dy]);
    b.output("dx", dx);
    y
}

fn cross_entropy(b: &mut GraphBuilder) -> ValueId {
    let logits = input(b, "logits", [33, 21]);
    let labels = b.input("labels", TensorType::i32([33])).expect("a vector's shapes are within the limits");
    let factor = apply(b, Op::Constant(Literal::scalar(12.0)), &[]);
    let sharp = apply(b, Op::Binary(Binary::Mul), &[logits, factor]);
    let loss = apply(b, Op::SoftmaxCrossEntropy, &[sharp, labels]);
    let gradient = apply(b, Op::SoftmaxCrossEntropyGrad, &[sharp, labels, loss]);
    b.output("gradient", gradient);
    loss
}

fn elementwise(b: &mut GraphBuilder) -> ValueId {
    let (x, z, bias) = (input(b, "x", [5, 77]), input(b, "z", [5, 77]), input(b, "bias", [77]));
    let factor = apply(b, Op::Constant(Literal::scalar(0.333)), &[]);
    let scaled = apply(b, Op::Binary(Binary::Mul), &[x, factor]);
    let sum = apply(b, Op::Binary(Binary::Add), &[scaled, z]);
    let biased = apply(b, Op::Binary(Binary::Add), &[sum, bias]);
    let zero = apply(b, Op::Constant(Literal::scalar(0.0)), &[]);
    let is_positive = apply(b, Op::Binary(Binary::Less), &[zero, biased]);
    let dx = apply(b, Op::Where, &[is_positive, z, zero]);
    let channels = apply(b, Op::Reduce { reduction: Reduction::Sum, axes: vec![0] }, &[dx]);
    b.output("channels", channels);
    apply(b, Op::Unary(Unary::Relu), &[biased])
}

/// All four layouts.
fn batched(b: &mut GraphBuilder) -> ValueId {
    let mut made = Vec::new();
    for (name, trans_a, trans_b) in [("nn", false, false), ("tn", true, false), ("nt", false, true), ("tt", true, true)]
    {
        let left = input(b, &format!("a_{name}"), if trans_a { [3, 2, 70, 11] } else { [3, 2, 11, 70] });
        let right = input(b, &format!("b_{name}"), if trans_b { [3, 2, 19, 70] } else { [3, 2, 70, 19] });
        made.push(apply(b, Op::MatMul { trans_a, trans_b }, &[left, right]));
        b.output(name, made[made.len() - 1]);
    }
    apply(b, Op::Concat { axis: 1 }, &made)
}

/// Functions of one and two floats, broadcast, without a NaN: its bits belong to the machine.
fn floats(b: &mut GraphBuilder) -> ValueId {
    let (x, y) = (input(b, "x", [5, 1, 77]), input(b, "y", [6, 77]));
    let factor = apply(b, Op::Constant(Literal::scalar(40.0)), &[]);
    let wide = apply(b, Op::Binary(Binary::Mul), &[x, factor]);
    let size = apply(b, Op::Unary(Unary::Abs), &[wide]);
    let least = apply(b, Op::Constant(Literal::scalar(1e-3)), &[]);
    let above_zero = apply(b, Op::Binary(Binary::Max), &[size, least]);
    for unary in [Unary::Neg, Unary::Sign, Unary::Floor, Unary::Ceil, Unary::Round, Unary::Exp, Unary::Relu] {
        let made = apply(b, Op::Unary(unary), &[wide]);
        b.output(unary.name(), made);
    }
    for unary in [Unary::Sqrt, Unary::Reciprocal, Unary::Log] {
        let made = apply(b, Op::Unary(unary), &[above_zero]);
        b.output(unary.name(), made);
    }
    for binary in [Binary::Sub, Binary::Div, Binary::Max, Binary::Min, Binary::Less, Binary::LessEqual, Binary::Equal] {
        let made = apply(b, Op::Binary(binary), &[y, above_zero]);
        b.output(binary.name(), made);
    }
    apply(b, Op::Cast { to: shoal_graph::DType::I32 }, &[wide])
}

/// Functions of integers, with wrapping and division by zero.
fn integers(b: &mut GraphBuilder) -> ValueId {
    let integer = |b: &mut GraphBuilder, name: &str, shape: [u32; 2]| {
        b.input(name, TensorType::i32(shape)).expect("a vector's shapes are within the limits")
    };
    let (x, y) = (integer(b, "x", [9, 1]), integer(b, "y", [1, 35]));
    let ten = apply(b, Op::Constant(Literal::integer(10)), &[]);
    let large = apply(b, Op::Constant(Literal::integer(i32::MAX / 7)), &[]);
    let centred = apply(b, Op::Binary(Binary::Sub), &[y, ten]);
    let wide = apply(b, Op::Binary(Binary::Mul), &[x, large]);
    for unary in [Unary::Neg, Unary::Abs, Unary::Sign] {
        let made = apply(b, Op::Unary(unary), &[centred]);
        b.output(unary.name(), made);
    }
    for binary in Binary::ALL.into_iter().filter(|binary| *binary != Binary::Pow) {
        let made = apply(b, Op::Binary(binary), &[wide, centred]);
        b.output(binary.name(), made);
    }
    apply(b, Op::Cast { to: shoal_graph::DType::F32 }, &[wide])
}

/// Every reduction over every choice of axes.
fn reductions(b: &mut GraphBuilder) -> ValueId {
    let x = input(b, "x", [3, 4, 5, 37]);
    let mut last = x;
    for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min] {
        for choice in 1..16u32 {
            let axes: Vec<u32> = (0..4).filter(|axis| choice >> axis & 1 == 1).collect();
            let op = Op::Reduce { reduction, axes };
            let name = format!("{}_{choice}", op.name());
            last = apply(b, op, &[x]);
            b.output(name, last);
        }
    }
    last
}

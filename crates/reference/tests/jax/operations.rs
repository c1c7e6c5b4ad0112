//! The cases of `make_vectors.py` that are one operation or one layer.

use shoal_graph::{Axis2d, Binary, Op, Reduction, Unary, Window2d};

use crate::common::{Case, Input, Range, below, case, f32, f32_in, one};

fn between(low: f64, high: f64, shape: &[u32]) -> Input {
    f32_in(shape, Range::Between(low, high))
}

fn distinct(shape: &[u32]) -> Input {
    f32_in(shape, Range::Distinct)
}

pub(crate) fn cases() -> Vec<(String, Case)> {
    let mut cases = elementwise();
    let named = movements().into_iter().chain(products()).chain(windows_and_rows()).chain(layers());
    cases.extend(named.map(|(name, case)| (name.to_owned(), case)));
    cases
}

fn elementwise() -> Vec<(String, Case)> {
    let unary = Unary::ALL.map(|unary| {
        let input = match unary {
            Unary::Abs | Unary::Sign => between(0.2, 2.0, &[2, 5]),
            Unary::Floor | Unary::Ceil => between(1.1, 1.9, &[2, 5]),
            Unary::Round => between(1.1, 1.4, &[2, 5]),
            Unary::Sqrt | Unary::Log => between(0.5, 3.0, &[2, 5]),
            Unary::Reciprocal => between(-3.0, -0.7, &[2, 5]),
            Unary::Relu => f32_in(&[2, 5], Range::AwayFromZero),
            _ => between(-2.0, 2.0, &[2, 5]),
        };
        (unary.name().to_owned(), one(Op::Unary(unary), &[input]))
    });
    let binary = Binary::ALL.into_iter().filter(|binary| binary.takes(shoal_graph::DType::F32)).map(|binary| {
        let inputs = [between(0.3, 2.0, &[3, 1, 4]), between(0.3, 2.0, &[2, 1])];
        (binary.name().to_owned(), one(Op::Binary(binary), &inputs))
    });
    unary.into_iter().chain(binary).collect()
}

fn movements() -> Vec<(&'static str, Case)> {
    let pad = Op::Pad { low: vec![1, 0], high: vec![0, 2], interior: vec![2, 1], value: 0.3 };
    let slice = Op::Slice { starts: vec![1, 5], steps: vec![2, -2], shape: vec![3, 3] };
    vec![
        ("where", one(Op::Where, &[below(&[3, 1], 2), f32(&[4]), f32(&[2, 1, 4])])),
        ("reshape", one(Op::Reshape { shape: vec![3, 4] }, &[f32(&[2, 6])])),
        ("transpose", one(Op::Transpose { axes: vec![2, 0, 1] }, &[f32(&[2, 3, 4])])),
        ("broadcast", one(Op::Broadcast { shape: vec![2, 3, 4] }, &[f32(&[3, 1])])),
        ("slice", one(slice, &[f32(&[6, 7])])),
        ("pad", one(pad, &[f32(&[2, 3])])),
        ("concat", one(Op::Concat { axis: 1 }, &[f32(&[2, 1, 2]), f32(&[2, 3, 2]), f32(&[2, 2, 2])])),
        ("gather", one(Op::Gather { axis: 1 }, &[f32(&[2, 5, 3]), below(&[2, 4], 5)])),
        ("scatter_add", one(Op::ScatterAdd { axis: 1, size: 5 }, &[f32(&[2, 2, 4, 3]), below(&[2, 4], 5)])),
    ]
}

fn products() -> Vec<(&'static str, Case)> {
    let product = |trans_a, trans_b| {
        let a: &[u32] = if trans_a { &[2, 5, 3] } else { &[2, 3, 5] };
        let b: &[u32] = if trans_b { &[2, 4, 5] } else { &[2, 5, 4] };
        one(Op::MatMul { trans_a, trans_b }, &[f32(a), f32(b)])
    };
    let height = Axis2d { stride: 2, dilation: 1, low: 1, high: 2 };
    let width = Axis2d { stride: 1, dilation: 2, low: 0, high: 1 };
    let (window, groups) = (Window2d { height, width }, 2);
    let (x, weight) = (f32(&[2, 4, 6, 5]), f32(&[6, 2, 3, 2]));
    let [oh, ow] = window.output([6, 5], [3, 2]).unwrap();
    let dy = f32(&[2, 6, oh, ow]);
    let grad_input = Op::Conv2dGradInput { window, groups, height: 6, width: 5 };
    let grad_weight = Op::Conv2dGradWeight { window, groups, kernel_height: 3, kernel_width: 2 };
    vec![
        ("mat_mul_00", product(false, false)),
        ("mat_mul_01", product(false, true)),
        ("mat_mul_10", product(true, false)),
        ("mat_mul_11", product(true, true)),
        ("conv2d", one(Op::Conv2d { window, groups }, &[x.clone(), weight.clone()])),
        ("conv2d_grad_input", one(grad_input, &[weight, dy.clone()])),
        ("conv2d_grad_weight", one(grad_weight, &[x, dy])),
    ]
}

fn windows_and_rows() -> Vec<(&'static str, Case)> {
    let height = Axis2d { stride: 2, dilation: 1, low: 1, high: 0 };
    let width = Axis2d { stride: 1, dilation: 1, low: 0, high: 1 };
    let window = Window2d { height, width };
    let (kernel_height, kernel_width) = (3, 2);
    let [oh, ow] = window.output([6, 5], [3, 2]).unwrap();
    let sum_grad = Op::SumPool2dGrad { window, kernel_height, kernel_width, height: 6, width: 5 };
    let reduce = |reduction, input| one(Op::Reduce { reduction, axes: vec![0, 2] }, &[input]);
    let shape = [2, 3, 4];
    vec![
        ("max_pool2d", one(Op::MaxPool2d { window, kernel_height, kernel_width }, &[distinct(&[2, 2, 6, 5])])),
        ("sum_pool2d", one(Op::SumPool2d { window, kernel_height, kernel_width }, &[f32(&[2, 2, 6, 5])])),
        ("sum_pool2d_grad", one(sum_grad, &[f32(&[2, 2, oh, ow])])),
        ("reduce_sum", reduce(Reduction::Sum, f32(&shape))),
        ("reduce_product", reduce(Reduction::Product, f32_in(&shape, Range::AwayFromZero))),
        ("reduce_max", reduce(Reduction::Max, distinct(&shape))),
        ("reduce_min", reduce(Reduction::Min, distinct(&shape))),
        ("softmax", one(Op::Softmax, &[between(-3.0, 3.0, &[2, 3, 5])])),
        ("softmax_cross_entropy", one(Op::SoftmaxCrossEntropy, &[between(-3.0, 3.0, &[4, 5]), below(&[4], 5)])),
    ]
}

fn layers() -> Vec<(&'static str, Case)> {
    let x = [between(-2.0, 2.0, &[2, 5])];
    let keys = f32(&[2, 2, 5, 4]);
    let heads = [f32(&[2, 2, 3, 4]), keys.clone(), keys];
    vec![
        ("gelu", case(&x, |b, v| b.gelu(v[0]))),
        ("gelu_tanh", case(&x, |b, v| b.gelu_tanh(v[0]))),
        ("silu", case(&x, |b, v| b.silu(v[0]))),
        ("softplus", case(&x, |b, v| b.softplus(v[0]))),
        ("log_softmax", case(&[distinct(&[3, 4])], |b, v| b.log_softmax(v[0]))),
        ("layer_norm", case(&[f32(&[3, 5]), f32(&[5]), f32(&[5])], |b, v| b.layer_norm(v[0], v[1], Some(v[2]), 1e-5))),
        ("attention", case(&heads, |b, v| b.attention(v[0], v[1], v[2], 0.5, true))),
        ("rotary", case(&[f32(&[2, 3, 4]), f32(&[3, 2]), f32(&[3, 2])], |b, v| b.rotary(v[0], v[1], v[2]))),
    ]
}

//! What a run costs is counted from the shapes alone, and checked here against counts done by hand.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use shoal_graph::{Axis2d, Graph, GraphBuilder, Op, Reduction, TensorType, Unary, Window2d, programs};
use shoal_wire::job::{LayerSpec, ModelSpec};

fn one_op(op: Op, shapes: &[&[u32]]) -> Graph {
    let mut b = GraphBuilder::new();
    let inputs: Vec<_> = shapes
        .iter()
        .zip(["a", "b", "c"])
        .map(|(shape, name)| b.input(name, TensorType::f32(*shape)).unwrap())
        .collect();
    let y = b.apply(op, &inputs).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

#[test]
fn products_count_two_operations_a_step() {
    let product = one_op(Op::MatMul { trans_a: true, trans_b: false }, &[&[7, 3], &[7, 5]]);
    assert_eq!(product.reference_ops(), 2 * 3 * 5 * 7);
    let (window, groups) = (Window2d::square(1, 1), 1);
    let forward = one_op(Op::Conv2d { window, groups }, &[&[2, 3, 8, 8], &[4, 3, 3, 3]]);
    let steps = 2 * 4 * 64 * 27;
    assert_eq!(forward.reference_ops(), 2 * steps);
    let grad_input =
        one_op(Op::Conv2dGradInput { window, groups, height: 8, width: 8 }, &[&[4, 3, 3, 3], &[2, 4, 8, 8]]);
    assert_eq!(grad_input.reference_ops(), 2 * steps);
    let op = Op::Conv2dGradWeight { window, groups, kernel_height: 3, kernel_width: 3 };
    let grad_weight = one_op(op, &[&[2, 3, 8, 8], &[2, 4, 8, 8]]);
    assert_eq!(grad_weight.reference_ops(), 2 * steps);
    // Three groups see a third of the channels each.
    let grouped = one_op(Op::Conv2d { window, groups: 3 }, &[&[2, 3, 8, 8], &[6, 1, 3, 3]]);
    assert_eq!(grouped.reference_ops(), 2 * 2 * 6 * 64 * 9);
    let batched = one_op(Op::MatMul { trans_a: false, trans_b: true }, &[&[4, 3, 7], &[4, 5, 7]]);
    assert_eq!(batched.reference_ops(), 2 * 4 * 3 * 5 * 7);
}

#[test]
fn memory_bound_operations_count_their_elements() {
    assert_eq!(one_op(Op::Unary(Unary::Relu), &[&[6, 7]]).reference_ops(), 42);
    assert_eq!(
        one_op(Op::MaxPool2d { window: Window2d::square(2, 0), kernel_height: 2, kernel_width: 2 }, &[&[1, 1, 8, 8]])
            .reference_ops(),
        64
    );
    assert_eq!(one_op(Op::Unary(Unary::Erf), &[&[6, 7]]).reference_ops(), 42 * 16);
    let reduce = Op::Reduce { reduction: Reduction::Sum, axes: vec![0] };
    assert_eq!(one_op(reduce, &[&[6, 7]]).reference_ops(), 42);
    assert_eq!(one_op(Op::Broadcast { shape: vec![6, 7] }, &[&[7]]).reference_ops(), 42);
    assert_eq!(one_op(Op::Softmax, &[&[6, 7]]).reference_ops(), 42 * 16);
    assert_eq!(one_op(Op::Reshape { shape: vec![42] }, &[&[6, 7]]).reference_ops(), 0);
}

/// Padding and steps that push windows apart make planes that are far larger than what is multiplied.
#[test]
fn planes_that_are_larger_than_the_products_are_what_a_convolution_counts() {
    let axis = Axis2d { stride: 4096, dilation: 1, low: 4096, high: 4096 };
    let window = Window2d { height: axis, width: axis };
    let channels = 5 * 7;
    let least = channels * 8193 * 8193;
    let forward = one_op(Op::Conv2d { window, groups: 1 }, &[&[7, 5, 1, 1], &[1, 5, 1, 1]]);
    assert!(forward.reference_ops() > least, "{}", forward.reference_ops());
    let op = Op::Conv2dGradWeight { window, groups: 1, kernel_height: 1, kernel_width: 1 };
    let grad_weight = one_op(op, &[&[7, 5, 1, 1], &[7, 1, 3, 3]]);
    assert!(grad_weight.reference_ops() > least, "{}", grad_weight.reference_ops());
    let dilated =
        Window2d { height: Axis2d { dilation: 4096, stride: 1, ..axis }, width: Axis2d { dilation: 4096, ..axis } };
    let op = Op::Conv2dGradInput { window: dilated, groups: 1, height: 1, width: 1 };
    let [oh, ow] = dilated.output([1, 1], [2, 2]).unwrap();
    let grad_input = one_op(op, &[&[2, 1, 2, 2], &[3, 2, oh, ow]]);
    assert!(grad_input.reference_ops() > 6 * 4096 * 4096, "{}", grad_input.reference_ops());
}

#[test]
fn peak_memory_counts_live_values_and_scratch() {
    // x and y of 42 elements.
    assert_eq!(one_op(Op::Unary(Unary::Relu), &[&[6, 7]]).peak_memory_bytes(), 2 * 42 * 4);
    // x, weight, y and the unfolded image of one sample.
    let conv = one_op(Op::Conv2d { window: Window2d::square(1, 1), groups: 1 }, &[&[2, 3, 8, 8], &[4, 3, 3, 3]]);
    assert_eq!(conv.peak_memory_bytes(), 4 * (384 + 108 + 512 + 27 * 64));
    // Padding and steps that push windows apart: planes are held with them, though image and result are tiny.
    let axis = Axis2d { stride: 4096, dilation: 1, low: 4096, high: 4096 };
    let window = Window2d { height: axis, width: axis };
    let far = one_op(Op::Conv2d { window, groups: 1 }, &[&[1, 1, 1, 1], &[1, 1, 1, 1]]);
    assert!(far.peak_memory_bytes() > 4 * 8193 * 8193, "{}", far.peak_memory_bytes());
    let op = Op::Conv2dGradWeight { window, groups: 1, kernel_height: 1, kernel_width: 1 };
    let far = one_op(op, &[&[1, 5, 1, 1], &[1, 1, 3, 3]]);
    assert!(far.peak_memory_bytes() > 5 * 4 * 8193 * 8193, "{}", far.peak_memory_bytes());
    // Planes of 16 channels of a depthwise convolution, each with its weights, a line of results and a bias.
    let depthwise =
        one_op(Op::Conv2d { window: Window2d::square(1, 1), groups: 20 }, &[&[1, 20, 8, 8], &[20, 1, 3, 3]]);
    let planes = 16 * ((8 + 3) * (8 + 3) + 9 + 8 + 1) + 2 * 9;
    assert_eq!(depthwise.peak_memory_bytes(), 4 * (20 * 64 + 20 * 9 + 20 * 64 + planes));
    // A chain frees what is read for the last time: never more than two at once.
    let mut b = GraphBuilder::new();
    let mut x = b.input("x", TensorType::f32([100])).unwrap();
    for _ in 0..10 {
        x = b.apply(Op::Unary(Unary::Relu), &[x]).unwrap();
    }
    b.output("y", x);
    assert_eq!(b.finish().unwrap().peak_memory_bytes(), 800);
}

fn model() -> ModelSpec {
    ModelSpec {
        input: vec![1, 8, 8],
        layers: vec![
            LayerSpec::Conv2d { out_channels: 8, kernel: 3, stride: 1, padding: 1 },
            LayerSpec::Relu,
            LayerSpec::MaxPool2d { size: 2 },
            LayerSpec::Flatten,
            LayerSpec::Dense { units: 10 },
        ],
    }
}

#[test]
fn parameters_are_named_by_layer() {
    let parameters = programs::parameters(&model()).unwrap();
    let described: Vec<_> = parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.fan_in)).collect();
    let expected: [(&str, &[u32], u32); 4] = [
        ("layer0.weight", &[8, 1, 3, 3], 9),
        ("layer0.bias", &[8], 0),
        ("layer4.weight", &[10, 128], 128),
        ("layer4.bias", &[10], 0),
    ];
    assert_eq!(described, expected);
}

#[test]
fn programs_have_the_documented_inputs_and_outputs() {
    let names = |list: &[(String, shoal_graph::ValueId)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let step = programs::training_step(&model(), 4).unwrap();
    assert_eq!(step.inputs().len(), 4 + 4 + 4);
    assert_eq!(step.outputs().len(), 4 + 4 + 1);
    assert!(names(step.outputs()).contains(&"velocity.layer4.bias".to_owned()));
    let gradient = programs::gradient(&model(), 4).unwrap();
    let expected = ["layer0.weight", "layer0.bias", "layer4.weight", "layer4.bias", "loss"];
    assert_eq!(names(gradient.outputs()), expected);
    let inference = programs::inference(&model(), 4).unwrap();
    assert_eq!(names(inference.outputs()), ["logits"]);
    assert_eq!(inference.value_type(inference.outputs()[0].1).shape, [4, 10]);
    // The gradient of the first layer's input is not computed: nothing needs it.
    assert!(!gradient.nodes().iter().any(|node| matches!(node.op, Op::Conv2dGradInput { .. })));
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    let mut bad = model();
    bad.layers.push(LayerSpec::MaxPool2d { size: 2 });
    let error = programs::inference(&bad, 4).unwrap_err().to_string();
    assert!(error.contains("layer 5 (max_pool2d)") && error.contains("[10]"), "{error}");
    let mut bad = model();
    bad.layers[0] = LayerSpec::Conv2d { out_channels: 1, kernel: 11, stride: 1, padding: 1 };
    assert!(programs::inference(&bad, 4).unwrap_err().to_string().contains("kernel is larger"));
}

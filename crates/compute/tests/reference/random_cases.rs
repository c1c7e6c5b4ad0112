//! Every operation, gradients and all, on shapes and attributes drawn at random.

use shoal_graph::{ConvGeometry, Graph, GraphBuilder, GraphError, Op, TensorType, ValueId};

use super::Numbers;

/// One operation as a graph whose output is named `made`.
pub struct RandomCase {
    pub op: Op,
    pub shapes: Vec<Vec<u32>>,
    pub graph: Graph,
}

/// The cases among `count` that shape inference lets through.
pub fn random_cases(count: u64) -> impl Iterator<Item = RandomCase> {
    let mut numbers = Numbers(17);
    (0..count).filter_map(move |case| {
        let mut draw =
            |least: u32, most: u32| least + ((numbers.next() + 1.0) * 0.5 * (most - least + 1) as f32) as u32;
        let geometry = ConvGeometry { stride: draw(1, 3), padding: draw(0, 3) };
        let (n, c, h, w) = (draw(1, 3), draw(1, 4), draw(1, 9), draw(1, 9));
        let (o, kernel_height, kernel_width, size) = (draw(1, 6), draw(1, 4), draw(1, 4), draw(1, 4));
        let (oh, ow) = (geometry.output(h, kernel_height).unwrap_or(1), geometry.output(w, kernel_width).unwrap_or(1));
        let (image, weight, out) = (vec![n, c, h, w], vec![o, c, kernel_height, kernel_width], vec![n, o, oh, ow]);
        let (rows, long) = (vec![n, draw(1, 40)], vec![n * c, draw(1, 70)]);
        let scalar: Vec<u32> = vec![];
        let (op, shapes) = match case % 18 {
            0 => (Op::MatMul { trans_a: true, trans_b: false }, vec![vec![h, n], vec![h, w]]),
            1 => (Op::MatMul { trans_a: false, trans_b: true }, vec![long.clone(), vec![w, long[1]]]),
            2 => (Op::AddBias, vec![image, vec![c]]),
            3 => (Op::Conv2d(geometry), vec![image, weight]),
            4 => (Op::Conv2dGradInput { geometry, height: h, width: w }, vec![weight, out]),
            5 => (Op::Conv2dGradWeight { geometry, kernel_height, kernel_width }, vec![image, out]),
            6 => (Op::Relu, vec![image]),
            7 => (Op::ReluGrad, vec![image.clone(), image]),
            8 => (Op::MaxPool2d { size }, vec![image]),
            9 => (Op::MaxPool2dGrad { size }, vec![image, vec![n, c, h / size, w / size]]),
            10 => (Op::Reshape { shape: vec![h, n, w, c] }, vec![image]),
            11 => (Op::SumChannels, vec![image]),
            12 => (Op::Softmax, vec![long]),
            13 => (Op::SoftmaxGrad, vec![long.clone(), long]),
            14 => (Op::SoftmaxCrossEntropyGrad, vec![rows, vec![n], scalar]),
            15 => (Op::Add, vec![image.clone(), image]),
            16 => (Op::Scale { factor: -0.3 }, vec![long]),
            _ => (Op::SgdMomentum, vec![rows.clone(), rows.clone(), rows, scalar.clone(), scalar]),
        };
        let mut b = GraphBuilder::new();
        let labels = matches!(op, Op::SoftmaxCrossEntropyGrad);
        let inputs: Result<Vec<ValueId>, GraphError> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let tensor_type =
                    if labels && i == 1 { TensorType::i32(shape.clone()) } else { TensorType::f32(shape.clone()) };
                b.input(format!("input{i}"), tensor_type)
            })
            .collect();
        let made = inputs.and_then(|inputs| b.apply(op.clone(), &inputs)).ok()?;
        b.output("made", made[0]);
        Some(RandomCase { graph: b.finish().unwrap(), op, shapes })
    })
}

//! The gradient graph of every operation, run in f64, meets central finite differences.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{Input, Range, Tally, below, case, f32, f32_in, one};
use shoal_graph::{
    Axis2d, Binary, DType, GraphBuilder, GraphError, Literal, Op, Reduction, TensorType, Unary, ValueId, Window2d,
    autodiff::gradients,
};
use shoal_reference::Numbers;

const CASES: u64 = 4;

/// A random shape of up to `rank` dimensions of 1 to 4.
fn shape(numbers: &mut Numbers, rank: u32) -> Vec<u32> {
    let rank = numbers.whole(0, rank);
    (0..rank).map(|_| numbers.whole(1, 4)).collect()
}

/// A shape that broadcasts to that one: some dimensions are 1, some are missing.
fn shrunk(numbers: &mut Numbers, shape: &[u32]) -> Vec<u32> {
    let missing = numbers.whole(0, shape.len() as u32) as usize;
    shape[missing..].iter().map(|dim| if numbers.real() < -0.2 { 1 } else { *dim }).collect()
}

#[test]
fn unary() {
    let mut tally = Tally::new();
    for unary in Unary::ALL {
        let range = match unary {
            Unary::Sqrt | Unary::Log => Range::Between(0.5, 3.0),
            Unary::Abs | Unary::Sign | Unary::Relu => Range::AwayFromZero,
            Unary::Reciprocal => Range::Between(-3.0, -0.7),
            // Between two whole numbers and their halves.
            Unary::Floor | Unary::Ceil | Unary::Round => Range::Between(1.1, 1.4),
            _ => Range::Between(-2.0, 2.0),
        };
        for seed in 0..CASES {
            let shape = shape(&mut Numbers(seed), 4);
            tally.check(unary.name(), &one(Op::Unary(unary), &[f32_in(&shape, range)]));
        }
    }
}

#[test]
fn binary_with_operands_that_broadcast() {
    let mut tally = Tally::new();
    for binary in Binary::ALL.into_iter().filter(|binary| binary.takes(DType::F32)) {
        for seed in 0..3 * CASES {
            let numbers = &mut Numbers(seed);
            let made = shape(numbers, 4);
            let (left, right) = (shrunk(numbers, &made), shrunk(numbers, &made));
            // Less than 1 against more than 1: no order changes within a step, whichever side is the greater.
            let (low, high) = (Range::Between(0.3, 0.9), Range::Between(1.1, 2.0));
            let (a, b) = if seed % 2 == 0 { (low, high) } else { (high, low) };
            tally.check(binary.name(), &one(Op::Binary(binary), &[f32_in(&left, a), f32_in(&right, b)]));
        }
    }
    // Both operands are one value.
    for binary in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        let x = f32_in(&[3, 2], Range::Between(0.5, 1.5));
        tally.check(binary.name(), &case(&[x], |b, x| b.binary(binary, x[0], x[0])));
    }
}

#[test]
fn selections() {
    let mut tally = Tally::new();
    for seed in 0..4 * CASES {
        let numbers = &mut Numbers(seed);
        let made = shape(numbers, 4);
        let [condition, a, b] = [0; 3].map(|_| shrunk(numbers, &made));
        tally.check("where", &one(Op::Where, &[below(&condition, 2), f32(&a), f32(&b)]));
    }
}

#[test]
fn casts() {
    let mut tally = Tally::new();
    tally.check("to f32", &one(Op::Cast { to: DType::F32 }, &[f32(&[2, 3])]));
    // A whole number has no slope: the gradient through it is zero, and so are the differences.
    for to in [DType::I32, DType::I8, DType::U8] {
        tally.check("to integers", &one(Op::Cast { to }, &[f32_in(&[2, 3], Range::Between(1.1, 1.9))]));
    }
    let doubled = case(&[f32_in(&[4], Range::Between(1.1, 1.9))], |b, x| {
        let whole = b.cast(x[0], DType::I32)?;
        let whole = b.cast(whole, DType::F32)?;
        b.mul(whole, x[0])
    });
    tally.check("beside an integer", &doubled);
}

#[test]
fn movements() {
    let mut tally = Tally::new();
    for seed in 0..4 * CASES {
        let numbers = &mut Numbers(seed);
        let x = shape(numbers, 4);
        let rank = x.len();
        let elements: u32 = x.iter().product();
        tally.check("reshape", &one(Op::Reshape { shape: vec![1, elements] }, &[f32(&x)]));
        let mut axes: Vec<u32> = (0..rank as u32).collect();
        for i in (1..rank).rev() {
            axes.swap(i, numbers.whole(0, i as u32) as usize);
        }
        tally.check("transpose", &one(Op::Transpose { axes }, &[f32(&x)]));
        let from = shrunk(numbers, &x);
        tally.check("broadcast", &one(Op::Broadcast { shape: x.clone() }, &[f32(&from)]));
        let mut draw = |most: u32| (0..rank).map(|_| numbers.whole(0, most)).collect::<Vec<_>>();
        let (low, high, interior) = (draw(2), draw(2), draw(2));
        tally.check("pad", &one(Op::Pad { low, high, interior, value: 0.25 }, &[f32(&x)]));
    }
    let lonely = Op::Pad { low: vec![1], high: vec![0], interior: vec![u32::MAX], value: 0.0 };
    tally.check("pad of one element", &one(lonely, &[f32(&[1])]));
}

#[test]
fn slices_forwards_and_backwards() {
    let mut tally = Tally::new();
    for seed in 0..8 * CASES {
        let numbers = &mut Numbers(seed);
        let rank = numbers.whole(1, 4) as usize;
        let x: Vec<u32> = (0..rank).map(|_| numbers.whole(1, 6)).collect();
        let (mut starts, mut steps, mut shape) = (vec![], vec![], vec![]);
        for dim in &x {
            let (start, step) = (numbers.whole(0, dim - 1), numbers.whole(1, 3));
            let is_backwards = numbers.real() < 0.0;
            let room = if is_backwards { start } else { dim - 1 - start };
            starts.push(start);
            steps.push(if is_backwards { -(step as i32) } else { step as i32 });
            shape.push(numbers.whole(1, room / step + 1));
        }
        tally.check(
            &format!("slice {starts:?} {steps:?} {shape:?} of {x:?}"),
            &one(Op::Slice { starts, steps, shape }, &[f32(&x)]),
        );
    }
    let far = Op::Slice { starts: vec![2], steps: vec![i32::MIN], shape: vec![1] };
    tally.check("slice of one element", &one(far, &[f32(&[4])]));
}

#[test]
fn concatenations_gathers_and_scatters() {
    let mut tally = Tally::new();
    for seed in 0..4 * CASES {
        let numbers = &mut Numbers(seed);
        let rank = numbers.whole(1, 4) as usize;
        let x: Vec<u32> = (0..rank).map(|_| numbers.whole(1, 4)).collect();
        let axis = numbers.whole(0, rank as u32 - 1);
        let parts: Vec<Input> = (0..numbers.whole(1, 4))
            .map(|_| {
                let mut part = x.clone();
                part[axis as usize] = numbers.whole(1, 3);
                f32(&part)
            })
            .collect();
        tally.check("concat", &one(Op::Concat { axis }, &parts));
        let chosen = shape(numbers, 2);
        let at = axis as usize;
        tally.check("gather", &one(Op::Gather { axis }, &[f32(&x), below(&chosen, x[at])]));
        let updates = [&x[..at], &chosen, &x[at + 1..]].concat();
        let size = numbers.whole(1, 5);
        tally.check("scatter_add", &one(Op::ScatterAdd { axis, size }, &[f32(&updates), below(&chosen, size)]));
    }
}

#[test]
fn reductions_over_every_set_of_axes() {
    let mut tally = Tally::new();
    for reduction in [Reduction::Sum, Reduction::Product, Reduction::Max, Reduction::Min] {
        let range = if reduction == Reduction::Product { Range::AwayFromZero } else { Range::Distinct };
        for rank in 1..=4u32 {
            for set in 1..1u32 << rank {
                let axes: Vec<u32> = (0..rank).filter(|axis| set >> axis & 1 == 1).collect();
                let x: Vec<u32> = [3, 2, 1, 2][..rank as usize].to_vec();
                tally.check("reduce", &one(Op::Reduce { reduction, axes }, &[f32_in(&x, range)]));
            }
        }
    }
}

#[test]
fn products() {
    let mut tally = Tally::new();
    for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
        for (seed, batch) in [&[][..], &[3], &[2, 2], &[1, 2]].into_iter().enumerate() {
            let numbers = &mut Numbers(seed as u64);
            let [m, k, n] = [0; 3].map(|_| numbers.whole(1, 5));
            let a = [batch, &if trans_a { [k, m] } else { [m, k] }].concat();
            let b = [batch, &if trans_b { [n, k] } else { [k, n] }].concat();
            tally.check("mat_mul", &one(Op::MatMul { trans_a, trans_b }, &[f32(&a), f32(&b)]));
        }
    }
}

/// A random window that lies over the image, with another padding on each side.
fn window(numbers: &mut Numbers, image: [u32; 2], kernel: [u32; 2]) -> Window2d {
    let mut axis = |image: u32, kernel: u32| loop {
        let axis = Axis2d {
            stride: numbers.whole(1, 3),
            dilation: numbers.whole(1, 2),
            low: numbers.whole(0, 2),
            high: numbers.whole(0, 2),
        };
        if axis.output(image, kernel).is_some() {
            return axis;
        }
    };
    Window2d { height: axis(image[0], kernel[0]), width: axis(image[1], kernel[1]) }
}

#[test]
fn convolutions_and_their_gradients() {
    let mut tally = Tally::new();
    for seed in 0..6 * CASES {
        let numbers = &mut Numbers(seed);
        let groups = numbers.whole(1, 3);
        let [n, c, o] = [0; 3].map(|_| numbers.whole(1, 2));
        let [height, width] = [0; 2].map(|_| numbers.whole(2, 5));
        let [kernel_height, kernel_width] = [0; 2].map(|_| numbers.whole(1, 3));
        let window = window(numbers, [height, width], [kernel_height, kernel_width]);
        let [oh, ow] = window.output([height, width], [kernel_height, kernel_width]).unwrap();
        let x = f32(&[n, c * groups, height, width]);
        let weight = f32(&[o * groups, c, kernel_height, kernel_width]);
        let dy = f32(&[n, o * groups, oh, ow]);
        tally.check("conv2d", &one(Op::Conv2d { window, groups }, &[x.clone(), weight.clone()]));
        let grad_input = Op::Conv2dGradInput { window, groups, height, width };
        tally.check("conv2d_grad_input", &one(grad_input, &[weight, dy.clone()]));
        let grad_weight = Op::Conv2dGradWeight { window, groups, kernel_height, kernel_width };
        tally.check("conv2d_grad_weight", &one(grad_weight, &[x, dy]));
    }
}

#[test]
fn pooling() {
    let mut tally = Tally::new();
    for seed in 0..6 * CASES {
        let numbers = &mut Numbers(seed);
        let [n, c] = [0; 2].map(|_| numbers.whole(1, 2));
        let [height, width] = [0; 2].map(|_| numbers.whole(3, 6));
        let [kernel_height, kernel_width] = [0; 2].map(|_| numbers.whole(2, 3));
        // Padding below a kernel's extent, so that no window lies in it wholly: its greatest would be −∞.
        let mut window = window(numbers, [height, width], [kernel_height, kernel_width]);
        window.height =
            Axis2d { dilation: 1, low: window.height.low.min(1), high: window.height.high.min(1), ..window.height };
        window.width =
            Axis2d { dilation: 1, low: window.width.low.min(1), high: window.width.high.min(1), ..window.width };
        let x = f32_in(&[n, c, height, width], Range::Distinct);
        let max_pool = Op::MaxPool2d { window, kernel_height, kernel_width };
        tally.check("max_pool2d", &one(max_pool, std::slice::from_ref(&x)));
        tally.check("sum_pool2d", &one(Op::SumPool2d { window, kernel_height, kernel_width }, &[x]));
        let [oh, ow] = window.output([height, width], [kernel_height, kernel_width]).unwrap();
        let grad = Op::SumPool2dGrad { window, kernel_height, kernel_width, height, width };
        tally.check("sum_pool2d_grad", &one(grad, &[f32(&[n, c, oh, ow])]));
    }
}

#[test]
fn rows() {
    let mut tally = Tally::new();
    for seed in 0..4 * CASES {
        let numbers = &mut Numbers(seed);
        let mut x = shape(numbers, 3);
        x.push(numbers.whole(1, 6));
        tally.check("softmax", &one(Op::Softmax, &[f32_in(&x, Range::Between(-3.0, 3.0))]));
        let (n, classes) = (numbers.whole(1, 5), numbers.whole(2, 6));
        let logits = f32_in(&[n, classes], Range::Between(-3.0, 3.0));
        tally.check("softmax_cross_entropy", &one(Op::SoftmaxCrossEntropy, &[logits, below(&[n], classes)]));
    }
}

#[test]
fn what_has_no_slope_has_no_gradient() {
    let mut tally = Tally::new();
    let arg_max = case(&[f32_in(&[3, 4], Range::Distinct)], |b, x| {
        let at = b.apply(Op::ArgMax { axis: 1 }, x)?;
        let at = b.cast(at, DType::F32)?;
        let sum = b.reduce(Reduction::Sum, x[0], &[1])?;
        let sum = b.reshape(sum, &[3])?;
        b.mul(at, sum)
    });
    tally.check("arg_max", &arg_max);
    let constant = case(&[f32(&[2, 3])], |b, x| {
        let literal = b.apply(Op::Constant(Literal::f32([3], &[1.0, -2.0, 0.5])), &[])?;
        let iota = b.apply(Op::Iota { axis: 0, shape: vec![2, 1] }, &[])?;
        let iota = b.cast(iota, DType::F32)?;
        let product = b.mul(x[0], literal)?;
        b.mul(product, iota)
    });
    tally.check("constant and iota", &constant);
}

#[test]
fn gradients_without_a_derivative_are_refused_by_name() {
    let window = Window2d::DENSE;
    let max_pool_grad = Op::MaxPool2dGrad { window, kernel_height: 1, kernel_width: 1 };
    let image = [1, 1, 2, 2];
    for (op, shapes) in [
        (max_pool_grad, vec![&image[..], &image]),
        (Op::SoftmaxGrad, vec![&image[..1], &image[..1]]),
        (Op::SoftmaxCrossEntropyGrad, vec![&image[..2], &image[..1], &[]]),
    ] {
        let mut b = GraphBuilder::new();
        let values: Vec<ValueId> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let is_label = op == Op::SoftmaxCrossEntropyGrad && i == 1;
                let dtype = if is_label { DType::I32 } else { DType::F32 };
                b.input(format!("in{i}"), TensorType::new(dtype, *shape)).unwrap()
            })
            .collect();
        let made = b.apply(op.clone(), &values).unwrap();
        let loss = b.mean_of_all(made).unwrap();
        let refused = gradients(&mut b, loss, &values[..1]).unwrap_err();
        assert_eq!(refused, GraphError::NotDifferentiable { op: op.name() });
    }
}

#[test]
fn powers_of_0_and_absolute_values_are_flat_where_jax_says_otherwise() {
    const ZEROS: Range = Range::Given(&[0.0, -0.0]);
    let gradient = |case: &common::Case| shoal_reference::run(&case.graph, &case.draw(1)).unwrap()["grad0"].clone();
    let power = one(Binary::Pow.op(), &[f32_in(&[2], ZEROS), f32_in(&[2], ZEROS)]);
    assert_eq!(gradient(&power), [0.0, 0.0]);
    assert_eq!(gradient(&one(Op::Unary(Unary::Abs), &[f32_in(&[2], ZEROS)])), [0.0, 0.0]);
}

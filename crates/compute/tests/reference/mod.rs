//! An interpreter of graphs in f64 written from the definitions in `graph.proto`, sharing no code with the kernels: the
//! reference that kernels and derivatives are tested against.

#![allow(dead_code, unreachable_pub)] // each test file uses its part

pub mod graphs;
pub mod parity;
pub mod random_cases;

use std::collections::BTreeMap;

use shoal_compute::{Tensor, Tensors};
use shoal_graph::{ConvGeometry, DType, Graph, Op, TensorType};

/// Numbers drawn by a linear congruence, uniform in [−1, 1).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32) / 8_388_608.0 - 1.0
    }
}

/// Random tensors for a graph's inputs; labels are below `classes`.
pub fn random_inputs(graph: &Graph, seed: u64, classes: i32) -> Tensors {
    let mut numbers = Numbers(seed);
    let inputs = graph.inputs().iter().map(|(name, value)| {
        let TensorType { dtype, shape } = graph.value_type(*value).clone();
        let len: usize = shape.iter().map(|dim| *dim as usize).product();
        let tensor = match dtype {
            DType::F32 => Tensor::f32(shape, (0..len).map(|_| numbers.next()).collect()),
            DType::I32 => {
                Tensor::i32(shape, (0..len).map(|_| ((numbers.next() + 1.0) * 0.5 * classes as f32) as i32).collect())
            }
        };
        (name.clone(), tensor)
    });
    inputs.collect()
}

/// f64 values by name; labels are whole numbers.
pub type Reals = BTreeMap<String, Vec<f64>>;

pub fn to_reals(tensors: &Tensors) -> Reals {
    let real = |tensor: &Tensor| match tensor.as_f32() {
        Some(data) => data.iter().map(|x| f64::from(*x)).collect(),
        None => tensor.as_i32().unwrap().iter().map(|x| f64::from(*x)).collect(),
    };
    tensors.iter().map(|(name, tensor)| (name.to_owned(), real(tensor))).collect()
}

/// Runs a graph in f64.
pub fn run(graph: &Graph, inputs: &Reals) -> Reals {
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); graph.types().len()];
    for (name, value) in graph.inputs() {
        values[value.index()] = inputs[name].clone();
    }
    for node in graph.nodes() {
        let operands: Vec<&[f64]> = node.inputs.iter().map(|value| values[value.index()].as_slice()).collect();
        let shapes: Vec<&[u32]> = node.inputs.iter().map(|value| graph.value_type(*value).shape.as_slice()).collect();
        let made = apply(&node.op, &operands, &shapes, &graph.value_type(node.outputs[0]).shape);
        for (value, made) in node.outputs.iter().zip(made) {
            values[value.index()] = made;
        }
    }
    graph.outputs().iter().map(|(name, value)| (name.clone(), values[value.index()].clone())).collect()
}

fn apply(op: &Op, x: &[&[f64]], shapes: &[&[u32]], out: &[u32]) -> Vec<Vec<f64>> {
    let len: usize = out.iter().map(|dim| *dim as usize).product();
    let dim = |i: usize, d: usize| shapes[i][d] as usize;
    let inner = |i: usize| shapes[i][2..].iter().product::<u32>() as usize;
    let mut y = vec![0.0; len];
    match op {
        Op::MatMul { trans_a, trans_b } => {
            let (m, n) = (out[0] as usize, out[1] as usize);
            let k = if *trans_a { dim(0, 0) } else { dim(0, 1) };
            for i in 0..m {
                for j in 0..n {
                    for p in 0..k {
                        let a = if *trans_a { x[0][p * m + i] } else { x[0][i * k + p] };
                        let b = if *trans_b { x[1][j * k + p] } else { x[1][p * n + j] };
                        y[i * n + j] += a * b;
                    }
                }
            }
        }
        Op::AddBias => {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[0][i] + x[1][i / inner(0) % dim(0, 1)];
            }
        }
        Op::Conv2d(g) => each_product(*g, shapes[0], shapes[1], out, |xi, wi, yi| y[yi] += x[0][xi] * x[1][wi]),
        Op::Conv2dGradInput { geometry, .. } => {
            each_product(*geometry, out, shapes[0], shapes[1], |xi, wi, yi| y[xi] += x[0][wi] * x[1][yi]);
        }
        Op::Conv2dGradWeight { geometry, .. } => {
            each_product(*geometry, shapes[0], out, shapes[1], |xi, wi, yi| y[wi] += x[0][xi] * x[1][yi]);
        }
        Op::Relu => y = x[0].iter().map(|x| x.max(0.0)).collect(),
        Op::ReluGrad => y = x[0].iter().zip(x[1]).map(|(x, dy)| if *x > 0.0 { *dy } else { 0.0 }).collect(),
        Op::MaxPool2d { size } => each_window(*size, shapes[0], |window, yi| {
            y[yi] = window.iter().map(|xi| x[0][*xi]).fold(f64::NEG_INFINITY, f64::max);
        }),
        Op::MaxPool2dGrad { size } => each_window(*size, shapes[0], |window, yi| {
            let best = window.iter().map(|xi| x[0][*xi]).fold(f64::NEG_INFINITY, f64::max);
            y[*window.iter().find(|xi| x[0][**xi] == best).unwrap()] = x[1][yi];
        }),
        Op::Reshape { .. } => y = x[0].to_vec(),
        Op::SumChannels => {
            for (i, x) in x[0].iter().enumerate() {
                y[i / inner(0) % dim(0, 1)] += x;
            }
        }
        Op::Softmax => y = softmax(x[0], dim(0, 1)),
        Op::SoftmaxGrad => {
            for ((y, s), dy) in y.chunks_mut(dim(0, 1)).zip(x[0].chunks(dim(0, 1))).zip(x[1].chunks(dim(0, 1))) {
                let total: f64 = s.iter().zip(dy).map(|(s, dy)| s * dy).sum();
                for ((y, s), dy) in y.iter_mut().zip(s).zip(dy) {
                    *y = s * (dy - total);
                }
            }
        }
        Op::SoftmaxCrossEntropy => {
            let p = softmax(x[0], dim(0, 1));
            let losses = x[1].iter().enumerate().map(|(row, label)| -p[row * dim(0, 1) + *label as usize].ln());
            y = vec![losses.sum::<f64>() / x[1].len() as f64];
        }
        Op::SoftmaxCrossEntropyGrad => {
            y = softmax(x[0], dim(0, 1));
            for (row, label) in x[1].iter().enumerate() {
                y[row * dim(0, 1) + *label as usize] -= 1.0;
            }
            y.iter_mut().for_each(|y| *y *= x[2][0] / x[1].len() as f64);
        }
        Op::Add => y = x[0].iter().zip(x[1]).map(|(a, b)| a + b).collect(),
        Op::Scale { factor } => y = x[0].iter().map(|x| x * f64::from(*factor)).collect(),
        Op::Constant { value, .. } => y.fill(f64::from(*value)),
        Op::SgdMomentum => {
            let v: Vec<f64> = x[1].iter().zip(x[2]).map(|(v, g)| x[4][0] * v + g).collect();
            let p = x[0].iter().zip(&v).map(|(p, v)| p - x[3][0] * v).collect();
            return vec![p, v];
        }
    }
    vec![y]
}

fn softmax(x: &[f64], width: usize) -> Vec<f64> {
    x.chunks(width)
        .flat_map(|row| {
            let total: f64 = row.iter().map(|x| x.exp()).sum();
            row.iter().map(move |x| x.exp() / total)
        })
        .collect()
}

/// Calls with the flat indices of (image element, weight, output element) of every product of a convolution.
fn each_product(
    g: ConvGeometry,
    image: &[u32],
    weight: &[u32],
    out: &[u32],
    mut call: impl FnMut(usize, usize, usize),
) {
    let at = |shape: &[u32], index: [u32; 4]| {
        index.iter().zip(shape).fold(0usize, |flat, (i, dim)| flat * *dim as usize + *i as usize)
    };
    for n in 0..image[0] {
        for (o, c) in (0..weight[0]).flat_map(|o| (0..weight[1]).map(move |c| (o, c))) {
            for (oy, ox) in (0..out[2]).flat_map(|y| (0..out[3]).map(move |x| (y, x))) {
                for (ky, kx) in (0..weight[2]).flat_map(|y| (0..weight[3]).map(move |x| (y, x))) {
                    let (iy, ix) = (oy * g.stride + ky, ox * g.stride + kx);
                    if iy < g.padding || ix < g.padding {
                        continue;
                    }
                    let (iy, ix) = (iy - g.padding, ix - g.padding);
                    if iy < image[2] && ix < image[3] {
                        call(at(image, [n, c, iy, ix]), at(weight, [o, c, ky, kx]), at(out, [n, o, oy, ox]));
                    }
                }
            }
        }
    }
}

/// Calls with the flat indices of a pooling window's elements, and of its result.
fn each_window(size: u32, image: &[u32], mut call: impl FnMut(&[usize], usize)) {
    let (h, w) = (image[2], image[3]);
    for plane in 0..image[0] * image[1] {
        for (oy, ox) in (0..h / size).flat_map(|y| (0..w / size).map(move |x| (y, x))) {
            let window: Vec<usize> = (0..size)
                .flat_map(|y| (0..size).map(move |x| (y, x)))
                .map(|(y, x)| (plane * h * w + (oy * size + y) * w + ox * size + x) as usize)
                .collect();
            call(&window, (plane * (h / size) * (w / size) + oy * (w / size) + ox) as usize);
        }
    }
}

/// ‖got − reference‖₂ / ‖reference‖₂ (absolute where the reference is zero).
pub fn distance(got: &[f64], reference: &[f64]) -> f64 {
    assert_eq!(got.len(), reference.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(reference).map(|(a, b)| a - b));
    let scale = norm(&mut reference.iter().copied());
    if scale == 0.0 { difference } else { difference / scale }
}

//! Layers and losses meet formulas written down directly, and their gradients meet finite differences.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;

use common::{Case, Input, Range, Tally, below, case, f32, f32_in, norm};
use shoal_graph::{GraphBuilder, TensorType, ValueId, Window2d};
use shoal_reference::{Numbers, Reals, run};

/// What the function makes of the case's inputs, with a formula over the same numbers.
fn meets(
    what: &str,
    inputs: &[Input],
    function: impl Fn(&mut GraphBuilder, &[ValueId]) -> Result<ValueId, shoal_graph::GraphError>,
    formula: impl Fn(&[&[f64]]) -> Vec<f64>,
) {
    // Constants of layers are f32: a formula with the same constant in f64 differs in the eighth digit.
    const ROUNDED_CONSTANTS: f64 = 1e-7;
    let mut b = GraphBuilder::new();
    let values: Vec<ValueId> = inputs
        .iter()
        .enumerate()
        .map(|(i, input)| b.input(format!("in{i}"), input.tensor_type.clone()).unwrap())
        .collect();
    let y = function(&mut b, &values).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    for seed in 0..4 {
        let mut numbers = Numbers(seed);
        let drawn: Vec<Vec<f64>> = inputs.iter().map(|input| input.draw(&mut numbers)).collect();
        let reals: Reals = drawn.iter().enumerate().map(|(i, data)| (format!("in{i}"), data.clone())).collect();
        let got = &run(&graph, &reals).unwrap()["y"];
        let expected = formula(&drawn.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(got.len(), expected.len(), "{what}");
        let distance = norm(got.iter().zip(&expected).map(|(a, b)| a - b));
        let deviation = distance / norm(expected.iter().copied());
        assert!(deviation <= ROUNDED_CONSTANTS, "{what}, numbers {seed}: {deviation}");
    }
    let mut tally = Tally::new();
    for _ in 0..4 {
        tally.check(what, &case(inputs, &function));
    }
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn standardised(x: &[f64], epsilon: f64) -> Vec<f64> {
    let centre = mean(x);
    let variance = mean(&x.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>());
    x.iter().map(|x| (x - centre) / (variance + epsilon).sqrt()).collect()
}

#[test]
fn dense() {
    let formula = |x: &[&[f64]]| {
        let at =
            |row: usize, unit: usize| (0..3).map(|i| x[0][row * 3 + i] * x[1][unit * 3 + i]).sum::<f64>() + x[2][unit];
        (0..10).flat_map(|row| (0..4).map(move |unit| (row, unit))).map(|(row, unit)| at(row, unit)).collect()
    };
    let (weight, bias) = (f32(&[4, 3]), f32(&[4]));
    let inputs = [f32(&[2, 5, 3]), weight.clone(), bias.clone()];
    meets("dense, batched", &inputs, |b, v| b.dense(v[0], v[1], Some(v[2])), formula);
    meets("dense", &[f32(&[10, 3]), weight, bias], |b, v| b.dense(v[0], v[1], Some(v[2])), formula);
}

#[test]
fn convolution_with_bias() {
    let inputs = [f32(&[2, 2, 3, 3]), f32(&[2, 2, 2, 2]), f32(&[2])];
    let formula = |x: &[&[f64]]| {
        let mut y = Vec::new();
        for (n, o, row, column) in
            (0..2).flat_map(|n| (0..2).flat_map(move |o| (0..4).map(move |at| (n, o, at / 2, at % 2))))
        {
            let mut sum = x[2][o];
            for (c, kh, kw) in (0..8).map(|at| (at / 4, at / 2 % 2, at % 2)) {
                sum += x[0][((n * 2 + c) * 3 + row + kh) * 3 + column + kw] * x[1][((o * 2 + c) * 2 + kh) * 2 + kw];
            }
            y.push(sum);
        }
        y
    };
    meets("conv2d", &inputs, |b, v| b.conv2d(v[0], v[1], Some(v[2]), Window2d::DENSE, 1), formula);
}

#[test]
fn norms() {
    let scaled = |row: Vec<f64>, x: &[&[f64]]| {
        row.iter().enumerate().map(|(i, y)| y * x[1][i] + x.get(2).map_or(0.0, |bias| bias[i])).collect::<Vec<_>>()
    };
    let (x, weight, bias) = (f32(&[2, 3, 5]), f32(&[5]), f32(&[5]));
    meets(
        "layer_norm",
        &[x.clone(), weight.clone(), bias],
        |b, v| b.layer_norm(v[0], v[1], Some(v[2]), 1e-3),
        |x| x[0].chunks(5).flat_map(|row| scaled(standardised(row, 1e-3), x)).collect(),
    );
    meets(
        "rms_norm",
        &[x, weight],
        |b, v| b.rms_norm(v[0], v[1], 1e-3),
        |x| {
            let of = |row: &[f64]| {
                let root = (mean(&row.iter().map(|x| x * x).collect::<Vec<_>>()) + 1e-3).sqrt();
                scaled(row.iter().map(|x| x / root).collect(), x)
            };
            x[0].chunks(5).flat_map(of).collect()
        },
    );
    meets(
        "group_norm",
        &[f32(&[2, 4, 2, 3]), f32(&[4]), f32(&[4])],
        |b, v| b.group_norm(v[0], 2, v[1], v[2], 1e-3),
        |x| {
            let y = x[0].chunks(12).flat_map(|group| standardised(group, 1e-3));
            y.enumerate().map(|(i, y)| y * x[1][i / 6 % 4] + x[2][i / 6 % 4]).collect()
        },
    );
}

#[test]
fn activations() {
    let inputs = [f32_in(&[2, 7], Range::Between(-3.0, 3.0))];
    let each = |of: fn(f64) -> f64| move |x: &[&[f64]]| x[0].iter().map(|x| of(*x)).collect::<Vec<_>>();
    let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()));
    let gelu_tanh =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    meets("gelu", &inputs, |b, v| b.gelu(v[0]), each(gelu));
    meets("gelu_tanh", &inputs, |b, v| b.gelu_tanh(v[0]), each(gelu_tanh));
    meets("silu", &inputs, |b, v| b.silu(v[0]), each(|x| x / (1.0 + (-x).exp())));
    // At 0 both of its branches end.
    let around_zero = [f32_in(&[7], Range::Given(&[-2.0, -0.5, 0.0, -0.0, 0.001, 1.0, 3.0]))];
    meets("softplus", &around_zero, |b, v| b.softplus(v[0]), each(|x| x.exp().ln_1p()));
}

#[test]
fn softplus_does_not_overflow() {
    let mut b = GraphBuilder::new();
    let x = b.input("x", TensorType::f32([3])).unwrap();
    let y = b.softplus(x).unwrap();
    b.output("y", y);
    let inputs = Reals::from([("x".to_owned(), vec![1e4, -1e4, 0.0])]);
    assert_eq!(run(&b.finish().unwrap(), &inputs).unwrap()["y"], [1e4, 0.0, 2f64.ln()]);
}

#[test]
fn log_softmax() {
    let of = |row: &[f64]| {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| x - sum.ln()).collect::<Vec<_>>()
    };
    let inputs = [f32_in(&[2, 3, 4], Range::Distinct)];
    meets("log_softmax", &inputs, |b, v| b.log_softmax(v[0]), |x| x[0].chunks(4).flat_map(of).collect());
}

/// Attention of q [2, 2, s, 3] over k and v [2, 2, t, 3], by its definition.
fn attention(s: usize, t: usize, is_causal: bool) -> impl Fn(&[&[f64]]) -> Vec<f64> {
    move |x| {
        let mut y = Vec::new();
        for (head, i) in (0..4).flat_map(|head| (0..s).map(move |i| (head, i))) {
            let seen = if is_causal { t - s + i + 1 } else { t };
            let row = |of: &[f64], at: usize, len: usize| of[(head * len + at) * 3..][..3].to_vec();
            let query = row(x[0], i, s);
            let score = |j| 0.5 * query.iter().zip(row(x[1], j, t)).map(|(a, b)| a * b).sum::<f64>();
            let weights: Vec<f64> = (0..seen).map(|j| score(j).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in 0..3 {
                y.push((0..seen).map(|j| weights[j] / total * row(x[2], j, t)[d]).sum());
            }
        }
        y
    }
}

#[test]
fn attention_causal_or_not_and_with_a_cache() {
    for (s, t, is_causal) in [(3u32, 3u32, false), (3, 3, true), (2, 5, true), (1, 4, true), (2, 4, false)] {
        let inputs = [f32(&[2, 2, s, 3]), f32(&[2, 2, t, 3]), f32(&[2, 2, t, 3])];
        let formula = attention(s as usize, t as usize, is_causal);
        meets("attention", &inputs, |b, v| b.attention(v[0], v[1], v[2], 0.5, is_causal), formula);
    }
}

#[test]
fn rotary() {
    let inputs = [f32(&[2, 3, 4]), f32(&[3, 2]), f32(&[3, 2])];
    let formula = |x: &[&[f64]]| {
        let mut y = Vec::new();
        for (row, half) in x[0].chunks(4).enumerate().flat_map(|row| [(row, 0), (row, 1)]) {
            let ((at, row), half) = (row, half);
            let position = at % 3;
            for i in 0..2 {
                let (cos, sin) = (x[1][position * 2 + i], x[2][position * 2 + i]);
                let (a, b) = (row[i], row[i + 2]);
                y.push(if half == 0 { a * cos - b * sin } else { b * cos + a * sin });
            }
        }
        y
    };
    meets("rotary", &inputs, |b, v| b.rotary(v[0], v[1], v[2]), formula);
}

#[test]
fn embedding() {
    let inputs = [f32(&[4, 3]), below(&[2, 3], 4)];
    let formula = |x: &[&[f64]]| x[1].iter().flat_map(|at| x[0][*at as usize * 3..][..3].to_vec()).collect();
    meets("embedding", &inputs, |b, v| b.embedding(v[0], v[1]), formula);
}

#[test]
fn losses() {
    let (logits, target) = (f32_in(&[3, 4], Range::AwayFromZero), f32_in(&[3, 4], Range::Between(0.1, 0.9)));
    let log_sum = |row: &[f64]| row.iter().map(|x| x.exp()).sum::<f64>().ln();
    let both = [logits.clone(), target];
    meets(
        "cross_entropy",
        &[logits, below(&[3], 4)],
        |b, v| b.cross_entropy(v[0], v[1]),
        |x| vec![mean(&x[0].chunks(4).zip(x[1]).map(|(row, at)| log_sum(row) - row[*at as usize]).collect::<Vec<_>>())],
    );
    let pairs = |x: &[&[f64]]| x[0].iter().copied().zip(x[1].iter().copied()).collect::<Vec<(f64, f64)>>();
    meets(
        "mean_square_error",
        &both,
        |b, v| b.mean_square_error(v[0], v[1]),
        |x| vec![mean(&pairs(x).iter().map(|(a, b)| (a - b).powi(2)).collect::<Vec<_>>())],
    );
    let entropy = |(x, t): &(f64, f64)| {
        let p = 1.0 / (1.0 + (-x).exp());
        -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
    };
    meets(
        "binary_cross_entropy",
        &both,
        |b, v| b.binary_cross_entropy(v[0], v[1]),
        |x| vec![mean(&pairs(x).iter().map(entropy).collect::<Vec<_>>())],
    );
    meets(
        "divergence",
        &both,
        |b, v| b.divergence(v[0], v[1]),
        |x| {
            let row = |(logits, target): (&[f64], &[f64])| {
                let log = log_sum(logits);
                logits.iter().zip(target).map(|(x, t)| t * (t.ln() - (x - log))).sum::<f64>()
            };
            vec![mean(&x[0].chunks(4).zip(x[1].chunks(4)).map(row).collect::<Vec<_>>())]
        },
    );
}

/// A value that several nodes read gets the sum of their gradients.
#[test]
fn a_value_read_often() {
    let mut tally = Tally::new();
    let often: Case = case(&[f32(&[2, 3]), f32(&[3])], |b, v| {
        let y = b.mul(v[0], v[1])?;
        let z = b.add(y, v[0])?;
        let z = b.mul(z, y)?;
        let w = b.sub(z, v[1])?;
        b.mul(w, z)
    });
    tally.check("often", &often);
}

//! The whole nets of `make_vectors.py`: a loss, and its gradient for each parameter.

use std::collections::BTreeMap;

use shoal_graph::{GraphBuilder, GraphError, Op, Unary, ValueId, Window2d, autodiff::gradients};

use crate::common::{Case, Input, below, f32};

/// Values of a net by name.
type Named = BTreeMap<String, ValueId>;

fn net(
    parameters: &[(String, Input)],
    given: &[(&str, Input)],
    loss: impl FnOnce(&mut GraphBuilder, &Named) -> Result<ValueId, GraphError>,
) -> Case {
    let mut b = GraphBuilder::new();
    let mut named = Named::new();
    let given = given.iter().map(|(name, input)| ((*name).to_owned(), input.clone()));
    let all: Vec<(String, Input)> = parameters.iter().cloned().chain(given).collect();
    for (i, (name, input)) in all.iter().enumerate() {
        named.insert(name.clone(), b.input(format!("in{i}"), input.tensor_type.clone()).unwrap());
    }
    let loss = loss(&mut b, &named).unwrap();
    let wanted: Vec<ValueId> = parameters.iter().map(|(name, _)| named[name]).collect();
    let made = gradients(&mut b, loss, &wanted).unwrap();
    b.output("loss", loss);
    for ((name, _), gradient) in parameters.iter().zip(made) {
        b.output(format!("grad.{name}"), gradient);
    }
    Case { graph: b.finish().unwrap(), inputs: all.into_iter().map(|(_, input)| input).collect() }
}

fn parameters(shapes: &[(&str, &[u32])]) -> Vec<(String, Input)> {
    shapes.iter().map(|(name, shape)| ((*name).to_owned(), f32(shape))).collect()
}

pub(crate) fn cases() -> Vec<(String, Case)> {
    vec![
        ("net.mlp".to_owned(), mlp()),
        ("net.conv".to_owned(), conv_net()),
        ("net.transformer".to_owned(), transformer()),
    ]
}

fn mlp() -> Case {
    let shapes: [(&str, &[u32]); 6] =
        [("w1", &[9, 7]), ("b1", &[9]), ("w2", &[8, 9]), ("b2", &[8]), ("w3", &[4, 8]), ("b3", &[4])];
    net(&parameters(&shapes), &[("x", f32(&[6, 7])), ("labels", below(&[6], 4))], |b, p| {
        let x = b.dense(p["x"], p["w1"], Some(p["b1"]))?;
        let x = b.unary(Unary::Relu, x)?;
        let x = b.dense(x, p["w2"], Some(p["b2"]))?;
        let x = b.unary(Unary::Tanh, x)?;
        let logits = b.dense(x, p["w3"], Some(p["b3"]))?;
        b.cross_entropy(logits, p["labels"])
    })
}

fn conv_net() -> Case {
    let shapes: [(&str, &[u32]); 4] =
        [("conv", &[4, 1, 3, 3]), ("conv_bias", &[4]), ("dense", &[10, 100]), ("dense_bias", &[10])];
    net(&parameters(&shapes), &[("x", f32(&[3, 1, 12, 12])), ("labels", below(&[3], 10))], |b, p| {
        let x = b.conv2d(p["x"], p["conv"], Some(p["conv_bias"]), Window2d::DENSE, 1)?;
        let x = b.unary(Unary::Relu, x)?;
        let pool = Op::MaxPool2d { window: Window2d::square(2, 0), kernel_height: 2, kernel_width: 2 };
        let x = b.apply(pool, &[x])?;
        let x = b.reshape(x, &[3, 100])?;
        let logits = b.dense(x, p["dense"], Some(p["dense_bias"]))?;
        b.cross_entropy(logits, p["labels"])
    })
}

const BATCH: u32 = 2;
const SEEN: u32 = 6;
const WIDTH: u32 = 8;
const HEADS: u32 = 2;
const EACH: u32 = WIDTH / HEADS;
const VOCABULARY: u32 = 11;
const HIDDEN: u32 = 16;
const EPSILON: f32 = 1e-5;

/// A causal language model of two layers: learned and rotary positions, layer norm first, GELU, and the table of tokens
/// again as the last layer's weight.
fn transformer() -> Case {
    let mut all = parameters(&[("tokens", &[VOCABULARY, WIDTH]), ("positions", &[SEEN, WIDTH])]);
    for i in 0..2 {
        let layer: [(&str, &[u32]); 12] = [
            ("norm1", &[WIDTH]),
            ("norm1_bias", &[WIDTH]),
            ("q", &[WIDTH, WIDTH]),
            ("k", &[WIDTH, WIDTH]),
            ("v", &[WIDTH, WIDTH]),
            ("o", &[WIDTH, WIDTH]),
            ("norm2", &[WIDTH]),
            ("norm2_bias", &[WIDTH]),
            ("up", &[HIDDEN, WIDTH]),
            ("up_bias", &[HIDDEN]),
            ("down", &[WIDTH, HIDDEN]),
            ("down_bias", &[WIDTH]),
        ];
        all.extend(parameters(&layer).into_iter().map(|(name, input)| (format!("{i}.{name}"), input)));
    }
    all.extend(parameters(&[("norm", &[WIDTH]), ("norm_bias", &[WIDTH])]));
    let given = [
        ("tokens_in", below(&[BATCH, SEEN], VOCABULARY)),
        ("labels", below(&[BATCH * SEEN], VOCABULARY)),
        ("cos", f32(&[SEEN, EACH / 2])),
        ("sin", f32(&[SEEN, EACH / 2])),
    ];
    net(&all, &given, |b, p| {
        let x = b.embedding(p["tokens"], p["tokens_in"])?;
        let mut x = b.add(x, p["positions"])?;
        for i in 0..2 {
            x = layer(b, p, i, x)?;
        }
        let x = b.layer_norm(x, p["norm"], Some(p["norm_bias"]), EPSILON)?;
        let logits = b.dense(x, p["tokens"], None)?;
        let logits = b.reshape(logits, &[BATCH * SEEN, VOCABULARY])?;
        b.cross_entropy(logits, p["labels"])
    })
}

fn layer(b: &mut GraphBuilder, p: &Named, i: u32, x: ValueId) -> Result<ValueId, GraphError> {
    let of = |name: &str| p[&format!("{i}.{name}")];
    let y = b.layer_norm(x, of("norm1"), Some(of("norm1_bias")), EPSILON)?;
    let mut heads = Vec::new();
    for name in ["q", "k", "v"] {
        let y = b.dense(y, of(name), None)?;
        let y = b.reshape(y, &[BATCH, SEEN, HEADS, EACH])?;
        let y = b.transpose(y, &[0, 2, 1, 3])?;
        heads.push(if name == "v" { y } else { b.rotary(y, p["cos"], p["sin"])? });
    }
    let y = b.attention(heads[0], heads[1], heads[2], 1.0 / (EACH as f32).sqrt(), true)?;
    let y = b.transpose(y, &[0, 2, 1, 3])?;
    let y = b.reshape(y, &[BATCH, SEEN, WIDTH])?;
    let y = b.dense(y, of("o"), None)?;
    let x = b.add(x, y)?;
    let y = b.layer_norm(x, of("norm2"), Some(of("norm2_bias")), EPSILON)?;
    let y = b.dense(y, of("up"), Some(of("up_bias")))?;
    let y = b.gelu(y)?;
    let y = b.dense(y, of("down"), Some(of("down_bias")))?;
    b.add(x, y)
}

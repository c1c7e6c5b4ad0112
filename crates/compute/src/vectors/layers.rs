//! Graphs of layers with their gradients, and whole training steps of small models.

use shoal_graph::{
    AdamRates, DType, Graph, GraphBuilder, GraphError, Op, TensorType, Unary, ValueId, Window2d, autodiff::gradients,
};

type Made = Result<ValueId, GraphError>;

/// What a graph computes: its loss, or a tensor whose mean square is the loss.
type Build = fn(&mut GraphBuilder) -> Made;

/// Classes, and words of a vocabulary: what integers of a vector's inputs are below.
const CLASSES: u32 = 21;

pub(super) fn layer_norm() -> Graph {
    with_gradients(|b| {
        let (x, weight, bias) = (f(b, "x", &[3, 5, 50])?, f(b, "weight", &[50])?, f(b, "bias", &[50])?);
        let y = b.layer_norm(x, weight, Some(bias), 1e-5)?;
        b.output("y", y);
        b.mean_square_error(y, x)
    })
}

pub(super) fn attention() -> Graph {
    with_gradients(|b| {
        let shape = [2, 3, 21, 16];
        let (q, k, v) = (f(b, "q", &shape)?, f(b, "k", &shape)?, f(b, "v", &shape)?);
        let y = b.attention(q, k, v, 0.25, true)?;
        b.output("y", y);
        b.mean_square_error(y, q)
    })
}

pub(super) fn adam_step() -> Graph {
    finish(|b| {
        let (p, g, mean) = (f(b, "p", &[7, 33])?, f(b, "g", &[7, 33])?, f(b, "mean", &[7, 33])?);
        let (root, rate, decay) = (f(b, "root", &[7, 33])?, f(b, "rate", &[])?, f(b, "decay", &[])?);
        let square = b.mul(root, root)?;
        let clipped = b.clip_by_norm(&[g], 0.5)?;
        let shrunk = b.decay(p, decay)?;
        let next = b.adam(shrunk, mean, square, clipped[0], rate, AdamRates::default())?;
        b.output("p", next.parameter);
        b.output("mean", next.mean);
        b.output("square", next.square);
        Ok(())
    })
}

/// One step of Adam of a transformer with one block: 2 sequences of 10 words, 2 heads of 8.
pub(super) fn transformer_step() -> Graph {
    const DIM: u32 = 16;
    finish(|b| {
        let words = b.input("words", TensorType::i32([2, 10]))?;
        let next_words = b.input("next_words", TensorType::i32([20]))?;
        let (table, places) = (f(b, "table", &[CLASSES, DIM])?, f(b, "places", &[10, DIM])?);
        let x = b.embedding(table, words)?;
        let x = b.add(x, places)?;
        let normed = norm(b, "norm1", x)?;
        let mut heads = Vec::new();
        for name in ["query", "key", "value"] {
            let weight = f(b, name, &[DIM, DIM])?;
            let made = b.dense(normed, weight, None)?;
            let split = b.reshape(made, &[2, 10, 2, 8])?;
            heads.push(b.transpose(split, &[0, 2, 1, 3])?);
        }
        let seen = b.attention(heads[0], heads[1], heads[2], 0.353_553_4, true)?;
        let joined = b.transpose(seen, &[0, 2, 1, 3])?;
        let joined = b.reshape(joined, &[2, 10, DIM])?;
        let weight = f(b, "joined", &[DIM, DIM])?;
        let joined = b.dense(joined, weight, None)?;
        let x = b.add(x, joined)?;
        let normed = norm(b, "norm2", x)?;
        let (up, up_bias) = (f(b, "up", &[40, DIM])?, f(b, "up_bias", &[40])?);
        let wide = b.dense(normed, up, Some(up_bias))?;
        let wide = b.unary(Unary::Relu, wide)?;
        let down = f(b, "down", &[DIM, 40])?;
        let narrow = b.dense(wide, down, None)?;
        let x = b.add(x, narrow)?;
        let logits = b.mat_mul(x, table, false, true)?;
        let logits = b.reshape(logits, &[20, CLASSES])?;
        let loss = b.cross_entropy(logits, next_words)?;
        b.output("loss", loss);
        let rate = f(b, "rate", &[])?;
        for ((name, parameter), gradient) in parameters(b, &["rate"]).into_iter().zip(gradient(b, loss, &["rate"])?) {
            // A first step: mean and mean square are nothing yet.
            let shape = b.shape(parameter).to_vec();
            let zeros = b.zeros(&shape)?;
            let next = b.adam(parameter, zeros, zeros, gradient, rate, AdamRates::default())?;
            b.output(name, next.parameter);
        }
        Ok(())
    })
}

/// One step of SGD of a net with a strided, a depthwise and a grouped convolution, group norm and pooling by means.
pub(super) fn conv_net_step() -> Graph {
    const HELD: [&str; 2] = ["image", "rate"];
    finish(|b| {
        let image = f(b, "image", &[4, 3, 12, 12])?;
        let labels = b.input("labels", TensorType::i32([4]))?;
        let (first, first_bias) = (f(b, "first", &[8, 3, 3, 3])?, f(b, "first_bias", &[8])?);
        let x = b.conv2d(image, first, Some(first_bias), Window2d::square(2, 1), 1)?;
        let (weight, bias) = (f(b, "norm", &[8])?, f(b, "norm_bias", &[8])?);
        let x = b.group_norm(x, 2, weight, bias, 1e-5)?;
        let x = b.unary(Unary::Relu, x)?;
        let depthwise = f(b, "depthwise", &[8, 1, 3, 3])?;
        let x = b.conv2d(x, depthwise, None, Window2d::square(1, 1), 8)?;
        let grouped = f(b, "grouped", &[12, 4, 1, 1])?;
        let x = b.conv2d(x, grouped, None, Window2d::DENSE, 2)?;
        let x = b.unary(Unary::Relu, x)?;
        let x = b.apply(Op::SumPool2d { window: Window2d::square(2, 0), kernel_height: 2, kernel_width: 2 }, &[x])?;
        let x = b.scale(x, 0.25)?;
        let x = b.reshape(x, &[4, 12 * 9])?;
        let (last, last_bias) = (f(b, "last", &[CLASSES, 12 * 9])?, f(b, "last_bias", &[CLASSES])?);
        let logits = b.dense(x, last, Some(last_bias))?;
        let loss = b.cross_entropy(logits, labels)?;
        b.output("loss", loss);
        let rate = f(b, "rate", &[])?;
        for ((name, parameter), gradient) in parameters(b, &HELD).into_iter().zip(gradient(b, loss, &HELD)?) {
            let next = b.sgd(parameter, gradient, rate)?;
            b.output(name, next);
        }
        Ok(())
    })
}

fn norm(b: &mut GraphBuilder, name: &str, x: ValueId) -> Made {
    let width = b.shape(x)[b.shape(x).len() - 1];
    let (weight, bias) = (f(b, &format!("{name}_weight"), &[width])?, f(b, &format!("{name}_bias"), &[width])?);
    b.layer_norm(x, weight, Some(bias), 1e-5)
}

/// The loss and the gradient of every float that is given.
fn with_gradients(build: Build) -> Graph {
    finish(|b| {
        let loss = build(b)?;
        b.output("loss", loss);
        for ((name, _), gradient) in parameters(b, &[]).into_iter().zip(gradient(b, loss, &[])?) {
            b.output(format!("d{name}"), gradient);
        }
        Ok(())
    })
}

fn finish(build: impl FnOnce(&mut GraphBuilder) -> Result<(), GraphError>) -> Graph {
    let mut b = GraphBuilder::new();
    build(&mut b).and_then(|()| b.finish()).expect("a vector's graph is well-formed")
}

fn f(b: &mut GraphBuilder, name: &str, shape: &[u32]) -> Made {
    b.input(name, TensorType::f32(shape))
}

/// The floats that are given, but for some.
fn parameters(b: &GraphBuilder, without: &[&str]) -> Vec<(String, ValueId)> {
    let is_trained = |name: &str, value: ValueId| b.value_type(value).dtype == DType::F32 && !without.contains(&name);
    b.inputs().iter().filter(|(name, value)| is_trained(name, *value)).cloned().collect()
}

fn gradient(b: &mut GraphBuilder, loss: ValueId, without: &[&str]) -> Result<Vec<ValueId>, GraphError> {
    let values: Vec<ValueId> = parameters(b, without).into_iter().map(|(_, value)| value).collect();
    gradients(b, loss, &values)
}

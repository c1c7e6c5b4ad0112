//! The conv net. Its shapes are those of `browser/workloads.ts`.

use burn::tensor::{
    Tensor, activation,
    module::{conv2d, linear, max_pool2d},
    ops::{ConvOptions, MaxPoolOptions},
};

use crate::Named;

const SIDE: usize = 28;
const CHANNELS: [usize; 2] = [16, 32];
const HIDDEN: usize = 128;
const CLASSES: usize = 10;

pub(crate) fn logits(named: &Named, batch: usize) -> Tensor<2> {
    let mut x = named.get("x", [batch, 1, SIDE, SIDE]);
    let mut channels = 1;
    for (layer, out_channels) in CHANNELS.into_iter().enumerate() {
        let weight = named.get(&format!("conv{}.weight", layer + 1), [out_channels, channels, 3, 3]);
        let bias = named.get(&format!("conv{}.bias", layer + 1), [out_channels]);
        let y = conv2d(x, weight, Some(bias), ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        x = max_pool2d(activation::relu(y), MaxPoolOptions::new([2, 2]));
        channels = out_channels;
    }
    let features = channels * (SIDE / 4) * (SIDE / 4);
    let dense = |x: Tensor<2>, name: &str, inputs: usize, units: usize| {
        let weight = named.get(&format!("{name}.weight"), [inputs, units]);
        linear(x, weight, Some(named.get(&format!("{name}.bias"), [units])))
    };
    let hidden = activation::relu(dense(x.reshape([batch, features]), "dense1", features, HIDDEN));
    dense(hidden, "dense2", HIDDEN, CLASSES)
}

pub(crate) fn loss(named: &Named, batch: usize) -> Tensor<1> {
    cross_entropy(logits(named, batch), named, "y")
}

/// Mean over the rows.
pub(crate) fn cross_entropy(logits: Tensor<2>, named: &Named, labels: &str) -> Tensor<1> {
    let rows = logits.dims()[0];
    activation::log_softmax(logits, 1).gather(1, named.integers(labels, [rows, 1])).mean().neg()
}

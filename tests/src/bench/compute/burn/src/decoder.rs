//! The decoder of the language workloads.

use burn::tensor::{
    Tensor, activation,
    module::{attention, embedding, layer_norm, linear},
    ops::AttentionModuleOptions,
};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Named, conv_net::cross_entropy};

const EPSILON: f64 = 1e-5;

/// Shape of a model.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub struct Decoder {
    layers: usize,
    width: usize,
    heads: usize,
    vocabulary: usize,
    positions: usize,
}

#[wasm_bindgen]
impl Decoder {
    #[wasm_bindgen(constructor)]
    pub fn new(layers: usize, width: usize, heads: usize, vocabulary: usize, positions: usize) -> Self {
        Self { layers, width, heads, vocabulary, positions }
    }
}

pub(crate) fn loss(model: &Decoder, named: &Named, batch: usize) -> Tensor<1> {
    cross_entropy(logits(model, named, batch, model.positions, 0), named, "labels")
}

/// \[batch · count, vocabulary\].
pub(crate) fn logits(model: &Decoder, named: &Named, batch: usize, count: usize, past: usize) -> Tensor<2> {
    let Decoder { layers, width, heads, vocabulary, positions } = *model;
    let (rows, size) = (batch * count, width / heads);
    let dense = |x: Tensor<2>, name: &str, inputs: usize, units: usize| {
        let weight = named.get(&format!("{name}.weight"), [inputs, units]);
        linear(x, weight, Some(named.get(&format!("{name}.bias"), [units])))
    };
    let norm = |x: Tensor<2>, name: &str| {
        let weight = named.get(&format!("{name}.weight"), [width]);
        layer_norm(x, weight, Some(named.get(&format!("{name}.bias"), [width])), EPSILON)
    };
    let heads_of =
        |h: Tensor<2>, name: &str| dense(h, name, width, width).reshape([batch, count, heads, size]).swap_dims(1, 2);
    let continued = |x: Tensor<4>, name: &str| match past {
        0 => x,
        _ => Tensor::cat(vec![named.get(name, [batch, heads, past, size]), x], 2),
    };

    let embedded = embedding(named.get("tokens", [vocabulary, width]), named.integers("ids", [batch, count]));
    let place = named.get("positions", [positions, width]).slice([past..past + count, 0..width]);
    let mut x = (embedded + place.unsqueeze::<3>()).reshape([rows, width]);
    for layer in 0..layers {
        let h = norm(x.clone(), &format!("layer{layer}.norm1"));
        let query = heads_of(h.clone(), &format!("layer{layer}.query"));
        let key = continued(heads_of(h.clone(), &format!("layer{layer}.key")), &format!("key{layer}"));
        let value = continued(heads_of(h, &format!("layer{layer}.value")), &format!("value{layer}"));
        // A single query sees every key.
        let options = AttentionModuleOptions { scale: None, softcap: None, is_causal: count > 1 };
        let mixed = attention(query, key, value, None, None, options).swap_dims(1, 2).reshape([rows, width]);
        x = x + dense(mixed, &format!("layer{layer}.output"), width, width);
        let h = norm(x.clone(), &format!("layer{layer}.norm2"));
        let up = activation::gelu_approximate(dense(h, &format!("layer{layer}.up"), width, 4 * width));
        x = x + dense(up, &format!("layer{layer}.down"), 4 * width, width);
    }
    linear(norm(x, "norm"), named.get("head", [width, vocabulary]), None)
}

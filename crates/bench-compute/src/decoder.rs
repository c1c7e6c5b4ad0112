//! The decoder of the language workloads, and its training by Adam.

use shoal_graph::{AdamRates, GraphBuilder, GraphError, Op, TensorType, ValueId, autodiff::gradients};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::tab::Program;

const EPSILON: f32 = 1e-5;

/// Shape of a model.
#[wasm_bindgen]
pub struct Decoder {
    layers: u32,
    width: u32,
    heads: u32,
    vocabulary: u32,
    positions: u32,
}

#[wasm_bindgen]
impl Decoder {
    #[wasm_bindgen(constructor)]
    pub fn new(layers: u32, width: u32, heads: u32, vocabulary: u32, positions: u32) -> Self {
        Self { layers, width, heads, vocabulary, positions }
    }
}

pub(crate) fn inference(model: &Decoder, count: u32, past: u32) -> Result<Program, GraphError> {
    let mut net = Net { model, batch: 1, count, past, builder: GraphBuilder::new(), weights: Vec::new() };
    let logits = net.logits()?;
    net.builder.output("logits", logits);
    Ok(Program { builder: net.builder, held: net.weights.into_iter().map(|(name, _)| name).collect() })
}

/// Inputs and outputs under the same names: each weight, its mean (`mean.` before it) and its mean square (`square.`).
pub(crate) fn training(model: &Decoder, batch: u32) -> Result<Program, GraphError> {
    let count = model.positions;
    let mut net = Net { model, batch, count, past: 0, builder: GraphBuilder::new(), weights: Vec::new() };
    let logits = net.logits()?;
    let Net { mut builder, weights, .. } = net;
    let labels = builder.input("labels", TensorType::i32([batch * count]))?;
    let rate = builder.input("rate", TensorType::f32([]))?;
    let loss = builder.cross_entropy(logits, labels)?;
    let values: Vec<ValueId> = weights.iter().map(|(_, value)| *value).collect();
    let gradients = gradients(&mut builder, loss, &values)?;
    for ((name, weight), gradient) in weights.into_iter().zip(gradients) {
        let shape = builder.shape(weight).to_vec();
        let (mean_name, square_name) = (format!("mean.{name}"), format!("square.{name}"));
        let mean = builder.input(mean_name.clone(), TensorType::f32(shape.clone()))?;
        let square = builder.input(square_name.clone(), TensorType::f32(shape))?;
        let next = builder.adam(weight, mean, square, gradient, rate, AdamRates::default())?;
        for (name, value) in [(name, next.parameter), (mean_name, next.mean), (square_name, next.square)] {
            builder.output(name, value);
        }
    }
    builder.output("loss", loss);
    Ok(Program { builder, held: Vec::new() })
}

struct Net<'a> {
    model: &'a Decoder,
    batch: u32,
    count: u32,
    past: u32,
    builder: GraphBuilder,
    weights: Vec<(String, ValueId)>,
}

impl Net<'_> {
    /// \[batch · count, vocabulary\].
    fn logits(&mut self) -> Result<ValueId, GraphError> {
        let (width, rows) = (self.model.width, self.batch * self.count);
        let ids = self.builder.input("ids", TensorType::i32([self.batch, self.count]))?;
        let table = self.weight("tokens".into(), &[self.model.vocabulary, width])?;
        let positions = self.weight("positions".into(), &[self.model.positions, width])?;
        let b = &mut self.builder;
        let embedded = b.embedding(table, ids)?;
        let positions = b.slice(positions, 0, self.past, self.count)?;
        let x = b.add(embedded, positions)?;
        let mut x = b.reshape(x, &[rows, width])?;
        for layer in 0..self.model.layers {
            let h = self.norm(x, &format!("layer{layer}.norm1"))?;
            let attended = self.attention(h, layer)?;
            x = self.builder.add(x, attended)?;
            let h = self.norm(x, &format!("layer{layer}.norm2"))?;
            let up = self.dense(h, &format!("layer{layer}.up"), width, 4 * width)?;
            let up = self.builder.gelu_tanh(up)?;
            let down = self.dense(up, &format!("layer{layer}.down"), 4 * width, width)?;
            x = self.builder.add(x, down)?;
        }
        let x = self.norm(x, "norm")?;
        let head = self.weight("head".into(), &[self.model.vocabulary, width])?;
        self.builder.dense(x, head, None)
    }

    fn attention(&mut self, h: ValueId, layer: u32) -> Result<ValueId, GraphError> {
        let (width, size) = (self.model.width, self.model.width / self.model.heads);
        let query = self.heads_of(h, &format!("layer{layer}.query"))?;
        let key = self.heads_of(h, &format!("layer{layer}.key"))?;
        let key = self.continued(key, format!("key{layer}"))?;
        let value = self.heads_of(h, &format!("layer{layer}.value"))?;
        let value = self.continued(value, format!("value{layer}"))?;
        let b = &mut self.builder;
        // A single query sees every key.
        let mixed = b.attention(query, key, value, 1.0 / (size as f32).sqrt(), self.count > 1)?;
        let mixed = b.transpose(mixed, &[0, 2, 1, 3])?;
        let mixed = b.reshape(mixed, &[self.batch * self.count, width])?;
        self.dense(mixed, &format!("layer{layer}.output"), width, width)
    }

    /// \[batch, heads, count, width/heads\].
    fn heads_of(&mut self, h: ValueId, name: &str) -> Result<ValueId, GraphError> {
        let Decoder { width, heads, .. } = *self.model;
        let y = self.dense(h, name, width, width)?;
        let y = self.builder.reshape(y, &[self.batch, self.count, heads, width / heads])?;
        self.builder.transpose(y, &[0, 2, 1, 3])
    }

    /// Keys or values after those of the cache, where there is one; the longer cache is made as well.
    fn continued(&mut self, x: ValueId, name: String) -> Result<ValueId, GraphError> {
        if self.past == 0 {
            return Ok(x);
        }
        let Decoder { width, heads, .. } = *self.model;
        let b = &mut self.builder;
        let past = b.input(name.clone(), TensorType::f32([self.batch, heads, self.past, width / heads]))?;
        let joined = b.apply(Op::Concat { axis: 2 }, &[past, x])?;
        b.output(format!("{name}.present"), joined);
        Ok(joined)
    }

    fn norm(&mut self, x: ValueId, name: &str) -> Result<ValueId, GraphError> {
        let weight = self.weight(format!("{name}.weight"), &[self.model.width])?;
        let bias = self.weight(format!("{name}.bias"), &[self.model.width])?;
        self.builder.layer_norm(x, weight, Some(bias), EPSILON)
    }

    fn dense(&mut self, x: ValueId, name: &str, inputs: u32, units: u32) -> Result<ValueId, GraphError> {
        let weight = self.weight(format!("{name}.weight"), &[units, inputs])?;
        let bias = self.weight(format!("{name}.bias"), &[units])?;
        self.builder.dense(x, weight, Some(bias))
    }

    fn weight(&mut self, name: String, shape: &[u32]) -> Result<ValueId, GraphError> {
        let value = self.builder.input(name.clone(), TensorType::f32(shape))?;
        self.weights.push((name, value));
        Ok(value)
    }
}

//! Burn's CPU backend for WebAssembly (Flex, with SIMD) at the workloads of the bench, behind the same calls as ours.

mod conv_net;
mod decoder;

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use wasm_bindgen::prelude::wasm_bindgen;

pub use decoder::Decoder;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

enum Kind {
    Product { n: usize, trans_a: bool, trans_b: bool },
    ConvInference { batch: usize },
    ConvTraining { batch: usize },
    Decode { model: Decoder, count: usize, past: usize },
    DecoderTraining { model: Decoder, batch: usize },
}

/// Tensors by name. All are kept flat, and given their shape, which costs nothing, where they are used.
#[derive(Default)]
pub(crate) struct Named {
    floats: BTreeMap<String, Tensor<1>>,
    integers: BTreeMap<String, Tensor<1, Int>>,
}

impl Named {
    pub(crate) fn get<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.floats[name].clone().reshape(shape)
    }

    pub(crate) fn integers<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D, Int> {
        self.integers[name].clone().reshape(shape)
    }
}

#[wasm_bindgen]
pub struct Work {
    kind: Kind,
    named: Named,
    /// Mean and mean square of each weight's gradients.
    moments: BTreeMap<String, (Tensor<1>, Tensor<1>)>,
    rate: f32,
    made: BTreeMap<&'static str, Tensor<1>>,
}

#[wasm_bindgen]
impl Work {
    pub fn product(n: usize, trans_a: bool, trans_b: bool) -> Work {
        Self::new(Kind::Product { n, trans_a, trans_b })
    }

    #[wasm_bindgen(js_name = convInference)]
    pub fn conv_inference(batch: usize) -> Work {
        Self::new(Kind::ConvInference { batch })
    }

    #[wasm_bindgen(js_name = convTraining)]
    pub fn conv_training(batch: usize) -> Work {
        Self::new(Kind::ConvTraining { batch })
    }

    pub fn decode(model: Decoder, count: usize, past: usize) -> Work {
        Self::new(Kind::Decode { model, count, past })
    }

    #[wasm_bindgen(js_name = decoderTraining)]
    pub fn decoder_training(model: Decoder, batch: usize) -> Work {
        Self::new(Kind::DecoderTraining { model, batch })
    }

    fn new(kind: Kind) -> Work {
        Work { kind, named: Named::default(), moments: BTreeMap::new(), rate: 0.0, made: BTreeMap::new() }
    }

    /// Puts an input's elements, little-endian.
    pub fn set(&mut self, name: &str, bytes: &[u8]) {
        let device = Device::flex();
        let words = bytes.as_chunks::<4>().0;
        if ["ids", "labels", "y"].contains(&name) {
            let values: Vec<i32> = words.iter().map(|word| i32::from_le_bytes(*word)).collect();
            let count = values.len();
            let made = Tensor::from_data(TensorData::new(values, [count]), &device);
            self.named.integers.insert(name.to_owned(), made);
            return;
        }
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        if name == "rate" {
            self.rate = values[0];
            return;
        }
        let count = values.len();
        self.named.floats.insert(name.to_owned(), Tensor::from_data(TensorData::new(values, [count]), &device));
    }

    pub fn run(&mut self, times: u32) {
        for _ in 0..times {
            self.once();
        }
    }

    /// What the last run made under a name.
    pub fn made(&self, name: &str) -> Vec<f32> {
        self.made[name].clone().into_data().try_to_vec().expect("results are f32")
    }

    fn once(&mut self) {
        match &self.kind {
            Kind::Product { n, trans_a, trans_b } => {
                let (a, b) = (self.named.get("a", [*n, *n]), self.named.get("b", [*n, *n]));
                let a = if *trans_a { a.transpose() } else { a };
                let b = if *trans_b { b.transpose() } else { b };
                self.made.insert("c", a.matmul(b).reshape([n * n]));
            }
            Kind::ConvInference { batch } => {
                let logits = conv_net::logits(&self.named, *batch);
                self.made.insert("logits", logits.flatten(0, 1));
            }
            Kind::Decode { model, count, past } => {
                let logits = decoder::logits(model, &self.named, 1, *count, *past);
                self.made.insert("logits", logits.flatten(0, 1));
            }
            Kind::ConvTraining { batch } => {
                let batch = *batch;
                self.step(
                    |named| conv_net::loss(named, batch),
                    |work, name, gradient| {
                        let step = gradient.mul_scalar(work.rate);
                        work.change(name, |weight| weight - step);
                    },
                );
            }
            Kind::DecoderTraining { model, batch } => {
                let (model, batch) = (*model, *batch);
                self.step(|named| decoder::loss(&model, named, batch), Work::adam);
            }
        }
    }

    /// One step: every float but the images is a weight.
    fn step(&mut self, loss: impl Fn(&Named) -> Tensor<1>, mut update: impl FnMut(&mut Self, &str, Tensor<1>)) {
        let tracked = |(name, value): (&String, &Tensor<1>)| {
            let value = value.clone().autodiff();
            (name.clone(), if name == "x" { value } else { value.require_grad() })
        };
        let floats = self.named.floats.iter().map(tracked).collect();
        let integers = self.named.integers.iter().map(|(name, value)| (name.clone(), value.clone().autodiff()));
        let named = Named { floats, integers: integers.collect() };
        let loss = loss(&named);
        let mut gradients = loss.backward();
        self.made.insert("loss", loss.inner());
        for (name, value) in named.floats {
            if let Some(gradient) = value.grad_remove(&mut gradients) {
                drop(value);
                update(self, &name, gradient);
            }
        }
    }

    fn adam(&mut self, name: &str, gradient: Tensor<1>) {
        let (mean, square) =
            self.moments.remove(name).unwrap_or_else(|| (gradient.zeros_like(), gradient.zeros_like()));
        let mean = mean.mul_scalar(BETA1) + gradient.clone().mul_scalar(1.0 - BETA1);
        let square = square.mul_scalar(BETA2) + gradient.square().mul_scalar(1.0 - BETA2);
        let direction = mean.clone() / square.clone().sqrt().add_scalar(EPSILON);
        let step = direction.mul_scalar(self.rate);
        self.moments.insert(name.to_owned(), (mean, square));
        self.change(name, |weight| weight - step);
    }

    /// The weight is taken out, so that it can be changed in place.
    fn change(&mut self, name: &str, change: impl FnOnce(Tensor<1>) -> Tensor<1>) {
        let weight = self.named.floats.remove(name).expect("a gradient has a weight");
        self.named.floats.insert(name.to_owned(), change(weight));
    }
}

//! The conv net: 1 × 28 × 28 → conv 3×3, relu, max pool 2, twice → dense, relu → dense. Its shapes are those of
//! `tests/src/bench/compute/browser/workloads.ts`.

use shoal_graph::{Axis2d, GraphBuilder, GraphError, Op, TensorType, Unary, ValueId, Window2d, autodiff::gradients};

use crate::tab::Program;

const SIDE: u32 = 28;
const CHANNELS: [u32; 2] = [16, 32];
const HIDDEN: u32 = 128;
const CLASSES: u32 = 10;

pub(crate) fn inference(batch: u32) -> Result<Program, GraphError> {
    let mut net = Net::default();
    let logits = net.logits(batch)?;
    net.builder.output("logits", logits);
    Ok(Program { builder: net.builder, held: net.weights.into_iter().map(|(name, _)| name).collect() })
}

pub(crate) fn training(batch: u32) -> Result<Program, GraphError> {
    let mut net = Net::default();
    let logits = net.logits(batch)?;
    let Net { mut builder, weights } = net;
    let labels = builder.input("y", TensorType::i32([batch]))?;
    let rate = builder.input("rate", TensorType::f32([]))?;
    let loss = builder.cross_entropy(logits, labels)?;
    let values: Vec<ValueId> = weights.iter().map(|(_, value)| *value).collect();
    let gradients = gradients(&mut builder, loss, &values)?;
    for ((name, weight), gradient) in weights.into_iter().zip(gradients) {
        let next = builder.sgd(weight, gradient, rate)?;
        builder.output(name, next);
    }
    builder.output("loss", loss);
    Ok(Program { builder, held: Vec::new() })
}

#[derive(Default)]
struct Net {
    builder: GraphBuilder,
    weights: Vec<(String, ValueId)>,
}

impl Net {
    fn logits(&mut self, batch: u32) -> Result<ValueId, GraphError> {
        let mut x = self.builder.input("x", TensorType::f32([batch, 1, SIDE, SIDE]))?;
        let mut channels = 1;
        for (layer, out_channels) in CHANNELS.into_iter().enumerate() {
            let weight = self.weight(format!("conv{}.weight", layer + 1), &[out_channels, channels, 3, 3])?;
            let bias = self.weight(format!("conv{}.bias", layer + 1), &[out_channels])?;
            let b = &mut self.builder;
            let y = b.conv2d(x, weight, Some(bias), Window2d::square(1, 1), 1)?;
            let y = b.unary(Unary::Relu, y)?;
            let axis = Axis2d { stride: 2, ..Axis2d::DENSE };
            let window = Window2d { height: axis, width: axis };
            x = b.apply(Op::MaxPool2d { window, kernel_height: 2, kernel_width: 2 }, &[y])?;
            channels = out_channels;
        }
        let features = channels * (SIDE / 4) * (SIDE / 4);
        let x = self.builder.reshape(x, &[batch, features])?;
        let x = self.dense(x, "dense1", features, HIDDEN)?;
        let x = self.builder.unary(Unary::Relu, x)?;
        self.dense(x, "dense2", HIDDEN, CLASSES)
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

//! The graphs that work units run, made from a model's layers.
//!
//! Parameters are named after the layer's position in the model, `layer{i}.weight` and `layer{i}.bias`: weights of a
//! convolution are \[out, in, kernel, kernel\], of a dense layer \[units, in\] (y = x·Wᵀ + b). A velocity is named
//! `velocity.` and its parameter. Other names are the constants of this module. A dense layer flattens what is before
//! it; a model's last layer makes the logits \[batch, classes\].

use shoal_wire::job::{LayerSpec, ModelSpec};

use crate::{
    autodiff::gradients,
    builder::GraphBuilder,
    error::GraphError,
    graph::{Graph, ValueId},
    op::{Axis2d, Op, TensorType, Unary, Window2d},
};

/// Input: samples, f32 \[batch, …sample\].
pub const SAMPLES: &str = "x";
/// Input: labels, i32 \[batch\].
pub const LABELS: &str = "y";
/// Output: mean loss over the batch, scalar.
pub const LOSS: &str = "loss";
/// Output of an inference graph: f32 \[batch, classes\].
pub const LOGITS: &str = "logits";
/// Input of a training step: scalar.
pub const LEARNING_RATE: &str = "learning_rate";
/// Input of a training step: scalar.
pub const MOMENTUM: &str = "momentum";
/// Prefix of a velocity's name, followed by its parameter's.
pub const VELOCITY_PREFIX: &str = "velocity.";

/// One trained tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// `layer{i}.weight` or `layer{i}.bias`.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<u32>,
    /// Inputs that one output of the layer sums: the fan-in of He initialisation. Zero for a bias, which starts at zero.
    pub fan_in: u32,
}

/// The parameters of a model in the order of its layers, weight before bias.
///
/// # Errors
/// [`GraphError::BadLayer`] for a layer that cannot follow what is before it; limits.
pub fn parameters(model: &ModelSpec) -> Result<Vec<Parameter>, GraphError> {
    let mut net = Net::new(model, 1)?;
    net.layers(model)?;
    Ok(net.parameters.into_iter().map(|(parameter, _)| parameter).collect())
}

/// One step of SGD with momentum. Inputs: every parameter, every velocity, [`SAMPLES`], [`LABELS`],
/// [`LEARNING_RATE`], [`MOMENTUM`]. Outputs: every parameter and velocity under the same names, and [`LOSS`].
///
/// # Errors
/// As [`parameters`], and a model that makes no logits.
pub fn training_step(model: &ModelSpec, batch: u32) -> Result<Graph, GraphError> {
    let (mut net, loss, gradient) = differentiated(model, batch)?;
    let b = &mut net.builder;
    let learning_rate = b.input(LEARNING_RATE, TensorType::f32([]))?;
    let momentum = b.input(MOMENTUM, TensorType::f32([]))?;
    let mut velocities = Vec::new();
    for ((parameter, value), gradient) in net.parameters.iter().zip(gradient) {
        let name = format!("{VELOCITY_PREFIX}{}", parameter.name);
        let velocity = b.input(name.clone(), TensorType::f32(parameter.shape.clone()))?;
        let made = b.sgd_momentum(*value, velocity, gradient, learning_rate, momentum)?;
        b.output(parameter.name.clone(), made.parameter);
        velocities.push((name, made.velocity));
    }
    for (name, value) in velocities {
        b.output(name, value);
    }
    b.output(LOSS, loss);
    net.builder.finish()
}

/// The mean gradient over one batch. Inputs: every parameter, [`SAMPLES`], [`LABELS`]. Outputs: one gradient a
/// parameter under the parameter's name, and [`LOSS`].
///
/// # Errors
/// As [`training_step`].
pub fn gradient(model: &ModelSpec, batch: u32) -> Result<Graph, GraphError> {
    let (mut net, loss, gradient) = differentiated(model, batch)?;
    for ((parameter, _), gradient) in net.parameters.iter().zip(gradient) {
        net.builder.output(parameter.name.clone(), gradient);
    }
    net.builder.output(LOSS, loss);
    net.builder.finish()
}

/// The model alone. Inputs: every parameter, [`SAMPLES`]. Output: [`LOGITS`].
///
/// # Errors
/// As [`parameters`].
pub fn inference(model: &ModelSpec, batch: u32) -> Result<Graph, GraphError> {
    let mut net = Net::new(model, batch)?;
    let logits = net.layers(model)?;
    net.builder.output(LOGITS, logits);
    net.builder.finish()
}

fn differentiated(model: &ModelSpec, batch: u32) -> Result<(Net, ValueId, Vec<ValueId>), GraphError> {
    let mut net = Net::new(model, batch)?;
    let logits = net.layers(model)?;
    let labels = net.builder.input(LABELS, TensorType::i32([batch]))?;
    let loss = net.builder.cross_entropy(logits, labels)?;
    let values: Vec<ValueId> = net.parameters.iter().map(|(_, value)| *value).collect();
    let gradient = gradients(&mut net.builder, loss, &values)?;
    Ok((net, loss, gradient))
}

struct Net {
    builder: GraphBuilder,
    parameters: Vec<(Parameter, ValueId)>,
    samples: ValueId,
}

impl Net {
    fn new(model: &ModelSpec, batch: u32) -> Result<Self, GraphError> {
        let mut builder = GraphBuilder::new();
        let mut shape = vec![batch];
        shape.extend(&model.input);
        let samples = builder.input(SAMPLES, TensorType::f32(shape))?;
        Ok(Self { builder, parameters: Vec::new(), samples })
    }

    fn layers(&mut self, model: &ModelSpec) -> Result<ValueId, GraphError> {
        let mut x = self.samples;
        for (layer, spec) in model.layers.iter().enumerate() {
            x = self.layer(layer, spec, x)?;
        }
        Ok(x)
    }

    fn layer(&mut self, layer: usize, spec: &LayerSpec, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = self.builder.value_type(x).shape.clone();
        let bad = |kind, reason| GraphError::BadLayer { layer, kind, shape: shape[1..].to_vec(), reason };
        match *spec {
            LayerSpec::Conv2d { out_channels, kernel, stride, padding } => {
                let [_, channels, _, _] = shape[..] else {
                    return Err(bad("conv2d", "it takes channels × height × width"));
                };
                let fan_in = u64::from(channels) * u64::from(kernel) * u64::from(kernel);
                let fan_in = u32::try_from(fan_in).map_err(|_| bad("conv2d", "the kernel is too large"))?;
                let weight = self.parameter(layer, "weight", vec![out_channels, channels, kernel, kernel], fan_in)?;
                let bias = self.parameter(layer, "bias", vec![out_channels], 0)?;
                self.builder.conv2d(x, weight, Some(bias), Window2d::square(stride, padding), 1)
            }
            LayerSpec::Relu => self.builder.unary(Unary::Relu, x),
            LayerSpec::MaxPool2d { size } => {
                if shape.len() != 4 {
                    return Err(bad("max_pool2d", "it takes channels × height × width"));
                }
                let axis = Axis2d { stride: size, ..Axis2d::DENSE };
                let window = Window2d { height: axis, width: axis };
                self.builder.apply(Op::MaxPool2d { window, kernel_height: size, kernel_width: size }, &[x])
            }
            LayerSpec::Flatten => self.flatten(x),
            LayerSpec::Dense { units } => {
                let x = self.flatten(x)?;
                let features = self.builder.value_type(x).shape[1];
                let weight = self.parameter(layer, "weight", vec![units, features], features)?;
                let bias = self.parameter(layer, "bias", vec![units], 0)?;
                self.builder.dense(x, weight, Some(bias))
            }
        }
    }

    fn flatten(&mut self, x: ValueId) -> Result<ValueId, GraphError> {
        let shape = &self.builder.value_type(x).shape;
        if shape.len() == 2 {
            return Ok(x);
        }
        // The whole tensor is within the element limit, so its features fit in u32.
        let features = shape[1..].iter().product();
        let shape = vec![shape[0], features];
        self.builder.reshape(x, &shape)
    }

    fn parameter(&mut self, layer: usize, part: &str, shape: Vec<u32>, fan_in: u32) -> Result<ValueId, GraphError> {
        let name = format!("layer{layer}.{part}");
        let value = self.builder.input(name.clone(), TensorType::f32(shape.clone()))?;
        self.parameters.push((Parameter { name, shape, fan_in }, value));
        Ok(value)
    }
}

//! What the bench's worker calls.

use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_graph::{Graph, GraphBuilder, GraphError};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{conv_net, decoder, decoder::Decoder, products};

/// A graph under construction, and those of its inputs that stay the same from run to run.
pub(crate) struct Program {
    pub(crate) builder: GraphBuilder,
    pub(crate) held: Vec<String>,
}

/// A graph, its tensors, and what its last run made. What it makes under an input's name is that input of the next run.
#[wasm_bindgen]
pub struct Work {
    executable: Executable,
    held: Vec<String>,
    inputs: Tensors,
    made: Tensors,
}

#[wasm_bindgen]
impl Work {
    /// `c` of f32 matrices `a` and `b`.
    pub fn product(n: u32, trans_a: bool, trans_b: bool) -> Result<Work, String> {
        Self::new(products::float(n, trans_a, trans_b))
    }

    /// `c` of `a` (u8) and `b` (i8).
    #[wasm_bindgen(js_name = integerProduct)]
    pub fn integer_product(n: u32) -> Result<Work, String> {
        Self::new(products::integer(n))
    }

    /// `logits` of images `x`.
    #[wasm_bindgen(js_name = convInference)]
    pub fn conv_inference(batch: u32) -> Result<Work, String> {
        Self::new(conv_net::inference(batch))
    }

    /// A step of SGD on images `x` with labels `y` at `rate`, and its `loss`.
    #[wasm_bindgen(js_name = convTraining)]
    pub fn conv_training(batch: u32) -> Result<Work, String> {
        Self::new(conv_net::training(batch))
    }

    /// `logits` of `ids`, which continue a cache of `past` tokens.
    pub fn decode(model: Decoder, count: u32, past: u32) -> Result<Work, String> {
        Self::new(decoder::inference(&model, count, past))
    }

    /// A step of Adam on `ids` that are to be followed by `labels`, at the step's `rate`, and its `loss`.
    #[wasm_bindgen(js_name = decoderTraining)]
    pub fn decoder_training(model: Decoder, batch: u32) -> Result<Work, String> {
        Self::new(decoder::training(&model, batch))
    }

    fn new(program: Result<Program, GraphError>) -> Result<Work, String> {
        let Program { builder, held } = program.map_err(|error| error.to_string())?;
        let graph = giving_back(builder, &held).map_err(|error| error.to_string())?;
        let inputs = graph.inputs().iter().filter(|(name, _)| !held.contains(name)).map(|(name, value)| {
            let of = graph.value_type(*value);
            let zeros = Data::from_bytes(of.dtype, &vec![0; of.bytes() as usize]);
            (name.clone(), Tensor::new(of.shape.clone(), zeros))
        });
        let inputs = inputs.collect();
        let executable =
            if cfg!(target_feature = "relaxed-simd") { Executable::tolerant(graph) } else { Executable::new(graph) };
        Ok(Work { inputs, executable, held, made: Tensors::new() })
    }

    /// Puts an input's elements, little-endian. Those that are not held are zeros until then.
    pub fn set(&mut self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let graph = self.executable.graph();
        let input = graph.inputs().iter().find(|(input, _)| input == name);
        let (_, value) = input.ok_or_else(|| format!("no input {name}"))?;
        let of = graph.value_type(*value);
        if bytes.len() as u64 != of.bytes() {
            return Err(format!("{name} has {} bytes, not {}", of.bytes(), bytes.len()));
        }
        let tensor = Tensor::new(of.shape.clone(), Data::from_bytes(of.dtype, bytes));
        if self.held.iter().any(|held| held == name) {
            let tensors = Tensors::from_iter([(name.to_owned(), tensor)]);
            return self.executable.hold(tensors).map_err(|error| error.to_string());
        }
        self.inputs.insert(name, tensor);
        Ok(())
    }

    /// Runs the graph so many times.
    pub fn run(&mut self, times: u32) -> Result<(), String> {
        for _ in 0..times {
            let mut made = self.executable.run(std::mem::take(&mut self.inputs)).map_err(|error| error.to_string())?;
            for (name, _) in self.executable.graph().inputs() {
                if let Some(next) = made.remove(name) {
                    self.inputs.insert(name.clone(), next);
                }
            }
            self.executable.recycle(std::mem::replace(&mut self.made, made));
        }
        Ok(())
    }

    /// What the last run made under a name, as f32.
    pub fn made(&self, name: &str) -> Result<Vec<f32>, String> {
        let tensor = self.made.get(name).ok_or_else(|| format!("no output {name}"))?;
        match tensor.data() {
            Data::F32(data) => Ok(data.clone()),
            Data::I32(data) => Ok(data.iter().map(|x| *x as f32).collect()),
            Data::I8(_) | Data::U8(_) => Err(format!("{name} has bytes")),
        }
    }
}

/// A run takes the inputs that are not held. Those that it makes nothing new for it gives back, so that nobody copies them.
fn giving_back(mut builder: GraphBuilder, held: &[String]) -> Result<Graph, GraphError> {
    let replaced: Vec<String> = builder.outputs().iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in builder.inputs().to_vec() {
        if !replaced.contains(&name) && !held.contains(&name) {
            builder.output(name, value);
        }
    }
    builder.finish()
}

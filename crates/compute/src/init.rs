//! Initial parameters: He-uniform weights (He et al., *Delving Deep into Rectifiers*, 2015) and zero biases; low-rank
//! adapters (Hu et al. 2021). Exact and from a seed, so that anybody can check where a job began.

use shoal_graph::{lora::Adapter, programs::parameters};
use shoal_wire::job::ModelSpec;

use crate::{error::ComputeError, seed::Uniform, tensor::Tensor, tensor::Tensors};

/// Parameters of a model drawn from one ChaCha8 stream in the order of [`parameters`]: a weight is u·√(6 / fan-in) with
/// u uniform in [−1, 1); a bias is zero and draws nothing.
///
/// # Errors
/// A model that cannot be built.
pub fn initial_parameters(model: &ModelSpec, seed: [u8; 32]) -> Result<Tensors, ComputeError> {
    let mut uniform = Uniform::new(seed);
    let mut tensors = Tensors::new();
    for parameter in parameters(model)? {
        let len: usize = parameter.shape.iter().map(|dim| *dim as usize).product();
        let data = if parameter.fan_in == 0 {
            vec![0.0; len]
        } else {
            let bound = (6.0 / parameter.fan_in as f32).sqrt();
            (0..len).map(|_| uniform.next() * bound).collect()
        };
        tensors.insert(parameter.name, Tensor::f32(parameter.shape, data));
    }
    Ok(tensors)
}

/// Adapters drawn from one ChaCha8 stream in their order: A is u·√(1 / in) with u uniform in [−1, 1), as in the authors'
/// code (the paper says Gaussian and names no variance), and B is zero and draws nothing, so that the adapted graph computes
/// at the start what the graph did.
pub fn initial_adapters(adapters: &[Adapter], seed: [u8; 32]) -> Tensors {
    let mut uniform = Uniform::new(seed);
    let mut tensors = Tensors::new();
    for adapter in adapters {
        let bound = (1.0 / adapter.inputs as f32).sqrt();
        let len = adapter.rank as usize * adapter.inputs as usize;
        let a = (0..len).map(|_| uniform.next() * bound).collect();
        tensors.insert(adapter.a.clone(), Tensor::f32(adapter.a_shape(), a));
        tensors.insert(adapter.b.clone(), Tensor::zeros(adapter.b_shape()));
    }
    tensors
}

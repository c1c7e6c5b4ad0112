//! What runs a graph. Backends differ in speed and in whether their floats are exact; everything else is the same, and
//! one parity suite runs on all of them.

use shoal_graph::Graph;

use crate::{error::ComputeError, tensor::Tensors};

/// Kind of backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// The CPU, natively or in WebAssembly.
    Cpu,
    /// WGSL kernels; floats within a bound of the CPU's.
    WebGpu,
}

impl BackendKind {
    /// Name for messages and reports.
    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Cpu => "cpu",
            BackendKind::WebGpu => "webgpu",
        }
    }
}

/// What a backend runs on, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendInfo {
    /// Kind.
    pub kind: BackendKind,
    /// Whether its results are bit-identical to exact/1.
    pub is_exact: bool,
    /// Name of the GPU adapter, or the architecture of the CPU.
    pub adapter: String,
    /// True for a GPU that is emulated in software, which browsers choose silently.
    pub is_fallback: bool,
    /// GPU kernels dispatched so far; 0 on a CPU.
    pub dispatches: u64,
}

/// Runs graphs. Asynchronous because a GPU answers later; the CPU's future is ready at once.
pub trait Backend {
    /// What it runs on.
    fn info(&self) -> BackendInfo;

    /// Runs the graph once. `inputs` holds exactly the graph's inputs; the result holds exactly its outputs.
    ///
    /// # Errors
    /// Tensors that do not fit the graph, labels out of range, and failures of the device. Whether outputs are finite
    /// is for the caller to check.
    fn run(&mut self, graph: &Graph, inputs: Tensors) -> impl Future<Output = Result<Tensors, ComputeError>>;
}

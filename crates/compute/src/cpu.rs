//! The CPU backend: runs a graph in exact/1, or as fast as it can within the bounds of tolerant work.

use shoal_graph::Graph;

use crate::{
    backend::{Backend, BackendInfo, BackendKind},
    error::ComputeError,
    executable::Executable,
    tensor::Tensors,
};

/// With relaxed SIMD the compiler may choose instructions whose results differ between machines for any code (minima and maxima),
/// so a module that is built for it is for tolerant work alone.
const IS_EXACT: bool = !cfg!(target_feature = "relaxed-simd");

/// The CPU. It keeps the plan and the memory of the graph that it ran last.
#[derive(Debug, Default)]
pub struct CpuBackend {
    tolerant: bool,
    last: Option<Executable>,
}

impl Backend for CpuBackend {
    fn info(&self) -> BackendInfo {
        let adapter = if cfg!(target_arch = "wasm32") { "wasm simd128" } else { std::env::consts::ARCH };
        BackendInfo {
            kind: BackendKind::Cpu,
            is_exact: !self.tolerant && IS_EXACT,
            adapter: adapter.to_owned(),
            is_fallback: false,
            dispatches: 0,
        }
    }

    fn run(&mut self, graph: &Graph, inputs: Tensors) -> impl Future<Output = Result<Tensors, ComputeError>> {
        std::future::ready(self.run_now(graph, inputs))
    }
}

impl CpuBackend {
    /// The reference backend of class exact/1.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backend for tolerant work: [`Executable::tolerant`].
    pub fn tolerant() -> Self {
        Self { tolerant: true, ..Self::default() }
    }

    /// [`Backend::run`] without the future.
    ///
    /// # Errors
    /// As [`Backend::run`].
    pub fn run_now(&mut self, graph: &Graph, inputs: Tensors) -> Result<Tensors, ComputeError> {
        let executable = match self.last.take() {
            Some(last) if last.graph() == graph => last,
            _ if self.tolerant => Executable::tolerant(graph.clone()),
            _ => Executable::new(graph.clone()),
        };
        self.last.insert(executable).run(inputs)
    }
}

//! Runs a graph: one [`Backend`] trait, CPU (SIMD) and WebGPU behind it.
//!
//! The CPU backend is the reference of class exact/1 (`docs/exact.md`): the same bits on every machine, in a tab and
//! natively. [`program`] runs a whole work unit on a backend, [`tolerance`] compares what a GPU computed with the
//! reference, [`evaluate`] measures a model, and [`vectors`] holds units with known answers for every target. Nothing
//! here does I/O, reads a clock or owns randomness: bytes and seeds are arguments.

mod backend;
mod cpu;
mod error;
pub mod evaluate;
mod executable;
pub mod init;
mod kernels;
pub mod program;
pub mod seed;
mod tensor;
pub mod tolerance;
pub mod vectors;
#[cfg(feature = "webgpu")]
mod webgpu;

pub use backend::{Backend, BackendInfo, BackendKind};
pub use cpu::CpuBackend;
pub use error::ComputeError;
pub use executable::Executable;
pub use tensor::{Data, Tensor, Tensors};
#[cfg(feature = "webgpu")]
pub use webgpu::{AdapterChoice, KernelChoice, Limit, Measured, TileSize, WebGpuBackend, adapter_names};

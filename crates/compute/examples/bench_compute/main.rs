//! Our side of `cargo xtask bench compute`: the CPU backend as a module for a dedicated worker, with the graphs of the
//! bench's workloads. `tests/src/bench/compute` drives it; there is nothing to run natively.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

#[cfg(target_arch = "wasm32")]
mod conv_net;
#[cfg(target_arch = "wasm32")]
mod decoder;
#[cfg(target_arch = "wasm32")]
mod products;
#[cfg(target_arch = "wasm32")]
pub mod tab;

fn main() {}

//! The CPU backend as a module for a dedicated worker, with the graphs of the bench's workloads, whose shapes
//! `tests/src/bench/compute` knows. A crate of its own, so that a tab loads the CPU backend and nothing else. Built with relaxed SIMD it
//! does tolerant work, without it exact.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs)]

mod conv_net;
mod decoder;
mod products;
mod tab;

//! The wasm-bindgen boundary of shoal-node: what a worker script sees of Shoal.
//!
//! One opaque class, [`Worker`], and a few functions. Configuration comes in and events go out as plain objects, whose
//! shapes are [`config::CoreConfig`] and `shoal_node::Event`; failures are `Error` objects with a stable `code`. Nothing
//! here decides anything: consent, keys and pages are JavaScript's, work is shoal-node's.

#![cfg(target_arch = "wasm32")]

mod config;
mod error;
mod gpu;
mod http;
mod platform;
mod storage;
mod vectors;
mod worker;

pub use gpu::webgpu_info;
pub use http::FetchHttp;
pub use storage::{OpfsStorage, quota};
pub use vectors::run_exact_vectors;
pub use worker::{Worker, generate_seed};

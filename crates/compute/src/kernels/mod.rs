//! Kernels of exact/1. The order of every floating-point operation here is the contract of `docs/exact.md`; a change
//! that alters one bit is exact/2. Rust neither contracts a·b + c nor reassociates, so the source order is the order.

pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod functions;
pub(crate) mod gather;
pub(crate) mod gemm;
pub(crate) mod integer;
pub(crate) mod integer_conv;
pub(crate) mod lanes;
pub(crate) mod math;
pub(crate) mod matrix;
pub(crate) mod pack;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod requantize;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod strided;

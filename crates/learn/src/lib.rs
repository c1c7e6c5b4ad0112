//! The pure maths of learning together: how the results of a round become the next parameters.
//!
//! [`federated_average`] is FedAvg (McMahan et al. 2017, Algorithm 1) with class exact/1 arithmetic: the same
//! contributions give the same bits on every machine and in whatever order they arrived. No I/O, no clock, no
//! randomness. Local optimisers run on the workers (`shoal-compute`); masking and compression are not here yet.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod average;
mod error;
pub mod limits;
mod parameters;

pub use average::{Contribution, Update, federated_average};
pub use error::LearnError;
pub use parameters::{Parameter, Parameters};

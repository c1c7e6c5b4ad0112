//! Sans-IO state machines: rounds, units, leases, verdicts.
//!
//! [`Coordinator`] is the relay's side of the work protocol as a value: inputs go in with the time they happened at,
//! outputs come out, and it says when it wants to be woken. It reads no clock, draws no random numbers and does no I/O;
//! who drives it follows the numbered contract in [`Coordinator`]'s documentation. The relay drives it with sockets
//! and a store, `shoal-sim` with a virtual clock and adversaries.
//!
//! Left out on purpose: what a unit computes, whether a result is right (the driver asks a validator and feeds the
//! verdict), who is paid (the driver writes receipts), and how a round's outputs are averaged (`shoal-learn`).

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod coordinator;
mod error;
mod input;
mod lease;
pub mod limits;
mod nonce;
mod output;
mod plan;
mod round;
mod time;
mod unit;
mod worker;

pub use coordinator::{Coordinator, RoundProgress, VerdictEffect, WorkerSnapshot};
pub use error::{InputError, PlanError};
pub use input::Input;
pub use output::{NoWorkReason, Output, RefusalReason, WithdrawnReason};
pub use plan::{AcceptedUnit, RoundPlan, UnitPlan};
pub use time::TimeMs;
pub use worker::{Owner, Standing, Strikes, WorkerProfile};

//! The native relay: plans jobs into work units, leases them to workers, checks and averages what comes back, and keeps
//! the receipts.
//!
//! The protocol's state is `shoal-mesh`'s, the arithmetic `shoal-compute`'s and `shoal-learn`'s, the money
//! `shoal-ledger`'s. Here are the sockets, the store and the clock around them: [`relay::Relay`] is the whole program.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod config;
pub mod connections;
pub mod context;
pub mod data_dir;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod plan;
pub mod relay;
pub mod rewards;
pub mod rounds;
pub mod store;
pub mod swarm;
pub mod validate;

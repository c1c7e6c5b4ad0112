//! Bindings to the contracts; nothing else in Shoal talks JSON-RPC.
//!
//! A [`ChainClient`] is a connection to one EVM chain, with a key or without. It deploys the contracts once
//! ([`ChainClient::deploy`]) and opens a [`Rewards`] on a deployment, which posts epochs, claims and reads what was
//! paid. [`anvil`] runs a chain on this machine for those who have none. Amounts, addresses, epochs and claims are
//! `shoal-ledger`'s types, so that callers never see the RPC library. When an epoch is due is the relay's business.

pub mod anvil;
mod bindings;
mod client;
mod deployment;
mod error;
mod key;
mod rewards;

pub use client::{ChainClient, Sent, Timeouts};
pub use deployment::{DeployTerms, Deployment};
pub use error::{ChainError, Revert};
pub use key::{KeyError, OperatorKey};
pub use rewards::{ClaimOutcome, Posting, Rewards};
/// The ledger's types that this crate takes and gives, so that a command-line tool needs no other crate.
pub use shoal_ledger::{AddressError, BaseUnits, Claim, EvmAddress, Keccak, NodeHash, outbox::PostedEpoch};

//! A chain on this machine, for those who have none: Foundry's anvil, found where npm or Foundry put it, run as a
//! child process that keeps its state in a file and never outlives the process that started it.
//!
//! Its accounts come from the mnemonic that every development chain uses: its tokens are worth nothing, and anybody on
//! this machine can spend them.

mod find;
mod local;

pub use find::{ANVIL_ENV, NotFound, find};
pub use local::{LocalChain, LocalChainError};

//! From receipts to a chain: the ledger's book kept in step with the store, epochs closed from it, and their roots posted
//! when there is a chain. Without one, receipts wait in the store; nothing else of the relay depends on it.

mod book;
mod chain;
mod task;

pub use book::{Book, BookError};
pub use chain::{ChainError, Opened, open};
pub use task::run;

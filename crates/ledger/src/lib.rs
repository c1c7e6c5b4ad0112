//! What accepted work earns, and the Merkle trees that pay it out.
//!
//! Receipts become [`Earnings`] at a fixed rate, earnings are closed into an [`Epoch`] whose tree is identical to the
//! one that the contract `RewardDistributor` checks, and [`outbox`] says which epoch the relay has to post next. All of
//! it is a pure function of the receipts and bindings in the store: no clock, no I/O, no randomness. Talking to a
//! chain is `shoal-chain`'s business; deciding what work is accepted is `shoal-mesh`'s.

pub mod address;
pub mod amount;
pub mod earnings;
pub mod epoch;
pub mod keccak;
pub mod merkle;
pub mod outbox;

pub use address::{AddressError, EvmAddress};
pub use amount::{AmountError, BASE_UNITS_PER_OPERATION, BaseUnits, reward};
pub use earnings::{AcceptedWork, Earnings, NodeEarnings, ReceiptError};
pub use epoch::{Claim, Epoch, EpochEntry, EpochError};
pub use keccak::{Keccak, NodeHash};

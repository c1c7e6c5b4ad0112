//! The contracts' ABI and bytecode, from the committed artifacts, and conversions between their types and the ledger's.

// What the macro generates is documented in the Solidity interfaces.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]

use alloy::primitives::{Address, U256};
use shoal_ledger::{BaseUnits, EvmAddress};

alloy::sol!(
    #[sol(rpc)]
    ShoalToken,
    "../../contracts/artifacts/ShoalToken.json"
);

alloy::sol!(
    #[derive(Debug)]
    #[sol(rpc)]
    RewardDistributor,
    "../../contracts/artifacts/RewardDistributor.json"
);

pub(crate) fn to_alloy(address: EvmAddress) -> Address {
    Address::from(*address.as_bytes())
}

/// `None` for the zero address.
pub(crate) fn from_alloy(address: Address) -> Option<EvmAddress> {
    EvmAddress::new(address.into_array()).ok()
}

/// Amounts of 2^128 and more are clamped: they occur only in errors of foreign contracts, and are only shown.
pub(crate) fn clamp(amount: U256) -> BaseUnits {
    BaseUnits(amount.saturating_to())
}

//! Where the contracts are, and what they start with.

use serde::{Deserialize, Serialize};
use shoal_ledger::{BaseUnits, EvmAddress};

/// The contracts on one chain: what `shoal chain deploy` writes and the relay reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// `ShoalToken`.
    pub token: EvmAddress,
    /// `RewardDistributor`.
    pub distributor: EvmAddress,
    /// The block of the distributor: none of its events is older.
    pub block: u64,
}

/// What a deployment starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeployTerms {
    /// Tokens that will ever exist; the deployer gets them.
    pub supply: BaseUnits,
    /// The part of them that is sent to the distributor at once, for rewards.
    pub budget: BaseUnits,
    /// Who may post epochs; the deployer itself if `None`. The deployer can replace it later.
    pub relay: Option<EvmAddress>,
}

impl Default for DeployTerms {
    /// 10^9 SHOAL, of which 10^6 are for rewards: 10^18 reference operations.
    fn default() -> Self {
        Self { supply: BaseUnits::tokens(1_000_000_000), budget: BaseUnits::tokens(1_000_000), relay: None }
    }
}

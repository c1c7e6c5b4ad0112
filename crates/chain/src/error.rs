//! What can go wrong between here and a contract.

use std::time::Duration;

use alloy::{
    contract,
    providers::{PendingTransactionError, WatchTxError},
    transports::{RpcError, TransportError},
};
use shoal_ledger::{BaseUnits, EvmAddress, Keccak, outbox::PostedEpoch};

use crate::bindings::{RewardDistributor::RewardDistributorErrors, ShoalToken::ShoalTokenErrors, clamp, from_alloy};

/// Why a call did not do what was asked. `call` names the operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not an http or https URL.
    #[error("{url} is not an http or https URL")]
    InvalidUrl {
        /// As given.
        url: String,
    },
    /// Nothing answers, or not in HTTP. Worth retrying.
    #[error("the chain at {url} cannot be reached for {call}: {detail}")]
    Unreachable {
        /// Where.
        url: String,
        /// The operation.
        call: &'static str,
        /// What the transport says.
        detail: String,
    },
    /// No answer in time. A transaction may still be mined: ask before sending it again. Worth retrying.
    #[error("{call} took longer than {after:?}")]
    Timeout {
        /// The operation.
        call: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The node answered with a JSON-RPC error other than a revert, such as an account without funds for gas.
    #[error("the chain refused {call}: {message} ({code})")]
    Refused {
        /// The operation.
        call: &'static str,
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The node's answer is not what the interface promises.
    #[error("the chain's answer to {call} makes no sense: {detail}")]
    Malformed {
        /// The operation.
        call: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A contract refused.
    #[error("{call}: {revert}")]
    Reverted {
        /// The operation.
        call: &'static str,
        /// Why.
        revert: Revert,
    },
    /// A transaction was mined and failed, though its rehearsal succeeded: something came before it.
    #[error("{call} failed in transaction {transaction}")]
    Failed {
        /// The operation.
        call: &'static str,
        /// The transaction's hash.
        transaction: Keccak,
    },
    /// The deployment is on another chain than the connection.
    #[error("the deployment is on chain {deployment}, the connection on chain {connected}")]
    WrongChain {
        /// Chain id of the deployment.
        deployment: u64,
        /// Chain id of the connection.
        connected: u64,
    },
    /// Nothing is deployed at the address: another chain, or a development chain that lost its state.
    #[error("no contract at {address} on chain {chain_id}")]
    NoContract {
        /// The address.
        address: EvmAddress,
        /// The chain's id.
        chain_id: u64,
    },
    /// A transaction was asked of a connection that has no key.
    #[error("{call} needs an operator key")]
    ReadOnly {
        /// The operation.
        call: &'static str,
    },
    /// The chain has this epoch with other contents, or a later one.
    #[error("epoch {asked} cannot be posted: the chain has epoch {} with root {}", posted.number, posted.root)]
    EpochTaken {
        /// The epoch that was to be posted.
        asked: u64,
        /// What is in force.
        posted: PostedEpoch,
    },
    /// The claim is for another root than the one in force: fetch it again.
    #[error("the claim is for epoch {claim_epoch}, the chain is at epoch {current}")]
    StaleClaim {
        /// The claim's epoch.
        claim_epoch: u64,
        /// The epoch in force, 0 if none.
        current: u64,
    },
}

impl ChainError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }
}

/// A contract's own error. See `contracts/src/IRewardDistributor.sol`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revert {
    /// The epoch is not after the one in force.
    #[error("epoch {posted} is not after epoch {current}")]
    EpochNotAscending {
        /// Asked for.
        posted: u64,
        /// In force.
        current: u64,
    },
    /// The total is smaller than the one in force.
    #[error("the total {posted} is less than {current}, the one in force")]
    TotalDecreased {
        /// Asked for.
        posted: BaseUnits,
        /// In force.
        current: BaseUnits,
    },
    /// The distributor holds less than the root promises: fund it.
    #[error("the distributor holds {balance} base units and would owe {owed}: it must be funded first")]
    Underfunded {
        /// Unpaid after the post.
        owed: BaseUnits,
        /// Held.
        balance: BaseUnits,
    },
    /// The proof does not lead to the root in force.
    #[error("the proof does not lead to the root in force")]
    InvalidProof,
    /// The claim exceeds what was posted.
    #[error("claims would reach {paid} base units of the {posted} posted")]
    TotalExceeded {
        /// With this claim.
        paid: BaseUnits,
        /// In force.
        posted: BaseUnits,
    },
    /// The account lacks the role.
    #[error("{account} does not have the role that is needed")]
    NotAuthorized {
        /// Who called.
        account: EvmAddress,
    },
    /// The account has too few tokens to send.
    #[error("{balance} base units are there, {needed} are needed")]
    InsufficientTokens {
        /// What the account has.
        balance: BaseUnits,
        /// What the transfer needs.
        needed: BaseUnits,
    },
    /// An error that these contracts do not name themselves.
    #[error("reverted with {data}")]
    Other {
        /// The revert data, hexadecimal.
        data: String,
    },
}

impl Revert {
    fn decode(error: &contract::Error) -> Option<Self> {
        let data = error.as_revert_data()?;
        let known = error.as_decoded_interface_error::<RewardDistributorErrors>().and_then(Self::of_distributor);
        let known = known.or_else(|| error.as_decoded_interface_error::<ShoalTokenErrors>().and_then(Self::of_token));
        Some(known.unwrap_or(Self::Other { data: data.to_string() }))
    }

    fn of_distributor(error: RewardDistributorErrors) -> Option<Self> {
        use RewardDistributorErrors as E;
        Some(match error {
            E::EpochNotAscending(e) => Self::EpochNotAscending { posted: e.posted, current: e.current },
            E::TotalDecreased(e) => Self::TotalDecreased { posted: clamp(e.posted), current: clamp(e.current) },
            E::Underfunded(e) => Self::Underfunded { owed: clamp(e.owed), balance: clamp(e.balance) },
            E::InvalidProof(_) => Self::InvalidProof,
            E::TotalExceeded(e) => Self::TotalExceeded { paid: clamp(e.paid), posted: clamp(e.posted) },
            E::AccessControlUnauthorizedAccount(e) => Self::NotAuthorized { account: from_alloy(e.account)? },
            _ => return None,
        })
    }

    fn of_token(error: ShoalTokenErrors) -> Option<Self> {
        match error {
            ShoalTokenErrors::ERC20InsufficientBalance(e) => {
                Some(Self::InsufficientTokens { balance: clamp(e.balance), needed: clamp(e.needed) })
            }
            _ => None,
        }
    }
}

/// Turns the RPC library's errors into ours, for one operation on one chain.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) url: &'a str,
    pub(crate) call: &'static str,
    /// How long a transaction may take to be mined.
    pub(crate) mined_within: Duration,
}

impl Context<'_> {
    pub(crate) fn contract(self, error: contract::Error) -> ChainError {
        if let Some(revert) = Revert::decode(&error) {
            return ChainError::Reverted { call: self.call, revert };
        }
        match error {
            contract::Error::TransportError(error) => self.transport(error),
            contract::Error::PendingTransactionError(error) => self.pending(error),
            error => self.malformed(error),
        }
    }

    pub(crate) fn pending(self, error: PendingTransactionError) -> ChainError {
        match error {
            PendingTransactionError::TransportError(error) => self.transport(error),
            PendingTransactionError::TxWatcher(WatchTxError::Timeout) => {
                ChainError::Timeout { call: self.call, after: self.mined_within }
            }
            error => self.malformed(error),
        }
    }

    pub(crate) fn transport(self, error: TransportError) -> ChainError {
        match error {
            RpcError::ErrorResp(payload) => {
                ChainError::Refused { call: self.call, code: payload.code, message: payload.message.into_owned() }
            }
            RpcError::Transport(kind) => {
                ChainError::Unreachable { url: self.url.to_owned(), call: self.call, detail: causes(&kind) }
            }
            error => self.malformed(error),
        }
    }

    pub(crate) fn malformed(self, detail: impl ToString) -> ChainError {
        ChainError::Malformed { call: self.call, detail: detail.to_string() }
    }
}

/// The error and its causes in one line: the HTTP client keeps "connection refused" at the bottom.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

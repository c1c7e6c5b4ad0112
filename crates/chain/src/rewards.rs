//! The reward contracts of one deployment: post, claim, read.

use alloy::{
    eips::BlockId,
    primitives::{FixedBytes, U256},
    providers::{DynProvider, Provider},
};
use shoal_ledger::{BaseUnits, Claim, EvmAddress, Keccak, NodeHash, outbox::PostedEpoch};

use crate::{
    bindings::{
        RewardDistributor::{self, RewardDistributorInstance},
        ShoalToken::ShoalTokenInstance,
        to_alloy,
    },
    client::{ChainClient, Sent},
    deployment::Deployment,
    error::ChainError,
};

/// What came of posting an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posting {
    /// It is in force now.
    Posted(Sent),
    /// It was in force before, with the same root and total.
    AlreadyPosted,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimOutcome {
    /// What was paid by it.
    pub paid: BaseUnits,
    /// The transaction; `None` if everything had been paid before and none was needed.
    pub sent: Option<Sent>,
}

/// The reward contracts of one deployment.
#[derive(Clone, Debug)]
pub struct Rewards {
    client: ChainClient,
    deployment: Deployment,
    token: ShoalTokenInstance<DynProvider>,
    distributor: RewardDistributorInstance<DynProvider>,
}

impl Rewards {
    pub(crate) fn new(client: ChainClient, deployment: Deployment) -> Self {
        let token = ShoalTokenInstance::new(to_alloy(deployment.token), client.provider.clone());
        let distributor = RewardDistributorInstance::new(to_alloy(deployment.distributor), client.provider.clone());
        Self { client, deployment, token, distributor }
    }

    /// Where the contracts are.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The connection.
    pub fn client(&self) -> &ChainClient {
        &self.client
    }

    /// The epoch in force, `None` before the first.
    pub async fn posted(&self) -> Result<Option<PostedEpoch>, ChainError> {
        // All three at one block, so that a post in between cannot mix two epochs.
        let block = self.client.ask("block number", self.client.provider.get_block_number()).await?;
        let block = BlockId::number(block);
        let number = self.client.view("epoch", self.distributor.epoch().block(block).call().into_future()).await?;
        if number == 0 {
            return Ok(None);
        }
        let root = self.client.view("root", self.distributor.root().block(block).call().into_future()).await?;
        let total = self.distributor.cumulativeTotal().block(block);
        let total = self.amount("cumulativeTotal", total.call().into_future()).await?;
        Ok(Some(PostedEpoch { number, root: Keccak(root.0), total }))
    }

    /// Puts an epoch in force. Idempotent: may be repeated after a crash, a timeout or a lost answer.
    ///
    /// # Errors
    /// [`ChainError::EpochTaken`] if the chain has another epoch of this number or a later one; `Reverted` with
    /// `Underfunded` if the distributor must be funded first.
    pub async fn post_root(&self, number: u64, root: Keccak, total: BaseUnits) -> Result<Posting, ChainError> {
        let epoch = PostedEpoch { number, root, total };
        match self.posted().await? {
            Some(posted) if posted == epoch => return Ok(Posting::AlreadyPosted),
            Some(posted) if posted.number >= number => return Err(ChainError::EpochTaken { asked: number, posted }),
            _ => {}
        }
        let post = self.distributor.postRoot(number, FixedBytes(root.0), U256::from(total.0));
        match self.client.transact("postRoot", post).await {
            Ok((sent, _)) => Ok(Posting::Posted(sent)),
            // A transaction sent before, by this process or one that was killed, may have been mined meanwhile.
            Err(error) => match self.posted().await {
                Ok(Some(posted)) if posted == epoch => Ok(Posting::AlreadyPosted),
                _ => Err(error),
            },
        }
    }

    /// Pays a claim. Anyone may, for anyone. Sends nothing if everything was paid before.
    ///
    /// # Errors
    /// [`ChainError::StaleClaim`] if the claim does not lead to the root in force.
    pub async fn claim(&self, claim: &Claim) -> Result<ClaimOutcome, ChainError> {
        let posted = self.posted().await?;
        if posted.is_none_or(|posted| posted.root != claim.root()) {
            let current = posted.map_or(0, |posted| posted.number);
            return Err(ChainError::StaleClaim { claim_epoch: claim.epoch, current });
        }
        if self.claimed(&claim.node_hash, claim.payout).await? >= claim.cumulative {
            return Ok(ClaimOutcome { paid: BaseUnits::ZERO, sent: None });
        }
        let call = self.distributor.claim(
            FixedBytes(claim.node_hash.0),
            to_alloy(claim.payout),
            U256::from(claim.cumulative.0),
            claim.proof.iter().map(|sibling| FixedBytes(sibling.0)).collect(),
        );
        let (sent, receipt) = self.client.transact("claim", call).await?;
        // No event: another claim for the same leaf was mined first, and this one paid nothing.
        let paid = match receipt.decoded_log::<RewardDistributor::Claimed>() {
            Some(event) => self.narrow("claim", event.amount)?,
            None => BaseUnits::ZERO,
        };
        Ok(ClaimOutcome { paid, sent: Some(sent) })
    }

    /// What was paid so far for a node at a payout address.
    pub async fn claimed(&self, node: &NodeHash, payout: EvmAddress) -> Result<BaseUnits, ChainError> {
        let call = self.distributor.claimed(FixedBytes(node.0), to_alloy(payout));
        self.amount("claimed", call.call().into_future()).await
    }

    /// Everything the distributor paid so far.
    pub async fn total_paid(&self) -> Result<BaseUnits, ChainError> {
        self.amount("totalPaid", self.distributor.totalPaid().call().into_future()).await
    }

    /// Tokens of an account.
    pub async fn balance(&self, account: EvmAddress) -> Result<BaseUnits, ChainError> {
        self.amount("balanceOf", self.token.balanceOf(to_alloy(account)).call().into_future()).await
    }

    /// Tokens the distributor holds: promised ones and those for epochs to come.
    pub async fn budget(&self) -> Result<BaseUnits, ChainError> {
        self.balance(self.deployment.distributor).await
    }

    /// Sends tokens of the client's account to the distributor. They leave it only by claims.
    pub async fn fund(&self, amount: BaseUnits) -> Result<Sent, ChainError> {
        let transfer = self.token.transfer(to_alloy(self.deployment.distributor), U256::from(amount.0));
        Ok(self.client.transact("fund", transfer).await?.0)
    }

    async fn amount(
        &self,
        call: &'static str,
        request: impl Future<Output = Result<U256, alloy::contract::Error>>,
    ) -> Result<BaseUnits, ChainError> {
        self.narrow(call, self.client.view(call, request).await?)
    }

    fn narrow(&self, call: &'static str, amount: U256) -> Result<BaseUnits, ChainError> {
        u128::try_from(amount)
            .map(BaseUnits)
            .map_err(|_| self.client.context(call).malformed("2^128 base units or more"))
    }
}

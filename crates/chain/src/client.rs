//! A connection to one chain.

use std::{sync::Arc, time::Duration};

use alloy::{
    contract::{CallBuilder, CallDecoder},
    network::EthereumWallet,
    primitives::U256,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::TransactionReceipt,
    transports::{TransportError, http::reqwest::Url},
};
use shoal_ledger::{EvmAddress, Keccak};
use tokio::sync::Mutex;

use crate::{
    bindings::{RewardDistributor, ShoalToken, from_alloy, to_alloy},
    deployment::{DeployTerms, Deployment},
    error::{ChainError, Context},
    key::OperatorKey,
    rewards::Rewards,
};

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For one request and its answer.
    pub call: Duration,
    /// From sending a transaction until a block holds it.
    pub mined: Duration,
}

impl Default for Timeouts {
    /// 10 s for an answer over a bad line; 3 minutes for a block, 15 slots of Ethereum's main chain.
    fn default() -> Self {
        Self { call: Duration::from_secs(10), mined: Duration::from_secs(180) }
    }
}

/// A transaction that is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub transaction: Keccak,
    /// Its block.
    pub block: u64,
    /// Gas it used.
    pub gas: u64,
}

/// A connection to one chain over HTTP. Clones share it. Transactions of one client are sent one after another.
#[derive(Clone, Debug)]
pub struct ChainClient {
    url: Arc<str>,
    pub(crate) provider: DynProvider,
    chain_id: u64,
    account: Option<EvmAddress>,
    timeouts: Timeouts,
    sending: Arc<Mutex<()>>,
}

impl ChainClient {
    /// Connects with a key that pays for transactions, and asks for the chain's id.
    pub async fn connect(url: &str, key: &OperatorKey) -> Result<Self, ChainError> {
        Self::connect_with(url, Some(key), Timeouts::default()).await
    }

    /// Connects for reading only.
    pub async fn read_only(url: &str) -> Result<Self, ChainError> {
        Self::connect_with(url, None, Timeouts::default()).await
    }

    /// Connects with a key or without.
    pub async fn connect_with(url: &str, key: Option<&OperatorKey>, timeouts: Timeouts) -> Result<Self, ChainError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let parsed = parsed.ok_or_else(|| ChainError::InvalidUrl { url: url.to_owned() })?;
        // Nonces are asked for each time: a remembered one would be wrong after a development chain lost blocks.
        let builder = ProviderBuilder::default().with_gas_estimation().with_simple_nonce_management().fetch_chain_id();
        let provider = match key {
            Some(key) => builder.wallet(EthereumWallet::from(key.signer())).connect_http(parsed).erased(),
            None => builder.connect_http(parsed).erased(),
        };
        let mut client = Self {
            url: url.into(),
            provider,
            chain_id: 0,
            account: key.map(OperatorKey::address),
            timeouts,
            sending: Arc::default(),
        };
        client.chain_id = client.ask("chain id", client.provider.get_chain_id()).await?;
        Ok(client)
    }

    /// The chain's id (EIP-155).
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The account that pays for transactions; `None` when reading only.
    pub fn account(&self) -> Option<EvmAddress> {
        self.account
    }

    /// Deploys the token and the distributor, and funds the distributor. Three transactions; if one fails, those
    /// before it stay on chain without effect.
    pub async fn deploy(&self, terms: &DeployTerms) -> Result<Deployment, ChainError> {
        let deployer = self.account.ok_or(ChainError::ReadOnly { call: "deploy" })?;
        let relay = terms.relay.unwrap_or(deployer);
        let supply = U256::from(terms.supply.0);
        let token = ShoalToken::deploy_builder(self.provider.clone(), to_alloy(deployer), supply);
        let (token, _) = self.create("deploy the token", token).await?;
        let [admin, relay, token_address] = [deployer, relay, token].map(to_alloy);
        let distributor = RewardDistributor::deploy_builder(self.provider.clone(), token_address, admin, relay);
        let (distributor, block) = self.create("deploy the distributor", distributor).await?;

        let deployment = Deployment { chain_id: self.chain_id, token, distributor, block };
        self.rewards(&deployment).await?.fund(terms.budget).await?;
        Ok(deployment)
    }

    /// Opens a deployment, after checking that it is on this chain and its contracts are there.
    pub async fn rewards(&self, deployment: &Deployment) -> Result<Rewards, ChainError> {
        if deployment.chain_id != self.chain_id {
            return Err(ChainError::WrongChain { deployment: deployment.chain_id, connected: self.chain_id });
        }
        for address in [deployment.token, deployment.distributor] {
            let code = self.ask("code", self.provider.get_code_at(to_alloy(address)).into_future()).await?;
            if code.is_empty() {
                return Err(ChainError::NoContract { address, chain_id: self.chain_id });
            }
        }
        Ok(Rewards::new(self.clone(), *deployment))
    }

    /// Native coins of an account, in wei: what it can pay gas with.
    pub async fn gas_balance(&self, account: EvmAddress) -> Result<u128, ChainError> {
        let balance = self.provider.get_balance(to_alloy(account)).into_future();
        Ok(self.ask("gas balance", balance).await?.saturating_to())
    }

    async fn create<P: Provider, D: CallDecoder>(
        &self,
        call: &'static str,
        contract: CallBuilder<P, D>,
    ) -> Result<(EvmAddress, u64), ChainError> {
        let (sent, receipt) = self.transact(call, contract).await?;
        let address = receipt.contract_address.and_then(from_alloy);
        let address = address.ok_or_else(|| self.context(call).malformed("no address of the new contract"))?;
        Ok((address, sent.block))
    }

    /// Sends a transaction and waits for its block. Rehearsed first (gas estimation), so that a revert costs nothing.
    pub(crate) async fn transact<P: Provider, D: CallDecoder>(
        &self,
        call: &'static str,
        transaction: CallBuilder<P, D>,
    ) -> Result<(Sent, TransactionReceipt), ChainError> {
        if self.account.is_none() {
            return Err(ChainError::ReadOnly { call });
        }
        let context = self.context(call);
        // Two at once would be given the same nonce.
        let _turn = self.sending.lock().await;
        // Estimating gas, asking for fees and the nonce, and sending: a few requests in a row.
        let pending = self.within(call, 4 * self.timeouts.call, transaction.send()).await?;
        let pending = pending.map_err(|error| context.contract(error))?;
        let mined = pending.with_timeout(Some(self.timeouts.mined)).get_receipt();
        // The library's limit does not hold while a request hangs.
        let receipt = self.within(call, self.timeouts.mined + self.timeouts.call, mined).await?;
        let receipt = receipt.map_err(|error| context.pending(error))?;

        let transaction = Keccak(receipt.transaction_hash.0);
        if !receipt.status() {
            return Err(ChainError::Failed { call, transaction });
        }
        let block = receipt.block_number.ok_or_else(|| context.malformed("a receipt without a block"))?;
        let sent = Sent { transaction, block, gas: receipt.gas_used };
        tracing::debug!(call, %transaction, block, gas = sent.gas, "transaction mined");
        Ok((sent, receipt))
    }

    /// Waits for a plain request.
    pub(crate) async fn ask<T>(
        &self,
        call: &'static str,
        request: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, ChainError> {
        let answer = self.within(call, self.timeouts.call, request).await?;
        answer.map_err(|error| self.context(call).transport(error))
    }

    /// Waits for a contract's view.
    pub(crate) async fn view<T>(
        &self,
        call: &'static str,
        request: impl Future<Output = Result<T, alloy::contract::Error>>,
    ) -> Result<T, ChainError> {
        let answer = self.within(call, self.timeouts.call, request).await?;
        answer.map_err(|error| self.context(call).contract(error))
    }

    async fn within<T>(
        &self,
        call: &'static str,
        after: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, ChainError> {
        tokio::time::timeout(after, work).await.map_err(|_| ChainError::Timeout { call, after })
    }

    pub(crate) fn context(&self, call: &'static str) -> Context<'_> {
        Context { url: &self.url, call, mined_within: self.timeouts.mined }
    }
}

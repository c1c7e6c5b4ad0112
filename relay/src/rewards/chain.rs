//! The chain that epochs are posted to: one that the configuration names, or an anvil of our own whose state and
//! deployment live in the data folder.

use std::{
    io,
    path::{Path, PathBuf},
};

use shoal_chain::{
    ChainClient, DeployTerms, Deployment, KeyError, OperatorKey, Rewards,
    anvil::{self, LocalChain, LocalChainError},
};
use shoal_wire::api::ChainInfo;

use crate::{config::Config, data_dir::read_bounded};

/// Largest key or deployment file, bytes; real ones have a few hundred.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// A chain that cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No anvil and no URL: receipts queue.
    #[error(transparent)]
    NoAnvil(#[from] anvil::NotFound),
    /// The anvil does not start.
    #[error(transparent)]
    Anvil(#[from] LocalChainError),
    /// The chain refuses or does not answer.
    #[error(transparent)]
    Rpc(#[from] shoal_chain::ChainError),
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file holds no key.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The deployment file is malformed.
    #[error("{}: {source}", path.display())]
    Deployment {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl ChainError {
    /// Whether trying again without a restart makes sense.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Rpc(error) => error.is_transient(),
            Self::NoAnvil(_) | Self::Anvil(_) | Self::File { .. } | Self::Key { .. } | Self::Deployment { .. } => false,
        }
    }
}

/// A chain ready to be posted to.
#[derive(Debug)]
pub struct Opened {
    /// The contracts.
    pub rewards: Rewards,
    /// What workers and claimants need to know.
    pub info: ChainInfo,
    /// Our own anvil, which stops with this value.
    pub local: Option<LocalChain>,
}

/// Opens the configured chain, or starts a local one whose files are in `folder`.
///
/// # Errors
/// See [`ChainError`].
pub async fn open(config: &Config, folder: &Path) -> Result<Opened, ChainError> {
    match (&config.chain_url, &config.chain_key_file, &config.deployment) {
        (Some(url), Some(key_file), Some(deployment)) => open_remote(url, key_file, deployment).await,
        _ => open_local(config.anvil.as_deref(), folder).await,
    }
}

async fn open_remote(url: &str, key_file: &Path, deployment: &Path) -> Result<Opened, ChainError> {
    let key: OperatorKey =
        read(key_file)?.parse().map_err(|source| ChainError::Key { path: key_file.to_owned(), source })?;
    let deployment = read_deployment(deployment)?;
    let client = ChainClient::connect(url, &key).await?;
    let rewards = client.rewards(&deployment).await?;
    Ok(Opened { info: info(url, &deployment), rewards, local: None })
}

async fn open_local(binary: Option<&Path>, folder: &Path) -> Result<Opened, ChainError> {
    let binary = match binary {
        Some(binary) => binary.to_owned(),
        None => anvil::find()?,
    };
    let chain = LocalChain::start(&binary, &folder.join("anvil.json"), 0).await?;
    let client = ChainClient::connect(chain.url(), &LocalChain::developer_key()).await?;
    let path = folder.join("deployment.json");
    let known = if path.exists() { Some(read_deployment(&path)?) } else { None };
    let opened = match known {
        Some(deployment) => match client.rewards(&deployment).await {
            // A development chain that was killed may have lost its last blocks, and with them the contracts.
            Err(shoal_chain::ChainError::NoContract { .. }) => None,
            other => Some(other?),
        },
        None => None,
    };
    let rewards = match opened {
        Some(rewards) => rewards,
        None => {
            let deployment = client.deploy(&DeployTerms::default()).await?;
            let text = serde_json::to_string_pretty(&deployment).expect("a deployment is plain data");
            std::fs::write(&path, text).map_err(|source| ChainError::File { path: path.clone(), source })?;
            tracing::info!(token = %deployment.token, distributor = %deployment.distributor, "contracts deployed");
            client.rewards(&deployment).await?
        }
    };
    tracing::info!(
        url = chain.url(),
        "no chain URL given: a local development chain runs, its tokens are worth nothing"
    );
    Ok(Opened { info: info(chain.url(), rewards.deployment()), rewards, local: Some(chain) })
}

fn info(url: &str, deployment: &Deployment) -> ChainInfo {
    ChainInfo {
        chain_id: deployment.chain_id,
        rpc_url: url.to_owned(),
        token: deployment.token.to_string(),
        distributor: deployment.distributor.to_string(),
    }
}

fn read(path: &Path) -> Result<String, ChainError> {
    let bytes = read_bounded(path, MAX_FILE_LEN);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    text.map_err(|source| ChainError::File { path: path.to_owned(), source })
}

fn read_deployment(path: &Path) -> Result<Deployment, ChainError> {
    serde_json::from_str(&read(path)?).map_err(|source| ChainError::Deployment { path: path.to_owned(), source })
}

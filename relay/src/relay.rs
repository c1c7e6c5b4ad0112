//! A relay from start to stop.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use libp2p::{Multiaddr, multiaddr::Protocol};
use shoal_transport::webrtc::native::Certificate;
use shoal_wire::{
    api::{JoinInfo, RelayReady},
    envelope::NodeKey,
};
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    config::Config,
    connections::Connections,
    context::Context,
    data_dir::DataDir,
    engine::{Engine, EngineError, EngineHandle},
    http,
    rewards::{self, Book},
    store::{Store, blobs::BlobStore},
    swarm::{Listening, Membership, Node},
};

/// Time for what was said last to reach the workers.
const FAREWELL: Duration = Duration::from_millis(300);

/// Time for each part to stop: long enough for a request in progress and for a local chain to write its state.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running relay.
pub struct Relay {
    ready: RelayReady,
    context: Arc<Context>,
    engine: EngineHandle,
    stop: watch::Sender<bool>,
    engine_task: JoinHandle<Result<(), EngineError>>,
    others: Vec<JoinHandle<()>>,
    /// Locked for as long as the relay runs.
    _data: DataDir,
}

impl Relay {
    /// Starts everything; returns once everything listens.
    ///
    /// # Errors
    /// A data folder in use or damaged, ports that are taken.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let data = DataDir::open(&config.data_dir)?;
        data.bind_network(&config.network)?;
        let seed = data.secret("node-key")?;
        let token = hex::encode(data.secret("api-token")?);
        let secret = if config.private { Some(data.secret("join-secret")?) } else { None };
        let certificate = certificate(&data)?;
        let key = NodeKey::from_seed(&seed, config.network.clone());
        let store = Store::open(&data.path("relay.sqlite")).await?;
        let blobs = BlobStore::open(data.path("blobs")).context("opening the blob folder")?;
        let connections = Connections::default();
        let node = Node::listen(&seed, certificate, Listening::of(&config)?, connections.clone()).await?;
        let listener = TcpListener::bind(config.http_addr).await;
        let listener = listener.with_context(|| format!("listening on http://{}", config.http_addr))?;
        let http_addr = listener.local_addr().context("http")?;

        let book = Book::load(&store).await.context("reading receipts and bindings")?;
        let context = Arc::new(Context::new(store, blobs, key, connections));
        let (engine, handle) = Engine::new(context.clone(), node.fetcher(context.clone()), config.validators)?;
        let join = JoinInfo {
            network: config.network.clone(),
            relay: context.key.node_id(),
            addresses: announced(&node, &config),
            private: config.private,
            chain: None,
        };
        context.set_join_info(join.clone());
        let membership = Arc::new(Membership {
            network: config.network.clone(),
            relay: context.key.node_id(),
            secret,
            chain_id: std::sync::OnceLock::new(),
        });

        let (stop, stopped) = watch::channel(false);
        let book = Arc::new(Mutex::new(book));
        let app = http::App::new(context.clone(), handle.clone(), book.clone(), config.private, stopped.clone());
        let guard = http::Guard::new(http_addr.ip(), token);
        let router = http::router(app, guard, &config, &join.addresses);
        let serving = http::serve(listener, router, stopped.clone());
        let engine_task = tokio::spawn(engine.run());
        let others = vec![
            tokio::spawn(node.run(
                context.clone(),
                handle.clone(),
                membership.clone(),
                config.blob_sources.clone(),
                stopped.clone(),
            )),
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "http");
                }
            }),
            tokio::spawn(rewards::run(context.clone(), book, membership, config.clone(), data.path("chain"), stopped)),
        ];
        let ready = RelayReady {
            join,
            http: format!("http://{}", reachable(http_addr)),
            join_secret_file: config.private.then(|| data.path("join-secret").display().to_string()),
            api_token_file: data.path("api-token").display().to_string(),
        };
        tracing::info!(relay = %ready.join.relay, http = ready.http, addresses = ?ready.join.addresses, "relay listens");
        if let Some(path) = &config.ready_file {
            write_ready(path, &ready).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Self { ready, context, engine: handle, stop, engine_task, others, _data: data })
    }

    /// Where and how it can be reached.
    pub fn ready(&self) -> &RelayReady {
        &self.ready
    }

    /// Runs until `until` is done or the engine fails, then stops everything in order: workers are told, requests are
    /// finished, the store is closed.
    ///
    /// # Errors
    /// A store that failed.
    pub async fn run_until(mut self, until: impl Future<Output = ()>) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = until => None,
            ended = &mut self.engine_task => Some(ended),
        };
        tracing::info!("relay stops");
        if failed.is_none() {
            self.engine.shut_down().await;
            tokio::time::sleep(FAREWELL).await;
        }
        // Nobody listening any more is what this is for.
        let _ = self.stop.send(true);
        for task in self.others {
            if timeout(STOP_TIMEOUT, task).await.is_err() {
                tracing::warn!("a part of the relay did not stop in time");
            }
        }
        let ended = match failed {
            Some(ended) => ended,
            None => timeout(STOP_TIMEOUT, self.engine_task).await.context("the engine did not stop in time")?,
        };
        self.context.store.close().await;
        ended.context("the engine panicked")?.context("the engine failed")
    }
}

/// The certificate's hash is part of the relay's address, so it stays.
fn certificate(data: &DataDir) -> anyhow::Result<Certificate> {
    let name = "webrtc-certificate";
    let generated = Certificate::generate().context("making the WebRTC certificate")?;
    let bytes = data.private_file(name, || generated.to_bytes())?;
    Certificate::from_bytes(&bytes).with_context(|| format!("reading {}", data.path(name).display()))
}

/// Addresses that workers are told, each with the relay's name.
fn announced(node: &Node, config: &Config) -> Vec<String> {
    let with_ip = |address: &Multiaddr, ip: std::net::IpAddr| {
        Multiaddr::from(ip).into_iter().chain(address.iter().skip(1)).collect::<Multiaddr>()
    };
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for address in node.addresses() {
        // Certificates are for names.
        if let (Some(name), true) = (&config.tls_name, address.iter().any(|part| part == Protocol::Tls)) {
            let named = std::iter::once(Protocol::Dns(name.into())).chain(address.iter().skip(1));
            addresses.push(named.collect());
            continue;
        }
        if config.advertise.is_empty() {
            addresses.push(address.clone());
        }
        addresses.extend(config.advertise.iter().map(|ip| with_ip(address, *ip)));
    }
    let mut texts: Vec<String> =
        addresses.into_iter().map(|address| address.with(Protocol::P2p(node.peer_id())).to_string()).collect();
    texts.sort();
    texts.dedup();
    texts
}

/// An address that this machine can open: a server bound to all addresses is on loopback too.
fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        ip if !ip.is_unspecified() => bound,
        std::net::IpAddr::V4(_) => SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, bound.port())),
        std::net::IpAddr::V6(_) => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, bound.port())),
    }
}

/// Whole or not at all: whoever waits for the file reads it as soon as it is there.
fn write_ready(path: &Path, ready: &RelayReady) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, serde_json::to_vec_pretty(ready).expect("plain data"))?;
    std::fs::rename(&unfinished, path)
}

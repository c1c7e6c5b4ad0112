//! The relay's libp2p node: QUIC and TCP for native workers, webrtc-direct and WebSocket for tabs, a session for each
//! worker, blobs both ways.
//!
//! The swarm itself runs in one task that only keeps connections going. Each work stream is a session in a task of its
//! own ([`session`]), each blob stream a transfer ([`serve`], [`Fetcher`]). Everything a peer may hold is bounded here.

mod fetch;
mod handshake;
mod listen;
mod serve;
mod session;
mod transports;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    connection_limits::{self, ConnectionLimits},
    identify, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use shoal_transport::{peer::keypair, streams, webrtc::native};
use shoal_wire::version::{BLOB_PROTOCOL, IDENTIFY_PROTOCOL, WORK_PROTOCOL};
use tokio::sync::{mpsc, watch};

pub use fetch::Fetcher;
pub use handshake::Membership;
pub use listen::Listening;

use crate::{config::SourceTemplate, connections::Connections, context::Context, engine::EngineHandle};

/// Connections at once: a few more than the coordinator takes workers, so that those too many are told so.
const MAX_CONNECTIONS: u32 = 10_100;

/// Handshakes at once; each holds a task and some buffers.
const MAX_PENDING: u32 = 256;

/// Connections of one peer: one, and a new one before the old is found dead.
const MAX_CONNECTIONS_PER_PEER: u32 = 2;

/// How long a connection without streams stays: a worker that reopens its session needs a moment.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often rates are looked at; each is measured over two seconds at least.
const RATE_TICK: Duration = Duration::from_secs(1);

/// How long listening may take to begin: binding sockets is immediate.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// Name and version in `Welcome` and identify.
pub const AGENT: &str = concat!("shoal-relay/", env!("CARGO_PKG_VERSION"));

/// A node that listens and has no sessions yet.
pub struct Node {
    swarm: Swarm<Behaviour>,
    control: streams::Control,
    addresses: Vec<Multiaddr>,
    connections: Connections,
}

impl Node {
    /// Binds the sockets and waits until the addresses are known.
    ///
    /// # Errors
    /// Ports that are taken.
    pub async fn listen(
        seed: &[u8; 32],
        certificate: native::Certificate,
        listening: Listening,
        connections: Connections,
    ) -> anyhow::Result<Self> {
        let key = keypair(seed);
        let streams = streams::Behaviour::new();
        let control = streams.new_control();
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING))
            .with_max_established(Some(MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_other_transport(|key| {
                Ok(transports::transports(key, certificate, listening.tls.clone(), connections.telemetry())?)
            })
            .context("noise")?
            .with_behaviour(|key| Behaviour {
                limits: connection_limits::Behaviour::new(limits),
                identify: identify::Behaviour::new(
                    identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), key.public())
                        .with_agent_version(AGENT.to_owned()),
                ),
                ping: ping::Behaviour::default(),
                streams,
            })
            .context("behaviour")?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
            .build();
        let mut listeners = Vec::new();
        for multiaddr in listening.multiaddrs() {
            let id = swarm.listen_on(multiaddr.clone()).with_context(|| format!("listening on {multiaddr}"))?;
            listeners.push(id);
        }
        let addresses = listen::wait_for_addresses(&mut swarm, listeners);
        let addresses = tokio::time::timeout(LISTEN_TIMEOUT, addresses).await.context("listening")??;
        Ok(Self { swarm, control, addresses, connections })
    }

    /// Where the node listens, without `/p2p`.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// The relay's libp2p name.
    pub fn peer_id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Fetches blobs from workers.
    pub fn fetcher(&self, context: Arc<Context>) -> Fetcher {
        Fetcher::new(self.control.clone(), context)
    }

    /// Takes sessions and blob requests until `stop` changes. Workers hear of `sources` of blobs.
    pub async fn run(
        mut self,
        context: Arc<Context>,
        engine: EngineHandle,
        membership: Arc<Membership>,
        sources: Vec<SourceTemplate>,
        mut stop: watch::Receiver<bool>,
    ) {
        let accept =
            |protocol| self.control.accept(StreamProtocol::new(protocol)).expect("each protocol is accepted once");
        let (work, blobs) = (accept(WORK_PROTOCOL), accept(BLOB_PROTOCOL));
        let (closing, mut to_close) = mpsc::channel(CLOSE_QUEUE);
        let sessions = session::accept(work, context.clone(), engine, membership, closing);
        let serving = serve::accept(blobs, context, sources);
        let (mut sessions, mut serving) = (tokio::spawn(sessions), tokio::spawn(serving));
        let mut rates = tokio::time::interval(RATE_TICK);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => {
                    note(&self.connections, &event);
                    log_event(event);
                }
                _ = rates.tick() => self.connections.measure_rates(),
                Some(peer) = to_close.recv() => {
                    // An error only says that the connection is gone.
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
                _ = stop.changed() => break,
                _ = &mut sessions => break,
                _ = &mut serving => break,
            }
        }
        sessions.abort();
        serving.abort();
    }
}

/// Peers waiting to be disconnected.
const CLOSE_QUEUE: usize = 64;

fn note(connections: &Connections, event: &SwarmEvent<BehaviourEvent>) {
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
            connections.established(*connection_id, *peer_id, endpoint);
        }
        SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
            connections.closed(*connection_id, cause.as_ref());
        }
        SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { connection, result: Ok(took), .. })) => {
            connections.pinged(*connection, *took);
        }
        _ => {}
    }
}

fn log_event(event: SwarmEvent<BehaviourEvent>) {
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
            tracing::debug!(%peer_id, address = %endpoint.get_remote_address(), "connected");
        }
        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
            let cause = cause.map(|cause| cause.to_string());
            tracing::debug!(%peer_id, cause, "disconnected");
        }
        SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
            tracing::debug!(address = %send_back_addr, %error, "connection failed");
        }
        SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener"),
        SwarmEvent::ListenerClosed { reason, .. } => tracing::error!(?reason, "listener closed"),
        _ => {}
    }
}

//! The worker's libp2p node: dials one relay, listens nowhere.

use std::{collections::HashMap, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identify,
    identity::Keypair,
    ping,
    swarm::{self, ConnectionId, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
};
use shoal_transport::{
    race::Kind,
    streams::{self, Control, IncomingStreams},
    telemetry::Telemetry,
};
use shoal_wire::version::{BLOB_PROTOCOL, IDENTIFY_PROTOCOL};

use crate::{
    limits::{MAX_DIALS, MAX_PING_FAILURES},
    platform::Platform,
};

/// Any libp2p transport with its upgrades done.
pub type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// How long a connection without streams stays: the work stream is reopened on it after an error.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// QUIC raced with TCP, for native workers.
#[cfg(not(target_arch = "wasm32"))]
pub fn native_transport(keypair: &Keypair) -> BoxedTransport {
    use libp2p::{Transport as _, quic};
    use shoal_transport::race::{Race, limits::NATIVE_HEAD_START};

    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let both = quic.or_transport(tcp_transport(keypair)).map(|either, _| either.into_inner()).boxed();
    Race::new(both, Kind::Quic, NATIVE_HEAD_START).boxed()
}

/// A TCP transport with Noise and Yamux, for native workers.
#[cfg(not(target_arch = "wasm32"))]
pub fn tcp_transport(keypair: &Keypair) -> BoxedTransport {
    use libp2p::{Transport as _, core::upgrade::Version, noise, yamux};
    use shoal_transport::tcp;

    tcp::transport()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair).expect("an Ed25519 key signs a Noise key"))
        .multiplex(yamux::Config::default())
        .boxed()
}

/// The streams of the node, which a session uses while [`Network`] keeps the connection going.
pub(crate) struct Streams {
    /// Opens streams.
    pub(crate) control: Control,
    /// Blob streams that the relay opened.
    pub(crate) incoming_blobs: IncomingStreams,
}

/// The node.
pub(crate) struct Network {
    swarm: Swarm<Behaviour>,
    relay: PeerId,
    /// What carries the newest connection.
    carrier: Option<Kind>,
    telemetry: Telemetry,
    now: Box<dyn Fn() -> Duration>,
}

impl Network {
    pub(crate) fn new<P: Platform>(
        platform: &P,
        keypair: &Keypair,
        transport: BoxedTransport,
        relay: PeerId,
        agent: &str,
        telemetry: &Telemetry,
    ) -> (Self, Streams) {
        let streams = streams::Behaviour::new();
        let control = streams.new_control();
        // They wait while the worker computes, and are the relay's: the node has no other peer.
        let incoming_blobs = control.accept(StreamProtocol::new(BLOB_PROTOCOL)).expect("accepted once");
        let identify =
            identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keypair.public()).with_agent_version(agent.to_owned());
        let behaviour =
            Behaviour { identify: identify::Behaviour::new(identify), ping: ping::Behaviour::default(), streams };
        let executor = platform.clone();
        let config = swarm::Config::with_executor(Spawner(executor))
            .with_idle_connection_timeout(IDLE_TIMEOUT)
            .with_dial_concurrency_factor(MAX_DIALS);
        let transport = telemetry.watching(transport);
        let swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
        let clock = platform.clone();
        let (telemetry, now) = (telemetry.clone(), Box::new(move || clock.now()));
        (Self { swarm, relay, carrier: None, telemetry, now }, Streams { control, incoming_blobs })
    }

    /// Dials all addresses of the relay at once and waits until a connection stands; which of them waits for which is the
    /// transport's business. Returns what carries the connection; `Err` says why none stands.
    pub(crate) async fn connect(&mut self, addresses: &[Multiaddr]) -> Result<Option<Kind>, String> {
        if self.swarm.is_connected(&self.relay) {
            return Ok(self.carrier);
        }
        let addresses = addresses.iter().take(MAX_DIALS.get().into()).cloned().collect();
        let options = DialOpts::peer_id(self.relay).addresses(addresses).build();
        self.swarm.dial(options).map_err(|error| error.to_string())?;
        loop {
            match self.next_event().await {
                SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if peer_id == self.relay => {
                    self.carrier = Kind::of(endpoint.get_remote_address());
                    return Ok(self.carrier);
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        }
    }

    /// Keeps the node going; returns why the connection ended.
    pub(crate) async fn drive(&mut self) -> String {
        let mut failures: HashMap<ConnectionId, u32> = HashMap::new();
        loop {
            match self.next_event().await {
                SwarmEvent::ConnectionClosed { cause, num_established: 0, .. } => {
                    return cause.map_or_else(|| "closed".to_owned(), |cause| cause.to_string());
                }
                SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { connection, result, .. })) => {
                    let count = failures.entry(connection).or_default();
                    *count = if result.is_ok() { 0 } else { *count + 1 };
                    if *count >= MAX_PING_FAILURES {
                        self.disconnect();
                        return format!("{count} pings in a row failed");
                    }
                }
                _ => {}
            }
        }
    }

    /// Ends the connection.
    pub(crate) fn disconnect(&mut self) {
        // An error only says that there is none.
        let _ = self.swarm.disconnect_peer_id(self.relay);
    }

    /// Lets pending events out, for instance the last bytes of a connection being closed.
    pub(crate) async fn flush(&mut self) {
        while self.swarm.is_connected(&self.relay) {
            self.next_event().await;
        }
    }

    /// The swarm's next event, noted in the telemetry.
    async fn next_event(&mut self) -> SwarmEvent<BehaviourEvent> {
        let event = self.swarm.select_next_some().await;
        match &event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.telemetry.established((self.now)(), *connection_id, *peer_id, endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.telemetry.closed(*connection_id);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { connection, result: Ok(took), .. })) => {
                self.telemetry.pinged(*connection, *took);
            }
            _ => {}
        }
        event
    }
}

struct Spawner<P>(P);

impl<P: Platform> swarm::Executor for Spawner<P> {
    fn exec(&self, future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(future);
    }
}

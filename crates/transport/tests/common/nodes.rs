//! Two nodes over a path of known delay and loss, by any of the transports, whose telemetry is told what happens.
#![allow(unreachable_pub, dead_code, reason = "shared by several test programs")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::{Transport as _, upgrade};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, noise, ping, yamux};
use shoal_netem::{Conditions, TcpProxy, UdpProxy};
use shoal_transport::race::Kind;
use shoal_transport::streams;
use shoal_transport::tcp;
use shoal_transport::telemetry::{Connection, End, Telemetry};
use shoal_transport::{webrtc::native as webrtc, websocket::native as websocket};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/bulk/1");
/// Longest that any condition may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// A node that pings once, so that nothing moves by itself afterwards.
struct Node {
    telemetry: Telemetry,
    control: streams::Control,
    peer: PeerId,
    swarm: Swarm<Behaviour>,
    started: Instant,
}

impl Node {
    fn new(kind: Kind) -> Self {
        let (telemetry, key) = (Telemetry::default(), Keypair::generate_ed25519());
        let streams = streams::Behaviour::new();
        let control = streams.new_control();
        let ping = ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(3600)));
        let peer = key.public().to_peer_id();
        let config = Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
        let swarm = Swarm::new(transport(kind, &key, &telemetry), Behaviour { ping, streams }, peer, config);
        Self { telemetry, control, peer, swarm, started: Instant::now() }
    }

    async fn listen(&mut self, address: &str) -> Multiaddr {
        self.swarm.listen_on(address.parse().unwrap()).unwrap();
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = self.swarm.select_next_some().await {
                return address;
            }
        }
    }

    /// Tells the telemetry what happens, as a swarm's owner does.
    fn run(mut self) -> Running {
        let (telemetry, control, peer, started) =
            (self.telemetry.clone(), self.control.clone(), self.peer, self.started);
        let task = tokio::spawn(async move {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                        self.telemetry.established(self.started.elapsed(), connection_id, peer_id, &endpoint);
                    }
                    SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                        assert_eq!(End::of(cause.as_ref()), End::Lost);
                        self.telemetry.closed(connection_id);
                    }
                    SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                        connection, result: Ok(took), ..
                    })) => {
                        self.telemetry.pinged(connection, took);
                    }
                    _ => {}
                }
            }
        });
        Running { telemetry, control, peer, started, task }
    }
}

pub struct Running {
    pub telemetry: Telemetry,
    pub control: streams::Control,
    pub peer: PeerId,
    pub started: Instant,
    pub task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub fn connection(&self) -> Option<Connection> {
        self.telemetry.connections(self.started.elapsed()).pop()
    }

    /// The only connection, as soon as it is as wanted.
    pub async fn when(&self, wanted: impl Fn(&Connection) -> bool) -> Connection {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.connection();
            match seen {
                Some(connection) if wanted(&connection) => return connection,
                _ => assert!(Instant::now() < deadline, "{seen:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn transport(kind: Kind, key: &Keypair, telemetry: &Telemetry) -> Boxed<(PeerId, StreamMuxerBox)> {
    match kind {
        Kind::WebRtc => {
            let certificate = webrtc::Certificate::generate().unwrap();
            let transport = webrtc::Transport::new(webrtc::Config { identity: key.clone(), certificate });
            let telemetry = telemetry.clone();
            transport
                .map(move |(peer, muxer), endpoint| (peer, telemetry.watch(peer, &endpoint, Some(muxer.path()), muxer)))
                .boxed()
        }
        Kind::WebSocket => telemetry.watching(websocket::transport(key, None)),
        Kind::Tcp => telemetry.watching(
            tcp::transport()
                .upgrade(upgrade::Version::V1Lazy)
                .authenticate(noise::Config::new(key).unwrap())
                .multiplex(yamux::Config::default()),
        ),
        Kind::Quic => telemetry.watching(libp2p::quic::tokio::Transport::new(libp2p::quic::Config::new(key))),
    }
}

fn bind_address(kind: Kind) -> &'static str {
    match kind {
        Kind::WebRtc => "/ip4/127.0.0.1/udp/0/webrtc-direct",
        Kind::WebSocket => "/ip4/127.0.0.1/tcp/0/ws",
        Kind::Tcp => "/ip4/127.0.0.1/tcp/0",
        Kind::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
    }
}

pub enum Proxy {
    Udp(UdpProxy),
    Tcp(TcpProxy),
}

impl Proxy {
    /// A path to `target`, and the address that leads over it.
    async fn to(target: &Multiaddr, conditions: Conditions) -> (Self, Multiaddr) {
        let mut port = None;
        for part in target {
            if let Protocol::Udp(found) | Protocol::Tcp(found) = part {
                port = Some(found);
            }
        }
        let socket = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        let proxy = if target.iter().any(|part| matches!(part, Protocol::Udp(_))) {
            Self::Udp(UdpProxy::open(socket, conditions, 7).await.unwrap())
        } else {
            Self::Tcp(TcpProxy::open(socket, conditions, 7).await.unwrap())
        };
        let through = match &proxy {
            Self::Udp(proxy) => proxy.address(),
            Self::Tcp(proxy) => proxy.address(),
        };
        let through = target.iter().map(|part| match part {
            Protocol::Udp(_) => Protocol::Udp(through.port()),
            Protocol::Tcp(_) => Protocol::Tcp(through.port()),
            other => other,
        });
        (proxy, through.collect())
    }

    pub fn lost(&self) -> u64 {
        match self {
            Self::Udp(proxy) => proxy.counts().lost(),
            Self::Tcp(proxy) => proxy.counts().lost(),
        }
    }
}

/// A listener and a dialler over a path, or straight over loopback.
pub async fn connected(kind: Kind, path: Option<Conditions>) -> (Running, Running, Option<Proxy>) {
    let (mut listener, mut dialler) = (Node::new(kind), Node::new(kind));
    let address = listener.listen(bind_address(kind)).await;
    let (proxy, through) = match path {
        Some(conditions) => {
            let (proxy, through) = Proxy::to(&address, conditions).await;
            (Some(proxy), through)
        }
        None => (None, address),
    };
    dialler.swarm.dial(through.with(Protocol::P2p(listener.peer))).unwrap();
    (listener.run(), dialler.run(), proxy)
}

/// One stream, agreed on by both sides.
pub async fn stream(from: &Running, to: &Running) -> [libp2p::swarm::Stream; 2] {
    let mut incoming = to.control.accept(PROTOCOL).unwrap();
    let open = async {
        let mut stream = from.control.open_stream(to.peer, PROTOCOL).await.unwrap();
        stream.write_all(b"?").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        stream
    };
    let accept = async {
        let (_, mut stream) = incoming.next().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (opened, accepted) = futures::join!(open, accept);
    [opened, accepted]
}

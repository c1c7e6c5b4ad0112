//! What the telemetry says of connections over paths whose delay and loss are known.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::{Transport as _, upgrade};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Config, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, noise, ping, tcp, yamux};
use shoal_netem::{Conditions, TcpProxy, UdpProxy};
use shoal_transport::race::Kind;
use shoal_transport::streams;
use shoal_transport::telemetry::{Connection, End, Telemetry};
use shoal_transport::{webrtc::native as webrtc, websocket::native as websocket};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/bulk/1");
const ROUND_TRIP: Duration = Duration::from_millis(60);
const LEN: usize = 300_000;

/// Longest that any condition may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

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

struct Running {
    telemetry: Telemetry,
    control: streams::Control,
    peer: PeerId,
    started: Instant,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn connection(&self) -> Option<Connection> {
        self.telemetry.connections(self.started.elapsed()).pop()
    }

    /// The only connection, as soon as it is as wanted.
    async fn when(&self, wanted: impl Fn(&Connection) -> bool) -> Connection {
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
            tcp::tokio::Transport::new(tcp::Config::default())
                .upgrade(upgrade::Version::V1Lazy)
                .authenticate(noise::Config::new(key).unwrap())
                .multiplex(yamux::Config::default()),
        ),
        Kind::Quic => telemetry.watching(libp2p::quic::tokio::Transport::new(libp2p::quic::Config::new(key))),
    }
}

enum Proxy {
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

    fn lost(&self) -> u64 {
        match self {
            Self::Udp(proxy) => proxy.counts().lost(),
            Self::Tcp(proxy) => proxy.counts().lost(),
        }
    }
}

/// Two nodes over a path, and the path.
async fn connected(kind: Kind, address: &str, loss_per_mille: u32) -> (Running, Running, Proxy) {
    let (mut listener, mut dialler) = (Node::new(kind), Node::new(kind));
    let address = listener.listen(address).await;
    let (proxy, through) = Proxy::to(&address, Conditions::new(ROUND_TRIP, loss_per_mille)).await;
    dialler.swarm.dial(through.with(Protocol::P2p(listener.peer))).unwrap();
    (listener.run(), dialler.run(), proxy)
}

/// One stream, agreed on by both sides.
async fn stream(from: &Running, to: &Running) -> [libp2p::swarm::Stream; 2] {
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

async fn exchange(streams: [libp2p::swarm::Stream; 2]) -> [libp2p::swarm::Stream; 2] {
    let both = streams.map(|stream| async {
        let (mut reader, mut writer) = stream.split();
        let mut read = vec![0; LEN];
        let write = async {
            writer.write_all(&vec![7; LEN]).await.unwrap();
            writer.flush().await.unwrap();
        };
        let (_, done) = futures::join!(write, reader.read_exact(&mut read));
        done.unwrap();
        reader.reunite(writer).unwrap()
    });
    let [one, two] = both;
    <[_; 2]>::from(futures::join!(one, two))
}

/// Bytes to the byte, a round trip of the path's, the same by both ends; and what only the transport knows.
async fn tells_the_truth(kind: Kind, address: &str, knows_path: bool) {
    let (listener, dialler, _proxy) = connected(kind, address, 0).await;
    for end in [&listener, &dialler] {
        let connection = end.when(|connection| connection.round_trip.is_some()).await;
        assert_eq!(connection.kind, kind);
        let round_trip = connection.round_trip.unwrap();
        assert!(round_trip >= ROUND_TRIP && round_trip < 80 * ROUND_TRIP, "{kind:?}: {round_trip:?}");
    }
    let streams = stream(&dialler, &listener).await;
    // A ping may still be on its way to who answers it.
    let settled = |connection: &Connection, other: &Connection| {
        (connection.received, connection.sent) == (other.sent, other.received)
    };
    let before = listener.when(|connection| settled(connection, &dialler.connection().unwrap())).await;
    let streams = exchange(streams).await;
    for (end, other) in [(&listener, &dialler), (&dialler, &listener)] {
        let after = end.when(|connection| settled(connection, &other.connection().unwrap())).await;
        let (old_received, old_sent) =
            if after.peer == dialler.peer { (before.received, before.sent) } else { (before.sent, before.received) };
        assert_eq!((after.received - old_received, after.sent - old_sent), (LEN as u64, LEN as u64), "{kind:?}");
        assert_eq!(after.path_round_trip.is_some(), knows_path, "{after:?}");
        assert_eq!(after.retransmissions.is_some(), knows_path, "{after:?}");
        if let Some(found) = after.path_round_trip {
            assert!(found >= ROUND_TRIP && found < 80 * ROUND_TRIP, "{kind:?}: {found:?}");
        }
        end.telemetry.measure_rates(end.started.elapsed() + Duration::from_secs(3));
        let rated = end.connection().unwrap();
        assert!(rated.received_rate > 0 && rated.sent_rate > 0, "{rated:?}");
    }
    let totals = listener.telemetry.totals()[&kind];
    assert_eq!((totals.now, totals.opened), (1, 1));
    drop(streams);
    dialler.task.abort();
    let deadline = Instant::now() + PATIENCE;
    while listener.connection().is_some() {
        assert!(Instant::now() < deadline, "the listener sees its peer go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = listener.telemetry.totals()[&kind];
    assert_eq!((after.now, after.opened), (0, 1));
    assert!(after.received >= totals.received && after.sent >= totals.sent, "what has ended stays counted");
    assert_eq!(after.retransmissions.is_some(), knows_path);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_webrtc() {
    tells_the_truth(Kind::WebRtc, "/ip4/127.0.0.1/udp/0/webrtc-direct", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_websocket() {
    tells_the_truth(Kind::WebSocket, "/ip4/127.0.0.1/tcp/0/ws", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_tcp() {
    tells_the_truth(Kind::Tcp, "/ip4/127.0.0.1/tcp/0", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_quic() {
    tells_the_truth(Kind::Quic, "/ip4/127.0.0.1/udp/0/quic-v1", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_path_loses_is_counted_as_sent_again() {
    let (listener, dialler, proxy) = connected(Kind::WebRtc, "/ip4/127.0.0.1/udp/0/webrtc-direct", 50).await;
    for end in [&listener, &dialler] {
        end.when(|_| true).await;
    }
    exchange(stream(&dialler, &listener).await).await;
    let again = [&listener, &dialler].map(|end| end.connection().unwrap().retransmissions.unwrap());
    assert!(proxy.lost() > 0);
    assert!(again.iter().sum::<u64>() > 0, "{again:?} sent again, {} datagrams lost", proxy.lost());
    let totals = listener.telemetry.totals()[&Kind::WebRtc];
    assert_eq!(totals.retransmissions, Some(listener.connection().unwrap().retransmissions.unwrap()));
}

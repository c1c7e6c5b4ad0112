//! The libp2p [`Transport`](libp2p::core::Transport) of the native side: listens for browsers, and dials other listeners.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::certificate::Certificate;
use super::connection::{Connection, Muxer, Substream};
use super::driver;
use super::error::Error;
use super::listener::{self, Incoming};
use super::session::Session;
use super::udp::Socket;
use crate::webrtc::address::{ListenerAddress, bind_address, parse_bind_address};
use crate::webrtc::credentials::Version;
use crate::webrtc::fingerprint::Fingerprint;
use crate::webrtc::limits::{MAX_PENDING_ACCEPTS, SOCKET_RECEIVE_BUFFER};
use crate::webrtc::noise;

/// What the native transport needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are.
    pub identity: Keypair,
    /// The certificate of listeners and diallers.
    pub certificate: Certificate,
}

/// A finished connection or why there is none.
type Upgrade = BoxFuture<'static, Result<(PeerId, Muxer), Error>>;
type Event = TransportEvent<Upgrade, Error>;

/// webrtc-direct over UDP sockets: listens for both versions, dials one. Needs a tokio runtime with I/O and time.
pub struct Transport {
    config: Config,
    dialled: Version,
    listeners: HashMap<ListenerId, Listening>,
    events: VecDeque<Event>,
    waker: Option<Waker>,
}

struct Listening {
    local: SocketAddr,
    incoming: mpsc::Receiver<Incoming>,
    addresses: Vec<Multiaddr>,
}

impl Transport {
    /// A transport that listens nowhere yet.
    pub fn new(config: Config) -> Self {
        Self { config, dialled: Version::V2, listeners: HashMap::new(), events: VecDeque::new(), waker: None }
    }

    /// Dials by the rules of `version` instead of version 2. Both are still served.
    #[must_use]
    pub fn dialling(mut self, version: Version) -> Self {
        self.dialled = version;
        self
    }

    fn listen(&mut self, id: ListenerId, socket: SocketAddr) -> Result<(), Error> {
        let socket = bind(socket)?;
        let local = socket.local_addr()?;
        let (sender, incoming) = mpsc::channel(MAX_PENDING_ACCEPTS);
        tokio::spawn(listener::run(Arc::new(socket), candidate(local), self.config.certificate.clone(), sender));
        let fingerprint = self.config.certificate.fingerprint();
        let addresses: Vec<Multiaddr> = reachable(local)
            .into_iter()
            .map(|socket| ListenerAddress { socket, fingerprint, peer: None }.to_multiaddr())
            .collect();
        for address in &addresses {
            self.events.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr: address.clone() });
        }
        self.listeners.insert(id, Listening { local, incoming, addresses });
        self.wake();
        Ok(())
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn authenticate(&self, id: ListenerId, local: SocketAddr, incoming: Incoming) -> Event {
        let Incoming { connection, remote, dialler, established } = incoming;
        let Config { identity, certificate } = self.config.clone();
        let connection = CloseOnDrop(Some(connection));
        let upgrade = async move {
            let stream = connection.handshake_stream();
            let peer = noise::accept(&identity, stream, dialler, certificate.fingerprint())
                .await
                .map_err(|source| Error::Noise { remote, source: source.into() })?;
            established.notify();
            Ok((peer, connection.finish()))
        };
        TransportEvent::Incoming {
            listener_id: id,
            upgrade: upgrade.boxed(),
            local_addr: bind_address(local),
            send_back_addr: bind_address(remote),
        }
    }
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, Muxer);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Error>> {
        let Some(socket) = parse_bind_address(&addr) else {
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        self.listen(id, socket).map_err(TransportError::Other)
    }

    /// Stops accepting. Connections stay, and with them the socket.
    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(listening) = self.listeners.remove(&id) else { return false };
        for listen_addr in listening.addresses {
            self.events.push_back(TransportEvent::AddressExpired { listener_id: id, listen_addr });
        }
        self.events.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        self.wake();
        true
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let listener = match ListenerAddress::from_multiaddr(&addr) {
            // There is no hole to punch: who listens has a public address.
            Some(listener) if opts.role.is_dialer() => listener,
            Some(_) | None => return Err(TransportError::MultiaddrNotSupported(addr)),
        };
        Ok(dial(self.config.clone(), listener, self.dialled).boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let ids: Vec<ListenerId> = self.listeners.keys().copied().collect();
        for id in ids {
            let listening = self.listeners.get_mut(&id).expect("just listed");
            match listening.incoming.poll_recv(cx) {
                Poll::Ready(Some(incoming)) => {
                    let local = listening.local;
                    return Poll::Ready(self.authenticate(id, local, incoming));
                }
                Poll::Ready(None) => {
                    self.listeners.remove(&id);
                    let error = io::Error::new(io::ErrorKind::BrokenPipe, "the listener's socket failed");
                    let reason = Err(Error::Socket(error));
                    return Poll::Ready(TransportEvent::ListenerClosed { listener_id: id, reason });
                }
                Poll::Pending => {}
            }
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

async fn dial(config: Config, listener: ListenerAddress, version: Version) -> Result<(PeerId, Muxer), Error> {
    let ListenerAddress { socket: remote, fingerprint, peer: expected } = listener;
    let socket = Arc::new(bind(SocketAddr::new(route_to(remote)?, 0))?);
    let local = socket.local_addr()?;
    let session = Session::dial(Instant::now(), &config.certificate, local, remote, fingerprint, version)?;
    let connection = Connection::new(session);
    let (queue, datagrams) = driver::datagram_queue();
    tokio::spawn(driver::pump(socket.clone(), remote, queue));
    tokio::spawn(driver::run(connection.clone(), socket, datagrams));

    let connection = CloseOnDrop(Some(connection));
    let ready = poll_fn(|cx| connection.get().lock().poll_ready(cx)).await;
    ready.map_err(|reason| Error::Closed { remote, reason })?;
    let own: Fingerprint = config.certificate.fingerprint();
    let found = noise::dial(&config.identity, connection.handshake_stream(), own, fingerprint)
        .await
        .map_err(|source| Error::Noise { remote, source: source.into() })?;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(Error::PeerId { expected: expected.into(), found: found.into() });
    }
    Ok((found, connection.finish()))
}

/// A connection whose handshake may be given up at any point.
struct CloseOnDrop(Option<Arc<Connection>>);

impl CloseOnDrop {
    fn get(&self) -> &Arc<Connection> {
        self.0.as_ref().expect("taken only by finish, which consumes")
    }

    fn handshake_stream(&self) -> Substream {
        let id = self.get().lock().handshake_stream();
        Substream::new(self.get().clone(), id)
    }

    fn finish(mut self) -> Muxer {
        let connection = self.0.take().expect("taken only here");
        connection.lock().handshake_done();
        Muxer::new(connection)
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.close();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_RECEIVE_BUFFER) {
        tracing::debug!(%error, "the receive buffer stays as it is");
    }
    Socket::new(UdpSocket::from_std(socket)?)
}

/// The local address from which `remote` is reached. Connecting a UDP socket sends nothing.
fn route_to(remote: SocketAddr) -> io::Result<IpAddr> {
    let socket = std::net::UdpSocket::bind(SocketAddr::new(unspecified(remote.is_ipv4()), 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

fn unspecified(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The listener's own ICE candidate. It is never told to anybody, it only has to be the same everywhere, so a socket
/// bound to all addresses uses the loopback one.
fn candidate(local: SocketAddr) -> SocketAddr {
    if local.ip().is_unspecified() { SocketAddr::new(loopback(local.is_ipv4()), local.port()) } else { local }
}

fn loopback(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

/// Where a socket can be reached from: for one bound to all addresses, the loopback address and the one that the default
/// route leaves from. What a router in front makes of that, the operator has to say.
fn reachable(local: SocketAddr) -> Vec<SocketAddr> {
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    // Documentation addresses: nobody is there, and nothing is sent.
    let outside: IpAddr = if local.is_ipv4() {
        Ipv4Addr::new(192, 0, 2, 1).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
    };
    let mut ips = vec![loopback(local.is_ipv4())];
    ips.extend(route_to(SocketAddr::new(outside, 9)).ok().filter(|ip| !ip.is_loopback() && !ip.is_unspecified()));
    ips.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect()
}

//! The table of a swarm's connections.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox};
use libp2p::core::transport::Boxed;
use libp2p::core::{ConnectedPoint, Multiaddr, Transport};
use libp2p::swarm::{ConnectionError, ConnectionId};

use super::muxer::{CountedMuxer, Traffic};
use super::path::PathFigures;
use crate::race::Kind;

/// Finished handshakes whose establishment nobody has reported. The swarm reports one in its next turns or drops it, so this
/// only bounds what a swarm that is never asked would leave here; the oldest goes.
const MAX_UNCLAIMED: usize = 1024;

/// Over how long a rate is measured at least: shorter, and single blobs make it jump.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// The connections of one swarm. Cheap to clone; all clones are the same table.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    /// Watched, and not yet established as far as the table knows; the oldest first.
    unclaimed: VecDeque<Unclaimed>,
    live: HashMap<ConnectionId, Live>,
    ended: HashMap<Kind, Totals>,
}

#[derive(Debug)]
struct Unclaimed {
    peer: PeerId,
    endpoint: ConnectedPoint,
    /// Gone with the muxer.
    traffic: Weak<Traffic>,
    path: Option<Arc<PathFigures>>,
}

#[derive(Debug)]
struct Live {
    peer: PeerId,
    kind: Kind,
    address: Multiaddr,
    since: Duration,
    traffic: Arc<Traffic>,
    path: Option<Arc<PathFigures>>,
    round_trip: Option<Duration>,
    /// When the rates were measured last, and what had been received and sent then.
    mark: (Duration, u64, u64),
    /// Received and sent, bytes a second.
    rates: (u64, u64),
}

/// Why a connection ended. That the peer left and that the path broke cannot be told apart on every transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// This side closed it.
    Local,
    /// Nobody had a stream on it.
    Idle,
    /// The peer left, or the path broke.
    Lost,
}

impl End {
    /// Reads the swarm's cause.
    pub fn of(cause: Option<&ConnectionError>) -> Self {
        match cause {
            None => Self::Local,
            Some(ConnectionError::KeepAliveTimeout) => Self::Idle,
            Some(ConnectionError::IO(_)) => Self::Lost,
        }
    }

    /// One stable word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Idle => "idle",
            Self::Lost => "lost",
        }
    }
}

/// One connection as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: PeerId,
    /// What carries it.
    pub kind: Kind,
    /// Where the other end is.
    pub address: Multiaddr,
    /// How long it has stood.
    pub age: Duration,
    /// Bytes that streams read.
    pub received: u64,
    /// Bytes that streams wrote.
    pub sent: u64,
    /// Bytes a second that streams read, over the last window of [`Telemetry::measure_rates`].
    pub received_rate: u64,
    /// Bytes a second that streams wrote, likewise.
    pub sent_rate: u64,
    /// What the last ping took: path, queues and the peer's attention.
    pub round_trip: Option<Duration>,
    /// What the transport's own acknowledgements take, smoothed: the path, and how long the peer holds one back.
    pub path_round_trip: Option<Duration>,
    /// Pieces of data that the transport sent once more.
    pub retransmissions: Option<u64>,
}

/// All connections of one kind together, those that have ended among them. Grows only, but for `now`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that stand.
    pub now: u64,
    /// Connections that were established.
    pub opened: u64,
    /// Bytes that streams read.
    pub received: u64,
    /// Bytes that streams wrote.
    pub sent: u64,
    /// Pieces of data sent once more, where the transport knows; `None` if none of them did.
    pub retransmissions: Option<u64>,
}

impl Telemetry {
    /// Counts a finished connection's bytes from now on. `path` holds what the transport knows by itself.
    pub fn watch<M>(
        &self,
        peer: PeerId,
        endpoint: &ConnectedPoint,
        path: Option<Arc<PathFigures>>,
        muxer: M,
    ) -> StreamMuxerBox
    where
        M: StreamMuxer + Unpin + Send + 'static,
        M::Substream: Unpin + Send + 'static,
        M::Error: Error + Send + Sync + 'static,
    {
        let traffic = Arc::new(Traffic::default());
        let unclaimed = &mut self.tables().unclaimed;
        unclaimed.retain(|watched| watched.traffic.strong_count() > 0);
        if unclaimed.len() == MAX_UNCLAIMED {
            unclaimed.pop_front();
        }
        unclaimed.push_back(Unclaimed { peer, endpoint: endpoint.clone(), traffic: Arc::downgrade(&traffic), path });
        StreamMuxerBox::new(CountedMuxer::new(muxer, traffic))
    }

    /// A transport all of whose connections are watched, and which itself knows nothing of their paths.
    pub fn watching<T, M>(&self, transport: T) -> Boxed<(PeerId, StreamMuxerBox)>
    where
        T: Transport<Output = (PeerId, M)> + Send + Unpin + 'static,
        T::Dial: Send + 'static,
        T::ListenerUpgrade: Send + 'static,
        T::Error: Send + Sync + 'static,
        M: StreamMuxer + Unpin + Send + 'static,
        M::Substream: Unpin + Send + 'static,
        M::Error: Error + Send + Sync + 'static,
    {
        let telemetry = self.clone();
        transport.map(move |(peer, muxer), endpoint| (peer, telemetry.watch(peer, &endpoint, None, muxer))).boxed()
    }

    /// The swarm established a connection that was watched before.
    pub fn established(&self, now: Duration, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        let mut tables = self.tables();
        let found = tables.unclaimed.iter().position(|watched| watched.peer == peer && watched.endpoint == *endpoint);
        let Some(Unclaimed { traffic, path, .. }) = found.and_then(|at| tables.unclaimed.remove(at)) else { return };
        let (Some(kind), Some(traffic)) = (kind(endpoint), traffic.upgrade()) else { return };
        let ended = tables.ended.entry(kind).or_default();
        ended.opened += 1;
        if path.is_some() {
            ended.retransmissions.get_or_insert(0);
        }
        let address = endpoint.get_remote_address().clone();
        let mark = (now, 0, 0);
        let live =
            Live { peer, kind, address, since: now, traffic, path, round_trip: None, mark, rates: Default::default() };
        tables.live.insert(id, live);
    }

    /// A ping over a connection took this long. Returns what carries it, if it is one of the table.
    pub fn pinged(&self, id: ConnectionId, round_trip: Duration) -> Option<Kind> {
        let mut tables = self.tables();
        let live = tables.live.get_mut(&id)?;
        live.round_trip = Some(round_trip);
        Some(live.kind)
    }

    /// A connection ended. Returns what carried it, if it was one of the table.
    pub fn closed(&self, id: ConnectionId) -> Option<Kind> {
        let mut tables = self.tables();
        let live = tables.live.remove(&id)?;
        live.add_to(tables.ended.entry(live.kind).or_default());
        Some(live.kind)
    }

    /// Measures the rates of all connections, where the last measurement is old enough.
    pub fn measure_rates(&self, now: Duration) {
        self.tables().live.values_mut().for_each(|live| live.measure_rates(now));
    }

    /// All connections, the oldest first.
    pub fn connections(&self, now: Duration) -> Vec<Connection> {
        let tables = self.tables();
        let mut all: Vec<Connection> = tables.live.values().map(|live| live.connection(now)).collect();
        all.sort_by_key(|connection| std::cmp::Reverse(connection.age));
        all
    }

    /// The totals of each kind that there ever was a connection of.
    pub fn totals(&self) -> HashMap<Kind, Totals> {
        let tables = self.tables();
        let mut totals = tables.ended.clone();
        for live in tables.live.values() {
            let of_kind = totals.entry(live.kind).or_default();
            of_kind.now += 1;
            live.add_to(of_kind);
        }
        totals
    }

    /// Nothing that holds the lock can panic halfway through a change.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn add_to(&self, totals: &mut Totals) {
        let (received, sent) = self.traffic.bytes();
        totals.received += received;
        totals.sent += sent;
        if let Some(path) = &self.path {
            *totals.retransmissions.get_or_insert(0) += path.retransmissions();
        }
    }

    fn measure_rates(&mut self, now: Duration) {
        let (at, old_received, old_sent) = self.mark;
        let elapsed = now.saturating_sub(at);
        if elapsed < RATE_WINDOW {
            return;
        }
        let (received, sent) = self.traffic.bytes();
        let rate = |bytes: u64| (bytes as f64 / elapsed.as_secs_f64()).round() as u64;
        self.rates = (rate(received - old_received), rate(sent - old_sent));
        self.mark = (now, received, sent);
    }

    fn connection(&self, now: Duration) -> Connection {
        let (received, sent) = self.traffic.bytes();
        Connection {
            peer: self.peer,
            kind: self.kind,
            address: self.address.clone(),
            age: now.saturating_sub(self.since),
            received,
            sent,
            received_rate: self.rates.0,
            sent_rate: self.rates.1,
            round_trip: self.round_trip,
            path_round_trip: self.path.as_ref().and_then(|path| path.round_trip()),
            retransmissions: self.path.as_ref().map(|path| path.retransmissions()),
        }
    }
}

/// What a listener was asked by, and what a dialler asked.
fn kind(endpoint: &ConnectedPoint) -> Option<Kind> {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => Kind::of(address),
        ConnectedPoint::Listener { local_addr, .. } => Kind::of(local_addr),
    }
}

//! A race between the ways to one peer, after the manner of happy eyeballs (RFC 8305): one kind of address goes first, the
//! others follow after a head start, or at once when everything of the first kind has failed. The first finished handshake
//! wins, and the kind that won goes first from then on.
//!
//! [`Race`] wraps a transport and only delays its dials. The rest is libp2p's: a swarm dials all addresses of one
//! `DialOpts` at the same time (its dial concurrency factor must cover them), takes the first that succeeds and drops the
//! others, handshakes and sockets included. libp2p-swarm's own "smart dial" ranks by a fixed table, knows no winner of last
//! time, and does not go on early when the first has failed.
//!
//! Left out on purpose: keeping the winner beyond the life of the process ([`Race::new`] is told who goes first, and
//! [`Kind::of`] an established connection's address says who won), and moving a connection from one way to another.

mod kind;
pub mod limits;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{BoxFuture, Shared, select},
};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

pub use kind::{Kind, UnknownKind};

/// Waits on some clock.
pub type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// A transport whose dials race.
pub struct Race<T> {
    inner: T,
    course: Arc<Course>,
}

impl<T> Race<T> {
    /// Lets dials of the kind `first` go `head_start` before all others to the same peer.
    pub fn new(inner: T, first: Kind, head_start: Duration) -> Self {
        Self::with_sleep(inner, first, head_start, Arc::new(|duration| futures_timer::Delay::new(duration).boxed()))
    }

    /// The same on another clock.
    pub fn with_sleep(inner: T, first: Kind, head_start: Duration, sleep: Sleep) -> Self {
        let state = Mutex::new(State { first, running: HashMap::new() });
        Self { inner, course: Arc::new(Course { state, head_start, sleep }) }
    }
}

/// What the dials share.
struct Course {
    state: Mutex<State>,
    head_start: Duration,
    sleep: Sleep,
}

struct State {
    first: Kind,
    /// Peers with dials of the first kind under way.
    running: HashMap<PeerId, Running>,
}

struct Running {
    /// Held by every such dial.
    dials: Weak<Held>,
    /// Done when none holds it any more.
    over: Shared<oneshot::Receiver<()>>,
}

/// Dropped when the last dial of the first kind has ended.
type Held = oneshot::Sender<()>;

impl Course {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a dial; what it returns is held until the dial ends. `None` for those that have to wait.
    fn enter(&self, kind: Option<Kind>, peer: PeerId) -> Option<Arc<Held>> {
        let mut state = self.state();
        if kind != Some(state.first) {
            return None;
        }
        state.running.retain(|_, running| running.dials.strong_count() > 0);
        if let Some(running) = state.running.get(&peer).and_then(|running| running.dials.upgrade()) {
            return Some(running);
        }
        let (sender, over) = oneshot::channel();
        let sender = Arc::new(sender);
        state.running.insert(peer, Running { dials: Arc::downgrade(&sender), over: over.shared() });
        Some(sender)
    }

    /// Until the head start is over or nobody of the first kind is in the race.
    async fn wait(&self, peer: PeerId) {
        let over = self.state().running.get(&peer).map(|running| running.over.clone());
        if let Some(over) = over {
            select(over, (self.sleep)(self.head_start)).await;
        }
    }

    fn won(&self, kind: Option<Kind>) {
        if let Some(kind) = kind {
            self.state().first = kind;
        }
    }
}

impl<T> Transport for Race<T>
where
    T: Transport + Unpin,
    T::Dial: Send + 'static,
    T::Error: 'static,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<T::Error>> {
        let (kind, peer) = (Kind::of(&addr), peer_of(&addr));
        let dial = self.inner.dial(addr, opts)?;
        let course = self.course.clone();
        // An address without a peer is nobody's rival.
        let Some(peer) = peer else { return Ok(dial.boxed()) };
        let entered = course.enter(kind, peer);
        let racing = async move {
            if entered.is_none() {
                course.wait(peer).await;
            }
            let output = dial.await;
            if output.is_ok() {
                course.won(kind);
            }
            drop(entered);
            output
        };
        Ok(racing.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

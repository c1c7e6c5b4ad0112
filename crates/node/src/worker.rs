//! The worker's life: connect, hold a session, reconnect, stop.

mod visit;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, channel::mpsc};
use libp2p::{PeerId, identity::Keypair};
use shoal_compute::Backend;
use shoal_transport::{peer, race::Kind};
use shoal_wire::{
    envelope::NodeKey,
    ids::NodeId,
    proto::{Class, PayoutBinding},
};

use crate::{
    blobs::Outputs,
    cache::Cache,
    compute::Devices,
    config::WorkerConfig,
    error::{ConfigError, WorkerError},
    event::{Event, Stats},
    fetch::Fetcher,
    http::HttpClient,
    limiter::{Limiter, check_rates},
    limits::{DIAL_TIMEOUT, MAX_RECONNECT_DELAY, RECONNECT_DELAY},
    network::{BoxedTransport, Network, Streams},
    pace::Pace,
    platform::{Platform, timeout},
    receipts::PendingResults,
    report::{ConnectionReport, Watched},
    session::{self, SessionEnd},
    storage::Storage,
};

pub use visit::Visit;

/// How long the connection may take to close after a stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Stop,
    SetPaused(bool),
    SetShare(f64),
    SetRates { max_down: Option<u64>, max_up: Option<u64> },
    SetStoredBytes(u64),
}

/// Steers a running worker from anywhere. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    commands: mpsc::UnboundedSender<Command>,
    watched: Watched,
}

impl WorkerHandle {
    /// Stops: computing ends at once, leases go back, committed results are waited for briefly. A second call waits no
    /// more.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// Pauses computing between steps, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.send(Command::SetPaused(paused));
    }

    /// Sets the share of the time spent computing, 0 to 1.
    pub fn set_throttle(&self, share: f64) {
        self.send(Command::SetShare(share));
    }

    /// Sets how many bytes of blobs to fetch and of outputs to send in a second at most; `None` for no limit.
    ///
    /// # Errors
    /// A limit that is too low to work with; then neither changes.
    pub fn set_rates(&self, max_down: Option<u64>, max_up: Option<u64>) -> Result<(), ConfigError> {
        check_rates(max_down, max_up)?;
        self.send(Command::SetRates { max_down, max_up });
        Ok(())
    }

    /// Sets how many bytes of blobs to keep in storage at most, where the worker was given one.
    pub fn set_stored_bytes(&self, limit: u64) {
        self.send(Command::SetStoredBytes(limit));
    }

    /// How the worker is connected; `None` while it is not. `now` is by its platform's clock.
    pub fn connection(&self, now: Duration) -> Option<ConnectionReport> {
        self.watched.report(now)
    }

    fn send(&self, command: Command) {
        // A worker that has ended needs no commands.
        let _ = self.commands.unbounded_send(command);
    }
}

/// What lives as long as the worker, shared by the futures of its sessions.
pub(crate) struct Core<P, G> {
    pub(crate) config: WorkerConfig,
    pub(crate) platform: P,
    pub(crate) key: NodeKey,
    pub(crate) relay: (PeerId, NodeId),
    pub(crate) classes: Vec<Class>,
    pub(crate) devices: futures::lock::Mutex<Devices<G>>,
    pub(crate) pace: Pace,
    pub(crate) fetcher: Fetcher<P>,
    pub(crate) up: Limiter<P>,
    pub(crate) outputs: Outputs,
    pub(crate) watched: Watched,
    pub(crate) pending: RefCell<PendingResults>,
    pub(crate) stats: RefCell<Stats>,
    pub(crate) faults_in_a_row: Cell<u32>,
    /// What carries the newest connection.
    pub(crate) carrier: Cell<Option<Kind>>,
    stopping: Cell<bool>,
    on_event: RefCell<Box<dyn FnMut(Event)>>,
}

impl<P: Platform, G: Backend> Core<P, G> {
    pub(crate) fn emit(&self, event: Event) {
        (self.on_event.borrow_mut())(event);
    }

    pub(crate) fn payout_binding(&self) -> Option<Vec<u8>> {
        let payout = self.config.payout?;
        let issued_at_s = self.platform.unix_time_s();
        let binding = PayoutBinding { address: payout.address.to_vec(), chain_id: payout.chain_id, issued_at_s };
        Some(self.key.seal_bytes(&binding))
    }

    /// Carries out a command that needs no session; returns whether it is a stop.
    pub(crate) fn obey(&self, command: Command) -> bool {
        match command {
            Command::Stop => {
                self.stopping.set(true);
                return true;
            }
            Command::SetPaused(paused) => self.pace.set_paused(paused),
            Command::SetShare(share) => self.pace.set_share(share),
            Command::SetRates { max_down, max_up } => {
                for (limiter, rate) in [(self.fetcher.down(), max_down), (&self.up, max_up)] {
                    limiter.set_rate(rate).expect("the handle has checked it");
                }
            }
            Command::SetStoredBytes(limit) => {
                if let Some(stored) = self.fetcher.stored() {
                    stored.set_limit(limit);
                }
            }
        }
        false
    }
}

/// A worker that has not been run yet.
pub struct Worker<P, G> {
    core: Core<P, G>,
    network: Network,
    streams: Streams,
    commands: mpsc::UnboundedReceiver<Command>,
    storage: Option<Box<dyn Storage>>,
}

impl<P: Platform, G: Backend> Worker<P, G> {
    /// Makes a worker and its handle. `transport` must authenticate with the key of the configuration's seed, as
    /// [`Worker::keypair`] gives it; `on_event` is called from within [`Worker::run`].
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(
        config: WorkerConfig,
        platform: P,
        transport: BoxedTransport,
        devices: Devices<G>,
        on_event: impl FnMut(Event) + 'static,
    ) -> Result<(Self, WorkerHandle), ConfigError> {
        let relay = config.check()?;
        let keypair = Self::keypair(&config.seed);
        let watched = Watched::default();
        let (network, streams) =
            Network::new(&platform, &keypair, transport, relay.0, &config.agent, &watched.telemetry);
        let (sender, commands) = mpsc::unbounded();
        let handle = WorkerHandle { commands: sender, watched: watched.clone() };
        let limiter =
            |field, rate| Limiter::new(platform.clone(), rate).map_err(|source| ConfigError::Rate { field, source });
        let (down, up) = (limiter("max_down", config.max_down)?, limiter("max_up", config.max_up)?);
        let cache = Cache::new(config.cache_bytes);
        let fetcher =
            Fetcher::new(platform.clone(), relay.0, cache, down, watched.transfers.clone(), config.loopback_sources);
        let core = Core {
            key: NodeKey::from_seed(&config.seed, config.network.clone()),
            relay,
            classes: config.classes.clone(),
            devices: futures::lock::Mutex::new(devices),
            pace: Pace::new(),
            fetcher,
            up,
            outputs: Outputs::default(),
            watched,
            pending: RefCell::default(),
            stats: RefCell::default(),
            faults_in_a_row: Cell::new(0),
            carrier: Cell::new(None),
            stopping: Cell::new(false),
            on_event: RefCell::new(Box::new(on_event)),
            platform,
            config,
        };
        Ok((Self { core, network, streams, commands, storage: None }, handle))
    }

    /// Keeps blobs in `storage` too, at most as many bytes as the configuration says.
    #[must_use]
    pub fn with_storage(mut self, storage: Box<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Fetches blobs from the HTTPS sources that the relay names, and only what is missing from the relay itself.
    #[must_use]
    pub fn with_http(mut self, http: Rc<dyn HttpClient>) -> Self {
        self.core.fetcher.set_http(http);
        self
    }

    /// The libp2p key of a seed.
    pub fn keypair(seed: &[u8; 32]) -> Keypair {
        peer::keypair(seed)
    }

    /// This worker's node id.
    pub fn node_id(&self) -> NodeId {
        self.core.key.node_id()
    }

    /// Works until stopped. Lost connections are dialled again for ever.
    ///
    /// # Errors
    /// What no reconnect would change: the relay refuses this worker, or is of another network.
    pub async fn run(mut self) -> Result<(), WorkerError> {
        if let Some(storage) = self.storage.take() {
            let limit = self.core.config.stored_bytes;
            self.core.fetcher.cache_mut().open_storage(storage, limit).await;
        }
        let stored = self.core.fetcher.stored().cloned();
        let tidying = async {
            match stored {
                Some(stored) => stored.keep_to_limit().await,
                None => futures::future::pending().await,
            }
        };
        let result = futures::select_biased! {
            result = self.run_sessions().boxed_local().fuse() => result,
            () = tidying.boxed_local().fuse() => unreachable!("a limit is kept for ever"),
        };
        self.network.disconnect();
        timeout(&self.core.platform, CLOSE_TIMEOUT, self.network.flush()).await;
        self.core.emit(Event::Stopped);
        result
    }

    async fn run_sessions(&mut self) -> Result<(), WorkerError> {
        let mut attempt = 0;
        loop {
            self.core.emit(Event::Connecting { attempt });
            let reason = match self.connect().await {
                Connected::Stopped => return Ok(()),
                Connected::Failed(reason) => reason,
                Connected::Yes => match self.hold_session().await {
                    SessionEnd::Stopped => return Ok(()),
                    SessionEnd::Refused(error) => return Err(error),
                    // A stopped worker does not come back for what it lost.
                    SessionEnd::Lost { .. } if self.core.stopping.get() => return Ok(()),
                    SessionEnd::Lost { reason, welcomed } => {
                        if welcomed {
                            attempt = 0;
                        }
                        reason
                    }
                },
            };
            self.network.disconnect();
            let delay = reconnect_delay(attempt, &self.core.key.node_id());
            attempt += 1;
            self.core.emit(Event::Disconnected { reason, retry_ms: delay.as_millis() as u64 });
            if self.wait(delay).await {
                return Ok(());
            }
        }
    }

    async fn connect(&mut self) -> Connected {
        let core = &self.core;
        let dial = timeout(&core.platform, DIAL_TIMEOUT, self.network.connect(&core.config.relay)).fuse();
        let mut dial = std::pin::pin!(dial);
        loop {
            futures::select_biased! {
                command = self.commands.select_next_some() => if core.obey(command) { return Connected::Stopped },
                connected = dial => return match connected {
                    Some(Ok(carrier)) => {
                        core.carrier.set(carrier);
                        Connected::Yes
                    }
                    Some(Err(reason)) => Connected::Failed(reason),
                    None => Connected::Failed(format!("no connection within {} s", DIAL_TIMEOUT.as_secs())),
                },
            }
        }
    }

    async fn hold_session(&mut self) -> SessionEnd {
        let mut welcomed = false;
        let drive = self.network.drive().fuse();
        let session = session::run(&self.core, &mut self.streams, &mut self.commands, &mut welcomed).fuse();
        let (mut drive, mut session) = (std::pin::pin!(drive), Box::pin(session));
        let closed = futures::select_biased! {
            end = session => return end,
            reason = drive => reason,
        };
        drop(session);
        SessionEnd::Lost { reason: closed, welcomed }
    }

    /// Waits out a delay while the network and the handle are attended to; returns whether to stop.
    async fn wait(&mut self, delay: Duration) -> bool {
        let sleep = self.core.platform.sleep(delay).fuse();
        let closing = self.network.flush().fuse();
        let (mut sleep, mut closing) = (std::pin::pin!(sleep), std::pin::pin!(closing));
        loop {
            futures::select_biased! {
                command = self.commands.select_next_some() => if self.core.obey(command) { return true },
                () = sleep => return false,
                () = closing => {}
            }
        }
    }
}

enum Connected {
    Yes,
    Failed(String),
    Stopped,
}

fn reconnect_delay(attempt: u32, node: &NodeId) -> Duration {
    let base = RECONNECT_DELAY.saturating_mul(1 << attempt.min(16)).min(MAX_RECONNECT_DELAY);
    let spread = blake3::hash(&[&node.0[..], &attempt.to_le_bytes()].concat());
    base + base.mul_f64(f64::from(spread.as_bytes()[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_back_off_and_spread() {
        let (a, b) = (NodeId([1; 32]), NodeId([2; 32]));
        assert_ne!(reconnect_delay(0, &a), reconnect_delay(0, &b));
        for attempt in 0..40 {
            let delay = reconnect_delay(attempt, &a);
            assert!(delay >= RECONNECT_DELAY && delay <= MAX_RECONNECT_DELAY.mul_f64(1.5), "{attempt}: {delay:?}");
        }
        assert!(reconnect_delay(30, &a) >= MAX_RECONNECT_DELAY);
    }
}

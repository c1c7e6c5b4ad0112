//! One session with a relay, from hello to the end of the stream.
//!
//! A loop waits for whatever comes first (a message, a command, a blob stream, an input, a result, a tick), changes
//! the books, and then plans: which input to fetch, which unit to compute, how many leases to ask for. The relay
//! drives the order of a unit's messages: Lease, Commit, CommitAck, Result, and an Acceptance or a Rejection.

mod messages;
mod open;
mod tasks;

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, channel::mpsc};
use shoal_compute::Backend;
use shoal_transport::framed::{EnvelopeReader, EnvelopeWriter, FramedError, SessionError};
use shoal_wire::{
    envelope::{Signed, Verified},
    ids::LeaseId,
    proto::{Lease, LeaseRequest, LeaseReturn},
};

use crate::{
    error::WorkerError,
    event::{Event, Stats},
    leases::{Leases, cut},
    limits::{MAX_OPEN_LEASES, MAX_RETURN_DOUBLINGS, OUTBOX_LEN, RETURN_REST, STOP_DRAIN, TICK, WELCOME_TIMEOUT},
    network::Streams,
    platform::{Platform, timeout},
    worker::{Command, Core},
};
pub(crate) use open::open;
use tasks::{Done, Tasks};

/// How long the last messages may take to leave after a stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How a session ended.
pub(crate) enum SessionEnd {
    /// The volunteer stopped the worker.
    Stopped,
    /// The relay will not have this worker.
    Refused(WorkerError),
    /// The stream or the connection is gone; the worker dials again.
    Lost { reason: String, welcomed: bool },
}

/// What the loop waits for.
enum Step {
    Message(Result<Option<Verified>, SessionError>),
    Command(Command),
    Done(Done),
    Written(Result<(), FramedError>),
    BlobStream(libp2p::swarm::Stream),
    Tick,
}

/// Holds a session on an open connection. `welcomed` is set once the relay has welcomed the worker.
pub(crate) async fn run<P: Platform, G: Backend>(
    core: &Core<P, G>,
    streams: &mut Streams,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    welcomed: &mut bool,
) -> SessionEnd {
    let opening = timeout(&core.platform, WELCOME_TIMEOUT, open(core, streams.control.clone())).fuse();
    let mut opening = std::pin::pin!(opening);
    let opened = loop {
        futures::select_biased! {
            command = commands.select_next_some() => if core.obey(command) { return SessionEnd::Stopped },
            opened = opening => break opened,
        }
    };
    let (mut reader, writer, max_leases) = match opened {
        Some(Ok(opened)) => opened,
        Some(Err(end)) => return end,
        None => return lost(format!("no welcome within {} s", WELCOME_TIMEOUT.as_secs())),
    };
    *welcomed = true;
    let (outbox, queue) = mpsc::channel(OUTBOX_LEN);
    let mut writing = std::pin::pin!(write_queue(writer, queue).fuse());
    let mut session = Session {
        core,
        outbox,
        tasks: Tasks::new(core, streams.control.clone()),
        leases: Leases::default(),
        max_open: max_leases.clamp(1, MAX_OPEN_LEASES),
        rest_until: Duration::ZERO,
        stop_at: None,
        reported: Stats::default(),
    };
    let end = loop {
        session.plan();
        if session.is_drained() {
            break SessionEnd::Stopped;
        }
        let step = futures::select_biased! {
            command = commands.select_next_some() => Step::Command(command),
            message = next_message(&mut reader).fuse() => Step::Message(message),
            done = session.tasks.next().fuse() => Step::Done(done),
            written = writing => Step::Written(written),
            (_, stream) = streams.incoming_blobs.select_next_some() => Step::BlobStream(stream),
            () = sleep(&core.platform).fuse() => Step::Tick,
        };
        if let Err(end) = session.step(step) {
            break end;
        }
        session.report();
    };
    if matches!(end, SessionEnd::Stopped) {
        session.outbox.close_channel();
        // What could not be sent in time is settled by the leases' durations.
        timeout(&core.platform, FLUSH_TIMEOUT, writing).await;
    }
    end
}

fn lost(reason: impl Into<String>) -> SessionEnd {
    SessionEnd::Lost { reason: reason.into(), welcomed: true }
}

// Boxed, because `select!` needs futures that do not move.
fn next_message<'a, R: futures::AsyncRead + Unpin>(
    reader: &'a mut EnvelopeReader<R>,
) -> futures::future::LocalBoxFuture<'a, Result<Option<Verified>, SessionError>> {
    reader.next().boxed_local()
}

fn sleep<P: Platform>(platform: &P) -> futures::future::LocalBoxFuture<'_, ()> {
    platform.sleep(TICK).boxed_local()
}

async fn write_queue<W: futures::AsyncWrite + Unpin>(
    mut writer: EnvelopeWriter<W>,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> Result<(), FramedError> {
    while let Some(envelope) = queue.next().await {
        writer.send_sealed(&envelope).await?;
    }
    writer.close().await
}

struct Session<'a, P, G> {
    core: &'a Core<P, G>,
    outbox: mpsc::Sender<Vec<u8>>,
    tasks: Tasks<'a, P, G>,
    leases: Leases,
    max_open: u32,
    /// No leases are asked for before this.
    rest_until: Duration,
    /// When a stop no longer waits.
    stop_at: Option<Duration>,
    reported: Stats,
}

impl<P: Platform, G: Backend> Session<'_, P, G> {
    fn step(&mut self, step: Step) -> Result<(), SessionEnd> {
        match step {
            Step::Message(Ok(Some(message))) => self.message(&message),
            Step::Message(Ok(None)) => Err(lost("the relay closed the session")),
            Step::Message(Err(error)) => Err(lost(error.to_string())),
            Step::Command(command) => self.command(command),
            Step::Done(Done::Fetched(result)) => self.fetched(result),
            Step::Done(Done::Computed(result)) => self.computed(result),
            Step::Done(Done::Served) | Step::Tick => Ok(()),
            Step::Written(result) => Err(lost(result.map_or_else(|e| e.to_string(), |()| "writing ended".to_owned()))),
            Step::BlobStream(stream) => {
                self.tasks.serve(stream);
                Ok(())
            }
        }
    }

    fn command(&mut self, command: Command) -> Result<(), SessionEnd> {
        if self.core.obey(command) {
            let now = self.core.platform.now();
            // The second stop waits for nothing.
            self.stop_at = Some(if self.stop_at.is_some() { now } else { now + STOP_DRAIN });
            self.tasks.abandon();
            let computing = self.leases.computing.take().map(|open| open.lease);
            for lease in self.leases.take_waiting().into_iter().chain(computing) {
                self.give_back(lease, "stopped by the volunteer")?;
            }
        } else if self.core.pace.is_paused() {
            self.tasks.abandon_fetch();
            for lease in self.leases.take_waiting() {
                self.give_back(lease, "paused by the volunteer")?;
            }
        }
        Ok(())
    }

    /// Starts what can be started.
    fn plan(&mut self) {
        if self.stop_at.is_some() {
            return;
        }
        let now = self.core.platform.now();
        if self.leases.fetching.is_none()
            && let Some(open) = self.leases.granted.pop_front()
        {
            self.tasks.fetch(open.unit.clone());
            self.leases.fetching = Some(open);
        }
        if self.leases.computing.is_none()
            && let Some((open, inputs)) = self.leases.ready.pop_front()
        {
            let backend = self.tasks.compute(open.clone(), inputs);
            self.core.emit(Event::Computing { lease: open.lease, unit: (&open.unit).into(), backend });
            self.leases.computing = Some(open);
        }
        // One request at a time: grants of an earlier one may be on their way, and what exceeds the room goes back.
        let wanted = self.max_open.saturating_sub(self.leases.open());
        let may_ask = self.leases.requested == 0 && wanted > 0 && now >= self.rest_until;
        // A full outbox means a relay that does not read; the next plan asks again.
        if may_ask && !self.core.pace.is_paused() && self.send(&LeaseRequest { max_units: wanted }).is_ok() {
            self.leases.requested = wanted;
        }
    }

    /// Whether a stop has nothing left to wait for.
    fn is_drained(&self) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        let settled = self.leases.committed.is_empty() && self.core.pending.borrow().len() == 0;
        settled || self.core.platform.now() >= stop_at
    }

    fn send<M: Signed>(&mut self, message: &M) -> Result<(), SessionEnd> {
        let sealed = self.core.key.seal_bytes(message);
        self.outbox.try_send(sealed).map_err(|_| lost(format!("{OUTBOX_LEN} messages wait and the relay reads none")))
    }

    /// Gives a lease back without blame.
    fn give_back(&mut self, lease: LeaseId, reason: impl Into<String>) -> Result<(), SessionEnd> {
        let reason = cut(reason.into());
        self.core.stats.borrow_mut().returned_leases += 1;
        self.core.emit(Event::Returned { lease, reason: reason.clone() });
        self.send(&LeaseReturn { lease: lease.to_vec(), reason })
    }

    /// Gives a lease back because something is wrong here or with the unit, and rests before asking for more.
    fn give_back_faulty(&mut self, lease: LeaseId, reason: String) -> Result<(), SessionEnd> {
        let faults = self.core.faults_in_a_row.get();
        self.core.faults_in_a_row.set(faults.saturating_add(1));
        self.rest_until = self.core.platform.now() + RETURN_REST * 2_u32.pow(faults.min(MAX_RETURN_DOUBLINGS));
        tracing::warn!(lease = %lease.short(), reason, "lease given back");
        self.give_back(lease, reason)
    }

    /// Reports the totals when they have changed.
    fn report(&mut self) {
        let mut stats = self.core.stats.borrow_mut();
        let pending = self.core.pending.borrow();
        stats.pending_units = pending.len() as u64;
        stats.pending_ops = pending.ops();
        if *stats == self.reported {
            return;
        }
        self.reported = *stats;
        drop((stats, pending));
        self.core.emit(Event::Stats(self.reported));
    }
}

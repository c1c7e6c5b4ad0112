//! The coordinator: one value that holds every active round, every lease and every connected worker.
//!
//! The parts: `sessions` (workers come, ask, go), `results` (commit, reveal, verdict), `groups` (a unit's replicas move
//! together), `leasing` (who gets what), `rounds` (start, finish, cancel), `timers` (what is due), `snapshot` (what a
//! driver may look at).

mod groups;
mod invariants;
mod leasing;
mod results;
mod rounds;
mod sessions;
mod snapshot;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shoal_wire::ids::{JobId, LeaseId, NodeId};

use crate::{
    error::InputError,
    input::Input,
    lease::Lease,
    nonce::LeaseNonces,
    output::Output,
    round::Round,
    time::TimeMs,
    worker::{Strikes, Worker},
};
pub use snapshot::{RoundProgress, VerdictEffect, WorkerSnapshot};
use timers::{Timer, Timers};

/// The relay's side of the work protocol, without I/O.
///
/// # Driving contract
/// 1. After every [`handle_input`](Self::handle_input), call [`poll_output`](Self::poll_output) until it gives `None`
///    and act on each output in order. Else: [`InputError::OutputsPending`].
/// 2. `now` never decreases and is not wall-clock time. Else: [`InputError::TimeWentBack`].
/// 3. A worker's messages are fed between its `WorkerJoined` and its `WorkerLeft`, signatures checked, in the order
///    received. Else: [`InputError::NotJoined`] or [`InputError::AlreadyJoined`].
/// 4. A job has one active round: from `StartRound` to `RoundComplete` or `CancelJob`. Else:
///    [`InputError::RoundActive`] or [`InputError::UnknownJob`].
/// 5. When [`next_timeout`](Self::next_timeout) is reached, feed [`Input::Tick`] or any other input. Being late is
///    safe: it only lengthens leases.
/// 6. Every [`Output::NeedVerdict`] is answered by one [`Input::Verdict`], with `OutputUnavailable` if the output
///    cannot be fetched in time. A round waits for its verdicts. Before feeding an accepting verdict, ask
///    [`verdict_effect`](Self::verdict_effect), store verdict and receipt, and feed it before anything else; a verdict
///    that nobody asked for changes nothing and gives [`Output::VerdictIgnored`].
/// 7. After a restart, make a new coordinator with a new secret seed and feed `StartRound` with the units that the
///    store holds as accepted. Leases are lost, those units are leased again, nothing accepted is counted twice.
///
/// An input that is refused with an error has changed nothing.
#[derive(Debug)]
pub struct Coordinator {
    nonces: LeaseNonces,
    last_input: TimeMs,
    /// Numbers jobs, requests and departures in the order they came.
    sequence: u64,
    jobs: BTreeMap<JobId, Round>,
    leases: BTreeMap<LeaseId, Lease>,
    workers: BTreeMap<NodeId, Worker>,
    /// Connected workers that want units.
    waiting: BTreeSet<NodeId>,
    /// Strikes of workers that are away, and when they left.
    away: BTreeMap<NodeId, (Strikes, u64)>,
    timers: Timers,
    outputs: VecDeque<Output>,
}

impl Coordinator {
    /// A coordinator without jobs and workers. `seed` makes the lease nonces: secret, and new at every start.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            nonces: LeaseNonces::new(seed),
            last_input: TimeMs(0),
            sequence: 0,
            jobs: BTreeMap::new(),
            leases: BTreeMap::new(),
            workers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            away: BTreeMap::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input that happened at `now`, and handles everything that is due by then.
    ///
    /// # Errors
    /// When the driving contract is broken or a limit of the coordinator is reached; nothing has changed then.
    pub fn handle_input(&mut self, now: TimeMs, input: Input) -> Result<(), InputError> {
        self.check_contract(now, &input)?;
        self.last_input = now;
        self.handle_due(now);
        let mut asked = None;
        match input {
            Input::Tick => {}
            Input::WorkerJoined { worker, profile, strikes } => self.worker_joined(now, worker, profile, strikes),
            Input::WorkerLeft { worker } => self.worker_left(now, worker),
            Input::LeaseRequest { worker, max_units } => {
                self.lease_requested(worker, max_units);
                asked = Some(worker);
            }
            Input::LeaseReturn { worker, lease } => self.lease_returned(now, worker, lease),
            Input::Commit { worker, lease, commitment } => self.committed(now, worker, lease, commitment),
            Input::Result { worker, lease, output, output_len } => {
                self.revealed(now, worker, lease, output, output_len);
            }
            Input::Verdict { lease, outcome } => self.judged(now, lease, outcome),
            Input::StartRound { plan, accepted } => self.start_round(plan, &accepted),
            Input::CancelJob { job } => self.cancel_job(job),
        }
        self.assign_leases(now);
        if let Some(worker) = asked {
            self.tell_if_queued(now, worker);
        }
        Ok(())
    }

    /// The next thing to do, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When something becomes due that no message announces.
    pub fn next_timeout(&self) -> Option<TimeMs> {
        self.timers.next()
    }

    fn check_contract(&self, now: TimeMs, input: &Input) -> Result<(), InputError> {
        if !self.outputs.is_empty() {
            return Err(InputError::OutputsPending { pending: self.outputs.len() });
        }
        if now < self.last_input {
            return Err(InputError::TimeWentBack { last: self.last_input, now });
        }
        match input {
            Input::Tick | Input::Verdict { .. } => Ok(()),
            Input::WorkerJoined { worker, .. } => self.check_join(worker),
            Input::WorkerLeft { worker }
            | Input::LeaseRequest { worker, .. }
            | Input::LeaseReturn { worker, .. }
            | Input::Commit { worker, .. }
            | Input::Result { worker, .. } => {
                if self.workers.contains_key(worker) {
                    Ok(())
                } else {
                    Err(InputError::NotJoined { worker: *worker })
                }
            }
            Input::StartRound { plan, accepted } => self.check_start(plan, accepted),
            Input::CancelJob { job } => {
                if self.jobs.contains_key(job) {
                    Ok(())
                } else {
                    Err(InputError::UnknownJob { job: *job })
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The round a lease belongs to.
    fn round_mut(&mut self, job: &JobId) -> &mut Round {
        self.jobs.get_mut(job).expect("a lease's job is active: leases end with their round")
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Sets or moves a lease's timer to its deadline.
    fn arm_lease(&mut self, id: LeaseId) {
        let deadline = self.leases.get(&id).and_then(Lease::deadline);
        self.timers.set(Timer::Lease(id), deadline);
    }
}

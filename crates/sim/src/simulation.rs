//! The run itself: one loop over the event queue and the coordinator's timeouts.

use std::{collections::BTreeMap, fmt::Debug};

use shoal_mesh::{AcceptedUnit, Input, Output, TimeMs, VerdictEffect};
use shoal_wire::{
    ids::{JobId, LeaseId, NodeId},
    proto::Outcome,
};

use crate::{
    adversary::{Air, Overheard},
    checker::{Checker, Paid, Violation},
    event::{Event, Queue, ToRelay, ToWorker},
    figures::{BehaviourFigures, Figures},
    network::Network,
    relay::SimRelay,
    rng::Rng,
    scenario::Scenario,
    truth::Truth,
    worker::SimWorker,
};

/// Virtual time after which a run has stalled, milliseconds. The longest rests, reveals and patience are minutes; an
/// hour holds dozens of them in a row.
const LIMIT_MS: u64 = 6 * 3_600_000;

/// Events after which a run has stalled.
const LIMIT_EVENTS: u64 = 5_000_000;

/// Time between two looks of a worker at what it has to do, milliseconds.
const WAKE_MS: (u64, u64) = (100, 500);

/// Plays a scenario to its end.
///
/// # Errors
/// The first promise that was broken.
///
/// # Panics
/// When the coordinator finds a bug in itself.
pub fn simulate(scenario: &Scenario) -> Result<Figures, Violation> {
    simulate_watched(scenario, &mut |_, _| ())
}

/// As [`simulate`], showing every input and output of the coordinator with its virtual time in milliseconds.
///
/// # Errors
/// As [`simulate`].
///
/// # Panics
/// As [`simulate`].
pub fn simulate_watched(scenario: &Scenario, watch: &mut dyn FnMut(u64, &dyn Debug)) -> Result<Figures, Violation> {
    let mut simulation = Simulation::new(scenario, watch);
    while simulation.relay.unfinished() > 0 {
        simulation.step()?;
    }
    let Simulation { mut figures, network, now_ms, .. } = simulation;
    figures.virtual_ms = now_ms;
    figures.messages = network.sent;
    figures.messages_lost = network.lost;
    Ok(figures)
}

struct Simulation<'a> {
    watch: &'a mut dyn FnMut(u64, &dyn Debug),
    now_ms: u64,
    queue: Queue,
    network: Network,
    relay: SimRelay,
    workers: Vec<SimWorker>,
    by_node: BTreeMap<NodeId, usize>,
    air: Air,
    truth: Truth,
    checker: Checker,
    figures: Figures,
    verdict_ms: u64,
    rng: Rng,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &Scenario, watch: &'a mut dyn FnMut(u64, &dyn Debug)) -> Self {
        // Another stream than the one the scenario was drawn from.
        let mut rng = Rng::new(!scenario.seed);
        let truth = Truth::new(rng.bytes());
        let mut queue = Queue::default();
        for (worker, drawn) in scenario.workers.iter().enumerate() {
            queue.push(drawn.joins_ms, Event::WorkerComes { worker });
            queue.push(drawn.joins_ms, Event::WorkerWakes { worker });
        }
        for job in &scenario.jobs {
            queue.push(job.starts_ms, Event::RoundStarts { relay: 0, job: job.job });
        }
        for at_ms in &scenario.kills_ms {
            queue.push(*at_ms, Event::RelayKilled);
        }
        let mut figures = Figures { seed: scenario.seed, ..Figures::default() };
        for worker in &scenario.workers {
            figures.behaviours.entry(worker.behaviour).or_default().workers += 1;
        }
        Self {
            watch,
            now_ms: 0,
            queue,
            network: Network::new(scenario, rng.fork()),
            relay: SimRelay::new(&scenario.jobs, rng.fork()),
            workers: scenario.workers.iter().map(|worker| SimWorker::new(worker.clone(), rng.fork())).collect(),
            by_node: scenario.workers.iter().enumerate().map(|(index, worker)| (worker.node, index)).collect(),
            air: Air::default(),
            checker: Checker::new(scenario, truth.clone()),
            truth,
            figures,
            verdict_ms: scenario.verdict_ms,
            rng,
        }
    }

    /// Plays the next thing that happens: a timeout of the coordinator or an event.
    fn step(&mut self) -> Result<(), Violation> {
        self.figures.events += 1;
        let unfinished = self.relay.unfinished();
        if self.now_ms > LIMIT_MS || self.figures.events > LIMIT_EVENTS {
            return Err(Violation::Stalled { unfinished, virtual_ms: self.now_ms, events: self.figures.events });
        }
        let timeout_ms = self.relay.coordinator.next_timeout().map_or(u64::MAX, |at| at.0);
        let event_ms = self.queue.next_at_ms().unwrap_or(u64::MAX);
        if timeout_ms.min(event_ms) == u64::MAX {
            return Err(Violation::Stalled { unfinished, virtual_ms: self.now_ms, events: self.figures.events });
        }
        if timeout_ms <= event_ms {
            self.now_ms = timeout_ms;
            return self.feed(Input::Tick);
        }
        self.now_ms = event_ms;
        match self.queue.pop() {
            Some(event) => self.play(event),
            None => Ok(()),
        }
    }

    fn play(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::WorkerWakes { worker } => self.worker_wakes(worker),
            Event::WorkerComes { worker } => self.worker_comes(worker),
            Event::WorkerDies { worker, session } => self.worker_dies(worker, session),
            Event::SessionBegins { worker, session } => return self.session_begins(worker, session),
            Event::SessionEnds { worker, session } => return self.session_ends(worker, session),
            Event::AtRelay { worker, session, message } => {
                if self.relay.sessions.get(&worker) == Some(&session) {
                    return self.at_relay(worker, message);
                }
            }
            Event::AtWorker { worker, session, message } => {
                let receiver = &mut self.workers[worker];
                if receiver.online && receiver.session == session {
                    receiver.receive(self.now_ms, message);
                }
            }
            Event::Judged { relay, lease, outcome } => {
                if relay == self.relay.run {
                    return self.judged(lease, outcome);
                }
            }
            Event::RoundStarts { relay, job } => {
                if relay == self.relay.run {
                    return self.start_round(job);
                }
            }
            Event::RelayKilled => {
                if self.rng.chance(500) {
                    return self.kill_relay();
                }
                self.relay.dies_at_next_acceptance = true;
            }
        }
        Ok(())
    }

    fn worker_wakes(&mut self, worker: usize) {
        let (low_ms, high_ms) = WAKE_MS;
        self.queue.push(self.now_ms + self.rng.range(low_ms, high_ms), Event::WorkerWakes { worker });
        let speaker = &mut self.workers[worker];
        if !speaker.online {
            return;
        }
        let said = speaker.wake(self.now_ms, &self.truth, &self.air);
        let (from, session, at_ms) = (speaker.scenario.node, speaker.session, self.now_ms);
        for message in said {
            if let ToRelay::Commit { lease, commitment: value } = message
                && let Some(unit) = self.workers[worker].unit_of(&lease)
            {
                self.air.hear_commitment(unit, Overheard { at_ms, from, lease, value });
            }
            self.network.send(self.now_ms, &mut self.queue, Event::AtRelay { worker, session, message });
        }
    }

    fn worker_comes(&mut self, worker: usize) {
        let forgets = self.rng.chance(500);
        self.workers[worker].come(forgets);
        let (session, lifetime_ms) = (self.workers[worker].session, self.workers[worker].scenario.lifetime_ms);
        let connected_ms = self.now_ms + self.rng.range(1, 1_000);
        self.queue.push(connected_ms, Event::SessionBegins { worker, session });
        if lifetime_ms > 0 {
            let dies_ms = self.now_ms + self.rng.range(1, 2 * lifetime_ms);
            self.queue.push(dies_ms, Event::WorkerDies { worker, session });
        }
    }

    fn worker_dies(&mut self, worker: usize, session: u32) {
        if self.workers[worker].session != session {
            return;
        }
        self.workers[worker].online = false;
        let noticed_ms = self.now_ms + self.rng.range(1, 5_000);
        self.queue.push(noticed_ms, Event::SessionEnds { worker, session });
        let back_ms = self.now_ms + self.rng.range(500, 30_000);
        self.queue.push(back_ms, Event::WorkerComes { worker });
    }

    fn session_begins(&mut self, worker: usize, session: u32) -> Result<(), Violation> {
        if self.workers[worker].session != session || !self.workers[worker].online {
            return Ok(());
        }
        if let Some(old) = self.relay.sessions.get(&worker).copied() {
            self.session_ends(worker, old)?;
        }
        self.relay.sessions.insert(worker, session);
        let scenario = &self.workers[worker].scenario;
        let strikes = self.relay.strikes.get(&scenario.node).copied().unwrap_or_default();
        self.feed(Input::WorkerJoined { worker: scenario.node, profile: scenario.profile.clone(), strikes })
    }

    fn session_ends(&mut self, worker: usize, session: u32) -> Result<(), Violation> {
        if self.relay.sessions.get(&worker) != Some(&session) {
            return Ok(());
        }
        self.relay.sessions.remove(&worker);
        self.feed(Input::WorkerLeft { worker: self.workers[worker].scenario.node })
    }

    fn at_relay(&mut self, from: usize, message: ToRelay) -> Result<(), Violation> {
        let worker = self.workers[from].scenario.node;
        let refused_before = self.figures.messages_refused;
        self.feed(match message {
            ToRelay::Request { max_units } => Input::LeaseRequest { worker, max_units },
            ToRelay::Commit { lease, commitment } => Input::Commit { worker, lease, commitment },
            ToRelay::Result { lease, output } => Input::Result { worker, lease, output, output_len: 1 },
            ToRelay::Return { lease } => Input::LeaseReturn { worker, lease },
        })?;
        if let ToRelay::Result { lease, output: value } = message
            && self.figures.messages_refused == refused_before
            && let Some(unit) = self.workers[from].unit_of(&lease)
        {
            self.air.hear_output(unit, Overheard { at_ms: self.now_ms, from: worker, lease, value });
        }
        Ok(())
    }

    fn start_round(&mut self, job: JobId) -> Result<(), Violation> {
        let stored = self.relay.jobs.get_mut(&job).expect("rounds start for jobs of the scenario");
        stored.started = true;
        let accepted: Vec<AcceptedUnit> = stored.accepted.values().copied().collect();
        let plan = stored.scenario.plan(stored.round);
        self.feed(Input::StartRound { plan, accepted })
    }

    /// The verdict is in: it is stored, then fed. A relay may die in between.
    fn judged(&mut self, lease: LeaseId, outcome: Outcome) -> Result<(), Violation> {
        let paid = self.relay.judging.remove(&lease).expect("what is judged was asked for in this run");
        let accepts = self.relay.coordinator.verdict_effect(&lease) == VerdictEffect::Accepts;
        if accepts && outcome == Outcome::Accepted {
            self.checker.stored(&paid)?;
            let job = self.relay.jobs.get_mut(&paid.job).expect("units are of jobs of the scenario");
            job.accepted.insert(paid.result.index, paid.result);
            if self.relay.dies_at_next_acceptance {
                return self.kill_relay();
            }
        }
        self.feed(Input::Verdict { lease, outcome })
    }

    fn kill_relay(&mut self) -> Result<(), Violation> {
        self.figures.relay_restarts += 1;
        self.relay.restart();
        for worker in 0..self.workers.len() {
            if self.workers[worker].online {
                // The connection broke; the worker still has what it computed.
                self.workers[worker].online = false;
                let back_ms = self.now_ms + self.rng.range(100, 5_000);
                self.queue.push(back_ms, Event::WorkerComes { worker });
            }
        }
        let unfinished: Vec<JobId> =
            self.relay.jobs.iter().filter(|(_, job)| !job.is_done()).map(|(id, _)| *id).collect();
        for job in unfinished {
            if self.relay.jobs[&job].started {
                self.start_round(job)?;
            } else {
                let starts_ms = self.relay.jobs[&job].scenario.starts_ms.max(self.now_ms);
                self.queue.push(starts_ms, Event::RoundStarts { relay: self.relay.run, job });
            }
        }
        Ok(())
    }

    /// One input for the coordinator; every invariant is checked after it and every output is acted upon.
    fn feed(&mut self, input: Input) -> Result<(), Violation> {
        (self.watch)(self.now_ms, &input);
        self.relay.coordinator.handle_input(TimeMs(self.now_ms), input)?;
        self.relay.coordinator.assert_invariants();
        let outputs: Vec<Output> = std::iter::from_fn(|| self.relay.coordinator.poll_output()).collect();
        outputs.into_iter().try_for_each(|output| {
            (self.watch)(self.now_ms, &output);
            self.act(output)
        })
    }

    fn act(&mut self, output: Output) -> Result<(), Violation> {
        match output {
            Output::GrantLease { worker, lease, unit, .. } => {
                self.checker.leased(lease)?;
                self.figures.leases += 1;
                self.count(&worker).leases += 1;
                self.tell(worker, ToWorker::Lease { lease, unit });
            }
            Output::Queued { worker, .. } => self.tell(worker, ToWorker::NoWork),
            Output::CommitAcked { worker, lease } => self.tell(worker, ToWorker::CommitAck { lease }),
            Output::NeedVerdict { lease, worker, job, round, index, unit, output, .. } => {
                self.relay
                    .judging
                    .insert(lease, Paid { job, round, unit, result: AcceptedUnit { index, output, worker } });
                let gone = !self.workers[self.by_node[&worker]].online;
                let outcome = if gone && self.rng.chance(500) {
                    Outcome::OutputUnavailable
                } else {
                    self.checker.verdict(&unit, &output)
                };
                let judged_ms = self.now_ms + self.rng.range(1, self.verdict_ms);
                self.queue.push(judged_ms, Event::Judged { relay: self.relay.run, lease, outcome });
            }
            Output::Accepted { lease, worker, job, round, index, unit, output } => {
                self.checker.accepted(&Paid { job, round, unit, result: AcceptedUnit { index, output, worker } })?;
                self.count(&worker).accepted += 1;
                self.tell(worker, ToWorker::Acceptance { lease });
            }
            Output::Confirmed { lease, worker, job, round, index, unit, output } => {
                self.checker.confirmed(&Paid { job, round, unit, result: AcceptedUnit { index, output, worker } })?;
                self.count(&worker).confirmed += 1;
                self.tell(worker, ToWorker::Acceptance { lease });
            }
            Output::Rejected { lease, worker, outcome, .. } => {
                self.checker.rejected(worker, outcome)?;
                self.count(&worker).rejected += 1;
                if let Some(seen) = self.relay.coordinator.worker(&worker) {
                    self.relay.strikes.insert(worker, seen.strikes);
                }
                self.tell(worker, ToWorker::Rejection { lease });
            }
            Output::LeaseWithdrawn { .. } => self.figures.leases_withdrawn += 1,
            Output::RefuseMessage { worker, lease, reason } => {
                self.figures.messages_refused += 1;
                self.tell(worker, ToWorker::Refusal { lease, reason });
            }
            Output::RefuseWorker { worker, .. } => {
                self.checker.refused(worker)?;
                self.count(&worker).refused += 1;
            }
            Output::RoundComplete { job, round, outputs } => self.round_complete(job, round, &outputs)?,
            Output::VerdictIgnored { lease } => return Err(Violation::VerdictIgnored { lease }),
        }
        Ok(())
    }

    fn round_complete(&mut self, job: JobId, round: u32, outputs: &[AcceptedUnit]) -> Result<(), Violation> {
        self.checker.completed(job, round, outputs)?;
        self.figures.rounds += 1;
        self.figures.units += outputs.len() as u64;
        let stored = self.relay.jobs.get_mut(&job).expect("rounds are of jobs of the scenario");
        stored.round += 1;
        stored.accepted.clear();
        if stored.is_done() {
            self.figures.jobs += 1;
        } else {
            let aggregated_ms = self.now_ms + self.rng.range(1, 500);
            self.queue.push(aggregated_ms, Event::RoundStarts { relay: self.relay.run, job });
        }
        Ok(())
    }

    fn tell(&mut self, worker: NodeId, message: ToWorker) {
        let worker = self.by_node[&worker];
        let Some(session) = self.relay.sessions.get(&worker).copied() else { return };
        self.network.send(self.now_ms, &mut self.queue, Event::AtWorker { worker, session, message });
    }

    fn count(&mut self, worker: &NodeId) -> &mut BehaviourFigures {
        let behaviour = self.checker.behaviour(worker);
        self.figures.behaviours.entry(behaviour).or_default()
    }
}

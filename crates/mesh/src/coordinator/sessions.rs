//! Workers come, ask, give back, go, and are refused when they were wrong too often.

use shoal_wire::{
    ids::{LeaseId, NodeId},
    limits::MAX_LEASES_PER_REQUEST,
};

use super::Coordinator;
use crate::{
    error::InputError,
    lease::LeaseState,
    limits::{MAX_CONNECTED_WORKERS, MAX_REMEMBERED_WORKERS},
    output::{NoWorkReason, Output, RefusalReason, WithdrawnReason},
    time::TimeMs,
    worker::{Standing, Strikes, Worker, WorkerProfile},
};

impl Coordinator {
    pub(super) fn check_join(&self, worker: &NodeId) -> Result<(), InputError> {
        if self.workers.contains_key(worker) {
            return Err(InputError::AlreadyJoined { worker: *worker });
        }
        if self.workers.len() >= MAX_CONNECTED_WORKERS {
            return Err(InputError::TooManyWorkers { limit: MAX_CONNECTED_WORKERS });
        }
        Ok(())
    }

    pub(super) fn worker_joined(&mut self, now: TimeMs, id: NodeId, profile: WorkerProfile, strikes: Strikes) {
        let remembered = self.away.remove(&id).map(|(strikes, _)| strikes).unwrap_or_default();
        let mut worker = Worker::new(profile, strikes.max(remembered), now);
        // Results that were in when it left are still judged.
        let still_its = self.leases.iter().filter(|(_, lease)| lease.worker == id && !lease.is_lapsed());
        worker.leases.extend(still_its.map(|(lease, _)| *lease));
        let standing = worker.strikes.standing();
        self.workers.insert(id, worker);
        if standing != Standing::Good {
            self.emit(Output::RefuseWorker { worker: id, standing });
        }
    }

    pub(super) fn worker_left(&mut self, now: TimeMs, id: NodeId) {
        let worker = self.workers.remove(&id).expect("the contract check found it joined");
        self.waiting.remove(&id);
        self.timers.set(super::Timer::Worker(id), None);
        if worker.strikes.any() {
            self.remember(id, worker.strikes);
        }
        for lease in worker.leases {
            if self.leases.get(&lease).is_some_and(|lease| lease.lapsed().is_some()) {
                self.lapse(now, lease, WithdrawnReason::WorkerLeft);
            }
        }
    }

    pub(super) fn lease_requested(&mut self, id: NodeId, max_units: u32) {
        let sequence = self.next_sequence();
        let worker = self.workers.get_mut(&id).expect("the contract check found it joined");
        if worker.wanted == 0 {
            worker.queued = sequence;
        }
        worker.wanted = max_units.min(MAX_LEASES_PER_REQUEST);
        if worker.strikes.standing() == Standing::NoLeases {
            worker.wanted = 0;
        }
        if worker.wanted > 0 {
            self.waiting.insert(id);
        } else {
            self.waiting.remove(&id);
        }
    }

    /// After leases were given out: tells a worker that just asked if there was none for it.
    pub(super) fn tell_if_queued(&mut self, now: TimeMs, id: NodeId) {
        let granted = |output: &Output| matches!(output, Output::GrantLease { worker, .. } if *worker == id);
        if self.outputs.iter().any(granted) {
            return;
        }
        let worker = &self.workers[&id];
        let reason = if worker.strikes.standing() == Standing::NoLeases {
            NoWorkReason::Refused
        } else if worker.room() == 0 {
            NoWorkReason::EnoughLeases
        } else if now < worker.rests_until {
            NoWorkReason::Resting
        } else if self.jobs.values().all(|round| round.vacancies() == 0) {
            NoWorkReason::NothingOpen
        } else {
            NoWorkReason::NothingSuitable
        };
        self.emit(Output::Queued { worker: id, reason });
    }

    pub(super) fn lease_returned(&mut self, now: TimeMs, worker: NodeId, id: LeaseId) {
        let Some(state) = self.state_for(worker, id) else { return };
        match state {
            LeaseState::Granted { .. } | LeaseState::Committed { .. } | LeaseState::Revealing { .. } => {
                self.withdraw(now, id, WithdrawnReason::Returned);
            }
            LeaseState::Lapsed { .. } => {
                self.end_lease(id);
            }
            LeaseState::Revealed { .. } | LeaseState::Judging { .. } => {
                self.refuse(worker, id, RefusalReason::TooLateToReturn);
            }
        }
    }

    /// Ends a live lease for good, without blame.
    fn withdraw(&mut self, now: TimeMs, id: LeaseId, reason: WithdrawnReason) {
        let lease = self.end_lease(id);
        let round = self.round_mut(&lease.job);
        let number = round.plan.round;
        // Others first: a worker that returns a unit and asks again must not get it in a circle.
        round.unit(lease.index).note_lapse(lease.worker);
        self.emit(Output::LeaseWithdrawn {
            lease: id,
            worker: lease.worker,
            job: lease.job,
            round: number,
            index: lease.index,
            reason,
        });
        self.settle(now, lease.job, lease.index);
    }

    /// Counts a wrong result. At the limit the worker is told, and what it has not revealed goes to others.
    pub(super) fn strike(&mut self, now: TimeMs, id: NodeId, tolerable: bool) {
        let mut strikes = match self.workers.get(&id) {
            Some(worker) => worker.strikes,
            None => self.away.get(&id).map(|(strikes, _)| *strikes).unwrap_or_default(),
        };
        let before = strikes.standing();
        let count = if tolerable { &mut strikes.tolerant } else { &mut strikes.exact };
        *count = count.saturating_add(1);
        let Some(worker) = self.workers.get_mut(&id) else {
            self.remember(id, strikes);
            return;
        };
        worker.strikes = strikes;
        let standing = strikes.standing();
        if standing == before {
            return;
        }
        let held: Vec<LeaseId> = worker.leases.iter().copied().collect();
        self.emit(Output::RefuseWorker { worker: id, standing });
        if standing == Standing::NoLeases {
            self.lease_requested(id, 0);
            for lease in held {
                if self.leases.get(&lease).is_some_and(|lease| lease.lapsed().is_some()) {
                    self.withdraw(now, lease, WithdrawnReason::WorkerRefused);
                }
            }
        }
    }

    /// Keeps the strikes of a worker that is away; above the limit the one that left first is forgotten.
    fn remember(&mut self, id: NodeId, strikes: Strikes) {
        let sequence = self.next_sequence();
        if !self.away.contains_key(&id) && self.away.len() >= MAX_REMEMBERED_WORKERS {
            let oldest = self.away.iter().min_by_key(|(_, (_, left))| *left).map(|(id, _)| *id);
            oldest.and_then(|id| self.away.remove(&id));
        }
        self.away.insert(id, (strikes, sequence));
    }
}

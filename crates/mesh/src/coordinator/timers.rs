//! What becomes due without a message: leases and reveals that run out, replicas that wait no longer, workers whose
//! rest or grace ends.

use std::collections::{BTreeMap, BTreeSet};

use shoal_wire::ids::{JobId, LeaseId, NodeId};

use super::Coordinator;
use crate::{lease::LeaseState, limits::REPLICA_PATIENCE_MS, output::WithdrawnReason, time::TimeMs};

/// Whose timer it is; each has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A lease's deadline.
    Lease(LeaseId),
    /// The end of a unit's patience for missing replicas.
    Unit(JobId, u32),
    /// The end of a worker's rest or grace: leases may go out differently from then on.
    Worker(NodeId),
}

/// The timers that are set, by time. At most one a lease, unit and worker, so bounded as they are.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(TimeMs, Timer)>,
    at: BTreeMap<Timer, TimeMs>,
}

impl Timers {
    /// Sets, moves or clears a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Option<TimeMs>) {
        if let Some(old) = self.at.remove(&timer) {
            self.by_time.remove(&(old, timer));
        }
        if let Some(at) = at {
            self.at.insert(timer, at);
            self.by_time.insert((at, timer));
        }
    }

    pub(super) fn next(&self) -> Option<TimeMs> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one timer that is due.
    fn take_due(&mut self, now: TimeMs) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }
}

impl Coordinator {
    /// Handles every timer that is due. Leases themselves are given out afterwards.
    pub(super) fn handle_due(&mut self, now: TimeMs) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Lease(lease) => self.lease_ran_out(now, lease),
                Timer::Unit(job, index) => self.settle(now, job, index),
                Timer::Worker(worker) => self.arm_worker(now, worker),
            }
        }
    }

    fn lease_ran_out(&mut self, now: TimeMs, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else { return };
        let reason = match lease.state() {
            LeaseState::Revealing { .. } => WithdrawnReason::NotRevealed,
            _ => WithdrawnReason::Expired,
        };
        let worker = lease.worker;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.note_lapse(now);
        }
        self.arm_worker(now, worker);
        self.lapse(now, id, reason);
    }

    /// Wakes the coordinator when the worker's rest or grace ends, whichever comes first after `now`.
    pub(super) fn arm_worker(&mut self, now: TimeMs, id: NodeId) {
        let at = self
            .workers
            .get(&id)
            .and_then(|worker| [worker.rests_until, worker.grace_until].into_iter().filter(|at| *at > now).min());
        self.timers.set(Timer::Worker(id), at);
    }

    /// Wakes the coordinator when a unit's patience for missing replicas ends, if that is still to come.
    pub(super) fn arm_patience(&mut self, now: TimeMs, job: JobId, index: u32) {
        let at = self.jobs.get(&job).and_then(|round| {
            let unit = &round.units[index as usize];
            let end = unit.first_commit.filter(|_| unit.has_vacancy())?.after(REPLICA_PATIENCE_MS);
            (end > now).then_some(end)
        });
        self.timers.set(Timer::Unit(job, index), at);
    }
}

//! A unit's replicas move as a group: all live ones commit before any reveals, all reveals are in before any is
//! judged. With one replica a group of one passes straight through.

use shoal_wire::ids::{JobId, LeaseId, UnitId};

use super::{Coordinator, Timer};
use crate::{
    lease::{Lease, LeaseState},
    limits::{REPLICA_PATIENCE_MS, REVEAL_TIMEOUT_MS},
    output::{Output, WithdrawnReason},
    time::TimeMs,
    unit::{Phase, Slot},
};

impl Coordinator {
    /// Moves a unit on as far as its leases allow. Called after every change of one of them.
    pub(super) fn settle(&mut self, now: TimeMs, job: JobId, index: u32) {
        while self.settle_once(now, job, index) {}
        let Some(round) = self.jobs.get_mut(&job) else { return };
        round.refresh_vacancy(index);
        let unit = round.unit(index);
        if !unit.live_leases().any(|id| matches!(self.leases[&id].state(), LeaseState::Committed { .. })) {
            // The patience runs from the first commitment that still stands.
            unit.first_commit = None;
        }
        self.arm_patience(now, job, index);
    }

    /// One step; says whether there may be another.
    fn settle_once(&mut self, now: TimeMs, job: JobId, index: u32) -> bool {
        let Some(round) = self.jobs.get(&job) else { return false };
        let unit = &round.units[index as usize];
        let live: Vec<LeaseId> = unit.live_leases().collect();
        let any = |wanted: fn(&LeaseState) -> bool| live.iter().any(|id| wanted(&self.leases[id].state()));
        match unit.phase() {
            Phase::Open => {
                let out_of_patience = unit.first_commit.is_some_and(|first| now >= first.after(REPLICA_PATIENCE_MS));
                let complete = unit.vacant_replica().is_none() || out_of_patience;
                if live.is_empty() || !complete || any(|state| matches!(state, LeaseState::Granted { .. })) {
                    return false;
                }
                self.ask_to_reveal(now, job, index, &live);
                true
            }
            Phase::Revealing => {
                if any(|state| matches!(state, LeaseState::Revealing { .. })) {
                    return false;
                }
                if live.is_empty() {
                    self.reopen(job, index);
                    return false;
                }
                self.round_mut(&job).unit(index).enter(Phase::Judging);
                true
            }
            Phase::Judging => {
                if any(|state| matches!(state, LeaseState::Revealed { .. })) {
                    self.ask_for_verdicts(&live);
                    return false;
                }
                if !live.is_empty() {
                    return false;
                }
                self.finish_group(job, index);
                false
            }
            Phase::Closed => false,
        }
    }

    fn ask_to_reveal(&mut self, now: TimeMs, job: JobId, index: u32, live: &[LeaseId]) {
        self.round_mut(&job).unit(index).enter(Phase::Revealing);
        for id in live {
            let lease = self.leases.get_mut(id).expect("a live slot has a lease");
            let LeaseState::Committed { commitment } = lease.state() else {
                unreachable!("all live replicas have committed, this one is {:?}", lease.state())
            };
            lease.advance(LeaseState::Revealing { commitment, deadline: now.after(REVEAL_TIMEOUT_MS) });
            let worker = lease.worker;
            self.arm_lease(*id);
            self.emit(Output::CommitAcked { worker, lease: *id });
        }
    }

    fn ask_for_verdicts(&mut self, live: &[LeaseId]) {
        let outputs: Vec<_> = live.iter().filter_map(|id| self.leases[id].output()).collect();
        for id in live {
            let lease = self.leases.get_mut(id).expect("a live slot has a lease");
            let LeaseState::Revealed { output, output_len } = lease.state() else { continue };
            lease.advance(LeaseState::Judging { output });
            let Lease { worker, job, index, .. } = *lease;
            let (round, unit) = self.name_of(job, index);
            let same = outputs.iter().filter(|other| **other == output).count() as u32;
            self.emit(Output::NeedVerdict {
                lease: *id,
                worker,
                job,
                round,
                index,
                unit,
                output,
                output_len,
                agreeing_replicas: same - 1,
            });
        }
    }

    /// All verdicts of the group are in: the unit is done, or the next workers try.
    fn finish_group(&mut self, job: JobId, index: u32) {
        let round = self.round_mut(&job);
        if round.unit(index).accepted.is_none() {
            self.reopen(job, index);
            return;
        }
        round.close(index);
        let late: Vec<LeaseId> = round.unit(index).lapsed_leases().collect();
        for id in late {
            self.forget_lease(id);
        }
        self.finish_round_if_complete(job);
    }

    /// The group failed, the next workers try. Who was late and had not committed before the others revealed may have
    /// seen their outputs, so its lease is worth nothing now.
    fn reopen(&mut self, job: JobId, index: u32) {
        let unit = self.round_mut(&job).unit(index);
        unit.enter(Phase::Open);
        let late: Vec<LeaseId> = unit.lapsed_leases().collect();
        for id in late {
            if matches!(self.leases[&id].state(), LeaseState::Lapsed { commitment: None, .. }) {
                self.forget_lease(id);
            }
        }
    }

    /// Ends a live lease that may still be taken up again, and lets its unit move on.
    pub(super) fn lapse(&mut self, now: TimeMs, id: LeaseId, reason: WithdrawnReason) {
        let lease = self.leases.get_mut(&id).expect("only existing leases lapse");
        let lapsed = lease.lapsed().expect("only leases without a result lapse");
        lease.advance(lapsed);
        let Lease { worker, job, index, replica, .. } = *lease;
        self.arm_lease(id);
        let round = self.round_mut(&job);
        let number = round.plan.round;
        round.unit(index).slots[replica as usize] = Slot::Lapsed(id);
        round.unit(index).note_lapse(worker);
        round.untake(&worker);
        round.live -= 1;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.leases.remove(&id);
        }
        self.emit(Output::LeaseWithdrawn { lease: id, worker, job, round: number, index, reason });
        self.settle(now, job, index);
    }

    /// Takes a lapsed lease up again with what its worker delivered late.
    pub(super) fn revive(&mut self, id: LeaseId, state: LeaseState) {
        let lease = self.leases.get_mut(&id).expect("only existing leases are taken up again");
        assert!(lease.is_lapsed(), "only a lapsed lease is taken up again, not {:?}", lease.state());
        lease.advance(state);
        let Lease { worker, job, index, replica, .. } = *lease;
        let round = self.round_mut(&job);
        round.unit(index).slots[replica as usize] = Slot::Live(id);
        round.take(worker);
        round.live += 1;
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.leases.insert(id);
        }
    }

    /// Removes a lease for good and empties its slot. The caller settles the unit.
    pub(super) fn end_lease(&mut self, id: LeaseId) -> Lease {
        let lease = self.forget_lease(id);
        let round = self.round_mut(&lease.job);
        if !lease.is_lapsed() {
            round.untake(&lease.worker);
            round.live -= 1;
        }
        lease
    }

    /// Removes a lease's record, its timer and its place in slot and worker; the counts are the caller's.
    pub(super) fn forget_lease(&mut self, id: LeaseId) -> Lease {
        let lease = self.leases.remove(&id).expect("only existing leases are removed");
        self.timers.set(Timer::Lease(id), None);
        self.round_mut(&lease.job).unit(lease.index).slots[lease.replica as usize] = Slot::Empty;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.leases.remove(&id);
        }
        lease
    }

    /// Round number and unit id of a unit, for outputs.
    pub(super) fn name_of(&self, job: JobId, index: u32) -> (u32, UnitId) {
        let round = &self.jobs[&job];
        (round.plan.round, round.unit_plan(index).unit)
    }
}

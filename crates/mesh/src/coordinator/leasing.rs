//! Who gets which unit.
//!
//! Jobs with the fewest live leases come first. Within a job, the waiting worker that took the fewest replicas of the
//! round comes first, then the one that has waited longest. It gets the first unit it may take: tolerant ones first if
//! it computes them on a GPU. Two things are put off as long as somebody else may still do them: more than a worker's
//! share of the round, and a unit the worker has let lapse before.

use shoal_wire::{
    ids::{JobId, NodeId},
    proto::Class,
};

use super::Coordinator;
use crate::{
    lease::Lease,
    output::Output,
    round::Round,
    time::TimeMs,
    unit::{Slot, UnitState},
    worker::{Owner, Worker},
};

/// One lease to give.
struct Match {
    worker: NodeId,
    job: JobId,
    index: u32,
}

impl Coordinator {
    /// Gives out every lease that can be given now.
    pub(super) fn assign_leases(&mut self, now: TimeMs) {
        while let Some(found) = self.next_match(now) {
            self.grant(now, &found);
        }
    }

    fn next_match(&self, now: TimeMs) -> Option<Match> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut jobs: Vec<_> = self.jobs.iter().filter(|(_, round)| round.vacancies() > 0).collect();
        jobs.sort_by_key(|(_, round)| (round.live, round.sequence));
        jobs.into_iter().find_map(|(job, round)| self.match_in(now, *job, round))
    }

    fn match_in(&self, now: TimeMs, job: JobId, round: &Round) -> Option<Match> {
        let share = Share::of(self, round, now);
        let mut candidates: Vec<_> = self
            .waiting
            .iter()
            .map(|id| (id, &self.workers[id]))
            .filter(|(_, worker)| worker.is_ready(now))
            .map(|(id, worker)| (round.taken_by(id), worker.queued, *id, worker))
            .collect();
        candidates.sort_by_key(|(taken, queued, id, _)| (*taken, *queued, *id));
        candidates.into_iter().find_map(|(_, _, id, worker)| {
            let index = self.best_unit(round, &share, id, worker)?;
            Some(Match { worker: id, job, index })
        })
    }

    fn best_unit(&self, round: &Round, share: &Share<'_>, id: NodeId, worker: &Worker) -> Option<u32> {
        let over_share = round.taken_by(&id) >= share.cap;
        let allowed = |index: &u32| {
            if !self.may_take(round, *index, worker) {
                return false;
            }
            let put_off = over_share || round.units[*index as usize].lapsed_with(&id);
            !put_off || !share.others_may_take(self, round, *index, id, over_share)
        };
        // What is allowed for one untouched unit is allowed for all of its shape: the first stands for them.
        let first = |tolerant_only: bool| {
            let wanted = |index: &u32| !tolerant_only || round.unit_plan(*index).class == Class::Tolerant;
            let fresh = round.first_fresh().filter(wanted).filter(allowed).min();
            let worn = round.worn().filter(wanted).find(allowed);
            [fresh, worn].into_iter().flatten().min()
        };
        let tolerant = if worker.profile.prefers_tolerant() { first(true) } else { None };
        tolerant.or_else(|| first(false))
    }

    /// Whether a worker may have a replica of a unit at all.
    fn may_take(&self, round: &Round, index: u32, worker: &Worker) -> bool {
        let unit = &round.units[index as usize];
        worker.may_compute(round.unit_plan(index))
            && !unit.bars(&worker.profile.owner)
            && !unit.live_leases().any(|id| self.leases[&id].owner == worker.profile.owner)
    }

    fn grant(&mut self, now: TimeMs, found: &Match) {
        let Match { worker: id, job, index } = *found;
        let lease = self.nonces.next();
        let worker = self.workers.get_mut(&id).expect("a waiting worker is connected");
        let owner = worker.profile.owner;
        worker.wanted -= 1;
        worker.leases.insert(lease);
        if worker.wanted == 0 {
            self.waiting.remove(&id);
        }
        self.forget_lapsed_of(job, index, owner);
        let unit = self.round_mut(&job).unit(index);
        let replica = unit.vacant_replica().expect("a unit that is matched has a vacancy");
        if let Slot::Lapsed(old) = unit.slots[replica as usize] {
            // From here on a late result of the old lease is refused.
            self.forget_lease(old);
        }
        let round = self.round_mut(&job);
        round.unit(index).slots[replica as usize] = Slot::Live(lease);
        round.take(id);
        round.live += 1;
        round.refresh_vacancy(index);
        let duration_ms = round.plan.lease_duration_ms;
        let (number, unit) = (round.plan.round, round.unit_plan(index).unit);
        let deadline = now.after(u64::from(duration_ms));
        self.leases.insert(lease, Lease::granted(id, owner, job, index, replica, deadline));
        self.arm_lease(lease);
        self.arm_patience(now, job, index);
        self.emit(Output::GrantLease { worker: id, lease, job, round: number, index, unit, replica, duration_ms });
    }

    /// An owner that takes a replica gives up what it let lapse of that unit, else it could come to hold two.
    fn forget_lapsed_of(&mut self, job: JobId, index: u32, owner: Owner) {
        let unit: &UnitState = &self.jobs[&job].units[index as usize];
        let its: Vec<_> = unit.lapsed_leases().filter(|id| self.leases[id].owner == owner).collect();
        for id in its {
            self.forget_lease(id);
        }
    }
}

/// How a round is shared out at one moment.
struct Share<'a> {
    /// Replicas of the round after which a worker has had its share.
    cap: u32,
    /// Workers that take part in the round.
    present: Vec<(NodeId, &'a Worker)>,
}

impl<'a> Share<'a> {
    fn of(coordinator: &'a Coordinator, round: &Round, now: TimeMs) -> Self {
        let present: Vec<_> = coordinator
            .workers
            .iter()
            .filter(|(_, worker)| worker.takes_part(now))
            .filter(|(_, worker)| round.shapes().iter().any(|unit| worker.may_compute(unit)))
            .map(|(id, worker)| (*id, worker))
            .collect();
        let cap = share_cap(round.replicas(), round.plan.max_worker_share_permille, present.len() as u64);
        Self { cap, present }
    }

    /// Whether a worker within its share could have this unit instead: then it is kept for that one.
    fn others_may_take(
        &self,
        coordinator: &Coordinator,
        round: &Round,
        index: u32,
        except: NodeId,
        within_share: bool,
    ) -> bool {
        self.present.iter().any(|(id, worker)| {
            *id != except
                && (!within_share || round.taken_by(id) < self.cap)
                && !round.units[index as usize].lapsed_with(id)
                && coordinator.may_take(round, index, worker)
        })
    }
}

/// Replicas one worker may take of a round: its share, and at least an equal part. No cap for a worker alone.
fn share_cap(replicas: u64, share_permille: u32, workers: u64) -> u32 {
    if workers < 2 {
        return u32::MAX;
    }
    let share = (replicas * u64::from(share_permille)).div_ceil(1000);
    share.max(replicas.div_ceil(workers)).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_the_share_but_at_least_an_equal_part() {
        assert_eq!(share_cap(10, 250, 1), u32::MAX);
        assert_eq!(share_cap(10, 250, 2), 5);
        assert_eq!(share_cap(10, 250, 8), 3);
        assert_eq!(share_cap(10, 1000, 8), 10);
        assert_eq!(share_cap(1, 1, 100), 1);
    }
}

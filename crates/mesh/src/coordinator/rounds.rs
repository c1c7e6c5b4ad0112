//! Rounds start, finish and are cancelled.

use shoal_wire::ids::{JobId, LeaseId};

use super::{Coordinator, Timer};
use crate::{
    error::InputError,
    limits::MAX_ACTIVE_JOBS,
    output::{Output, WithdrawnReason},
    plan::{AcceptedUnit, RoundPlan},
    round::Round,
};

impl Coordinator {
    pub(super) fn check_start(&self, plan: &RoundPlan, accepted: &[AcceptedUnit]) -> Result<(), InputError> {
        if let Some(active) = self.jobs.get(&plan.job) {
            return Err(InputError::RoundActive { job: plan.job, active: active.plan.round, round: plan.round });
        }
        if self.jobs.len() >= MAX_ACTIVE_JOBS {
            return Err(InputError::TooManyJobs { limit: MAX_ACTIVE_JOBS });
        }
        plan.check()?;
        plan.check_accepted(accepted)?;
        Ok(())
    }

    pub(super) fn start_round(&mut self, plan: RoundPlan, accepted: &[AcceptedUnit]) {
        let job = plan.job;
        let sequence = self.next_sequence();
        self.jobs.insert(job, Round::new(plan, accepted, sequence));
        self.finish_round_if_complete(job);
    }

    pub(super) fn finish_round_if_complete(&mut self, job: JobId) {
        if !self.jobs[&job].is_complete() {
            return;
        }
        let round = self.jobs.remove(&job).expect("it was there a line ago");
        self.emit(Output::RoundComplete { job, round: round.plan.round, outputs: round.outputs() });
    }

    pub(super) fn cancel_job(&mut self, job: JobId) {
        let mut ended: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.job == job).map(|(id, _)| *id).collect();
        ended.sort_unstable();
        for id in ended {
            let lease = self.forget_lease(id);
            if !lease.is_lapsed() {
                let round = self.jobs[&job].plan.round;
                self.emit(Output::LeaseWithdrawn {
                    lease: id,
                    worker: lease.worker,
                    job,
                    round,
                    index: lease.index,
                    reason: WithdrawnReason::JobCancelled,
                });
            }
        }
        let round = self.jobs.remove(&job).expect("the contract check found it active");
        for index in 0..round.units.len() as u32 {
            self.timers.set(Timer::Unit(job, index), None);
        }
    }
}

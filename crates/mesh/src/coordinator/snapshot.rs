//! What a driver may look at: for its API, its metrics and its log. Nothing here changes anything.

use shoal_wire::ids::{JobId, LeaseId, NodeId};

use super::Coordinator;
use crate::{
    lease::{Lease, LeaseState},
    worker::{Standing, Strikes},
};

/// How far a round is. The numbers count units, except `live_leases`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundProgress {
    /// Number of the round.
    pub round: u32,
    /// Units in the round.
    pub units: u32,
    /// Units with an accepted output.
    pub accepted: u32,
    /// Units with a replica that nobody has.
    pub vacant: u32,
    /// Leases granted and not used up.
    pub live_leases: u32,
}

/// A connected worker at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSnapshot {
    /// Leases it holds, those being judged included.
    pub leases: u32,
    /// Units it still waits for.
    pub wanted: u32,
    /// Its wrong results.
    pub strikes: Strikes,
    /// What these leave it.
    pub standing: Standing,
}

/// What an accepting verdict on a lease would do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictEffect {
    /// It would accept the unit with this result.
    Accepts,
    /// The unit is accepted already; it would confirm a replica.
    Confirms,
    /// Nothing: the lease is not being judged.
    Ignored,
}

impl Coordinator {
    /// What an accepting verdict on this lease would do, so that the driver can store it before feeding it.
    pub fn verdict_effect(&self, lease: &LeaseId) -> VerdictEffect {
        match self.leases.get(lease) {
            Some(lease) if matches!(lease.state(), LeaseState::Judging { .. }) => {
                let Lease { job, index, .. } = *lease;
                match self.jobs[&job].units[index as usize].accepted {
                    None => VerdictEffect::Accepts,
                    Some(_) => VerdictEffect::Confirms,
                }
            }
            _ => VerdictEffect::Ignored,
        }
    }

    /// How far a job's active round is; `None` between rounds.
    pub fn progress(&self, job: &JobId) -> Option<RoundProgress> {
        let round = self.jobs.get(job)?;
        Some(RoundProgress {
            round: round.plan.round,
            units: round.units.len() as u32,
            accepted: round.units.iter().filter(|unit| unit.accepted.is_some()).count() as u32,
            vacant: round.vacancies() as u32,
            live_leases: round.live,
        })
    }

    /// Jobs with an active round.
    pub fn active_jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.jobs.keys().copied()
    }

    /// A connected worker.
    pub fn worker(&self, worker: &NodeId) -> Option<WorkerSnapshot> {
        let worker = self.workers.get(worker)?;
        Some(WorkerSnapshot {
            leases: worker.leases.len() as u32,
            wanted: worker.wanted,
            strikes: worker.strikes,
            standing: worker.strikes.standing(),
        })
    }
}

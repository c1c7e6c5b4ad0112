//! The relay of a simulation: what a real one keeps in its store, and what it loses when it is killed.

use std::collections::BTreeMap;

use shoal_mesh::{AcceptedUnit, Coordinator, Strikes};
use shoal_wire::ids::{JobId, LeaseId, NodeId};

use crate::{checker::Paid, rng::Rng, scenario::JobScenario};

/// A job as the store holds it.
#[derive(Debug)]
pub(crate) struct StoredJob {
    pub(crate) scenario: JobScenario,
    /// Round in progress, or the one to start next; the job is done when it equals the number of rounds.
    pub(crate) round: u32,
    /// Whether the job was started at all.
    pub(crate) started: bool,
    /// Accepted units of that round by index.
    pub(crate) accepted: BTreeMap<u32, AcceptedUnit>,
}

impl StoredJob {
    pub(crate) fn is_done(&self) -> bool {
        self.round == self.scenario.rounds
    }
}

/// The relay. `jobs` and `strikes` are the store and survive; the rest does not.
#[derive(Debug)]
pub(crate) struct SimRelay {
    pub(crate) jobs: BTreeMap<JobId, StoredJob>,
    pub(crate) strikes: BTreeMap<NodeId, Strikes>,
    pub(crate) coordinator: Coordinator,
    /// Counts its runs; what was under way in an earlier one is lost.
    pub(crate) run: u32,
    /// Session of each worker that it knows of.
    pub(crate) sessions: BTreeMap<usize, u32>,
    /// Results that are being judged.
    pub(crate) judging: BTreeMap<LeaseId, Paid>,
    /// It dies between storing the next acceptance and telling the coordinator.
    pub(crate) dies_at_next_acceptance: bool,
    rng: Rng,
}

impl SimRelay {
    pub(crate) fn new(jobs: &[JobScenario], mut rng: Rng) -> Self {
        let stored = |scenario: &JobScenario| {
            let job = StoredJob { scenario: scenario.clone(), round: 0, started: false, accepted: BTreeMap::new() };
            (scenario.job, job)
        };
        Self {
            jobs: jobs.iter().map(stored).collect(),
            strikes: BTreeMap::new(),
            coordinator: Coordinator::new(rng.bytes()),
            run: 0,
            sessions: BTreeMap::new(),
            judging: BTreeMap::new(),
            dies_at_next_acceptance: false,
            rng,
        }
    }

    /// Killed and started again: everything but the store is gone.
    pub(crate) fn restart(&mut self) {
        self.coordinator = Coordinator::new(self.rng.bytes());
        self.run += 1;
        self.sessions.clear();
        self.judging.clear();
        self.dies_at_next_acceptance = false;
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.jobs.values().filter(|job| !job.is_done()).count()
    }
}

//! What must be true of every run, whatever the seed. The checker sees everything and steers nothing.

use std::collections::{BTreeMap, BTreeSet};

use shoal_mesh::{AcceptedUnit, InputError};
use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId, UnitId},
    proto::Outcome,
};

use crate::{
    scenario::{Behaviour, Scenario},
    truth::Truth,
};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two acceptances of one unit.
    #[error("unit {index} of round {round} of {job:?} was accepted twice")]
    AcceptedTwice {
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
        /// The unit's index.
        index: u32,
    },
    /// A wrong output was accepted or confirmed.
    #[error("{worker:?} ({behaviour:?}) got a wrong output of unit {index} accepted")]
    WrongAccepted {
        /// Whose.
        worker: NodeId,
        /// What it does.
        behaviour: Behaviour,
        /// The unit's index.
        index: u32,
    },
    /// Somebody who never computes was paid.
    #[error("{worker:?} never computes ({behaviour:?}) and was paid for unit {index}")]
    LiarPaid {
        /// Who.
        worker: NodeId,
        /// What it does.
        behaviour: Behaviour,
        /// The unit's index.
        index: u32,
    },
    /// An honest result was called wrong.
    #[error("honest {worker:?} was rejected: {outcome:?}")]
    HonestRejected {
        /// Who.
        worker: NodeId,
        /// Why.
        outcome: Outcome,
    },
    /// An honest worker was refused leases.
    #[error("honest {worker:?} was refused leases")]
    HonestRefused {
        /// Who.
        worker: NodeId,
    },
    /// A lease nonce was used twice.
    #[error("lease {lease:?} was given twice")]
    NonceReused {
        /// Which.
        lease: LeaseId,
    },
    /// An acceptance that the store does not hold.
    #[error("the acceptance of unit {index} was not stored before")]
    NotStored {
        /// The unit's index.
        index: u32,
    },
    /// A verdict that had been asked for had no effect.
    #[error("the verdict on {lease:?} was ignored")]
    VerdictIgnored {
        /// Which.
        lease: LeaseId,
    },
    /// A round's outputs are not the accepted ones.
    #[error("round {round} of {job:?} completed with other outputs than were accepted")]
    WrongRound {
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
    },
    /// A round completed twice.
    #[error("round {round} of {job:?} completed twice")]
    CompletedTwice {
        /// The job.
        job: JobId,
        /// Its round.
        round: u32,
    },
    /// Jobs that do not finish.
    #[error("{unfinished} jobs are unfinished after {virtual_ms} virtual milliseconds and {events} events")]
    Stalled {
        /// Jobs.
        unfinished: usize,
        /// Virtual time.
        virtual_ms: u64,
        /// Events.
        events: u64,
    },
    /// The simulator broke the driving contract, or the coordinator says so.
    #[error("the coordinator refused an input: {0}")]
    Contract(#[from] InputError),
}

/// Keeps what was promised and compares.
#[derive(Debug)]
pub(crate) struct Checker {
    truth: Truth,
    behaviours: BTreeMap<NodeId, Behaviour>,
    leases: BTreeSet<LeaseId>,
    stored: BTreeMap<(JobId, u32, u32), AcceptedUnit>,
    completed: BTreeSet<(JobId, u32)>,
}

/// A result that is to be paid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paid {
    pub(crate) job: JobId,
    pub(crate) round: u32,
    pub(crate) unit: UnitId,
    pub(crate) result: AcceptedUnit,
}

impl Checker {
    pub(crate) fn new(scenario: &Scenario, truth: Truth) -> Self {
        let behaviours = scenario.workers.iter().map(|worker| (worker.node, worker.behaviour)).collect();
        let (leases, stored, completed) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Self { truth, behaviours, leases, stored, completed }
    }

    pub(crate) fn behaviour(&self, worker: &NodeId) -> Behaviour {
        self.behaviours[worker]
    }

    pub(crate) fn leased(&mut self, lease: LeaseId) -> Result<(), Violation> {
        if self.leases.insert(lease) { Ok(()) } else { Err(Violation::NonceReused { lease }) }
    }

    /// An acceptance reached the store: from here on it counts.
    pub(crate) fn stored(&mut self, paid: &Paid) -> Result<(), Violation> {
        self.check_paid(paid)?;
        let Paid { job, round, result, .. } = *paid;
        match self.stored.insert((job, round, result.index), result) {
            None => Ok(()),
            Some(_) => Err(Violation::AcceptedTwice { job, round, index: result.index }),
        }
    }

    /// The coordinator says that a result is accepted.
    pub(crate) fn accepted(&self, paid: &Paid) -> Result<(), Violation> {
        let Paid { job, round, result, .. } = *paid;
        if self.stored.get(&(job, round, result.index)) == Some(&result) {
            Ok(())
        } else {
            Err(Violation::NotStored { index: result.index })
        }
    }

    /// The coordinator says that a replica is right as well.
    pub(crate) fn confirmed(&self, paid: &Paid) -> Result<(), Violation> {
        self.check_paid(paid)?;
        let Paid { job, round, result, .. } = *paid;
        if self.stored.contains_key(&(job, round, result.index)) {
            Ok(())
        } else {
            Err(Violation::NotStored { index: result.index })
        }
    }

    fn check_paid(&self, paid: &Paid) -> Result<(), Violation> {
        let AcceptedUnit { index, output, worker } = paid.result;
        let behaviour = self.behaviour(&worker);
        if output != self.truth.output(&paid.unit) {
            return Err(Violation::WrongAccepted { worker, behaviour, index });
        }
        if !behaviour.ever_computes() {
            return Err(Violation::LiarPaid { worker, behaviour, index });
        }
        Ok(())
    }

    /// What the validator finds, knowing the truth.
    pub(crate) fn verdict(&self, unit: &UnitId, output: &BlobId) -> Outcome {
        if *output == self.truth.output(unit) { Outcome::Accepted } else { Outcome::WrongResult }
    }

    pub(crate) fn rejected(&self, worker: NodeId, outcome: Outcome) -> Result<(), Violation> {
        let honest = self.behaviour(&worker) == Behaviour::Honest;
        if honest && outcome != Outcome::OutputUnavailable {
            return Err(Violation::HonestRejected { worker, outcome });
        }
        Ok(())
    }

    pub(crate) fn refused(&self, worker: NodeId) -> Result<(), Violation> {
        if self.behaviour(&worker) == Behaviour::Honest {
            return Err(Violation::HonestRefused { worker });
        }
        Ok(())
    }

    pub(crate) fn completed(&mut self, job: JobId, round: u32, outputs: &[AcceptedUnit]) -> Result<(), Violation> {
        if !self.completed.insert((job, round)) {
            return Err(Violation::CompletedTwice { job, round });
        }
        let stored: Vec<AcceptedUnit> =
            self.stored.range((job, round, 0)..=(job, round, u32::MAX)).map(|(_, unit)| *unit).collect();
        let dense = (0u32..).zip(outputs).all(|(index, unit)| unit.index == index);
        if stored != outputs || !dense {
            return Err(Violation::WrongRound { job, round });
        }
        Ok(())
    }
}

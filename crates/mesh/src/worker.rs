//! Workers as the coordinator sees them: what they take, what they hold, and what they did wrong.

use std::collections::BTreeSet;

use shoal_wire::{
    ids::{LeaseId, NodeId},
    proto::{Backend, Class},
};

use crate::{
    limits::{
        LAPSE_REST_MS, MAX_EXACT_STRIKES, MAX_LAPSE_DOUBLINGS, MAX_LEASES_PER_WORKER, MAX_TOLERANT_STRIKES,
        PARTICIPATION_GRACE_MS,
    },
    plan::UnitPlan,
    time::TimeMs,
};

/// Who stands behind a worker, as far as the driver can tell: a payout address, an account, or the node itself. Two
/// replicas of a unit never go to one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub [u8; 32]);

impl From<NodeId> for Owner {
    /// A worker nothing else is known about owns itself.
    fn from(node: NodeId) -> Self {
        Self(node.0)
    }
}

/// What a worker said it takes, and who owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProfile {
    /// Who stands behind it.
    pub owner: Owner,
    /// Takes exact units.
    pub exact: bool,
    /// Takes tolerant units.
    pub tolerant: bool,
    /// What computes its tolerant units.
    pub backend: Backend,
    /// Memory budget of one unit, bytes.
    pub memory_bytes: u64,
    /// Operation budget of one unit, reference operations.
    pub max_unit_ops: u64,
}

impl WorkerProfile {
    /// Whether a unit fits the worker's classes and budgets.
    pub fn fits(&self, unit: &UnitPlan) -> bool {
        let takes_class = match unit.class {
            Class::Exact => self.exact,
            Class::Tolerant => self.tolerant,
            Class::Unspecified => false,
        };
        takes_class && unit.memory_bytes <= self.memory_bytes && unit.reference_ops <= self.max_unit_ops
    }

    /// Whether tolerant units should go here before others: they are what a GPU is for.
    pub(crate) fn prefers_tolerant(&self) -> bool {
        self.tolerant && self.backend == Backend::Webgpu
    }
}

/// Wrong results by class. Only judged results count, never silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strikes {
    /// Wrong exact results, broken commitments and malformed outputs.
    pub exact: u32,
    /// Tolerant results outside the bound.
    pub tolerant: u32,
}

/// What a worker's strikes leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All leases.
    Good,
    /// Exact units only.
    NoTolerant,
    /// No leases.
    NoLeases,
}

impl Strikes {
    /// What a worker with these strikes still gets.
    pub fn standing(&self) -> Standing {
        if self.exact >= MAX_EXACT_STRIKES {
            Standing::NoLeases
        } else if self.tolerant >= MAX_TOLERANT_STRIKES {
            Standing::NoTolerant
        } else {
            Standing::Good
        }
    }

    /// The larger of both, class by class.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { exact: self.exact.max(other.exact), tolerant: self.tolerant.max(other.tolerant) }
    }

    pub(crate) fn any(&self) -> bool {
        self.exact > 0 || self.tolerant > 0
    }
}

/// A connected worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) profile: WorkerProfile,
    pub(crate) strikes: Strikes,
    /// Leases it holds: granted, committed, revealing, revealed or being judged.
    pub(crate) leases: BTreeSet<LeaseId>,
    /// Units it still asks for.
    pub(crate) wanted: u32,
    /// Position in the queue of requests; earlier is smaller.
    pub(crate) queued: u64,
    /// Leases that lapsed since its last right result.
    pub(crate) lapses_in_a_row: u32,
    /// It gets no lease before this.
    pub(crate) rests_until: TimeMs,
    /// It counts as taking part until this although it neither waits nor holds a lease.
    pub(crate) grace_until: TimeMs,
}

impl Worker {
    pub(crate) fn new(profile: WorkerProfile, strikes: Strikes, now: TimeMs) -> Self {
        Self {
            profile,
            strikes,
            leases: BTreeSet::new(),
            wanted: 0,
            queued: 0,
            lapses_in_a_row: 0,
            rests_until: now,
            grace_until: now,
        }
    }

    /// Whether its class, its budgets and its strikes allow it a unit.
    pub(crate) fn may_compute(&self, unit: &UnitPlan) -> bool {
        let standing = match self.strikes.standing() {
            Standing::Good => true,
            Standing::NoTolerant => unit.class != Class::Tolerant,
            Standing::NoLeases => false,
        };
        standing && self.profile.fits(unit)
    }

    /// Leases it may be given on top of those it holds.
    pub(crate) fn room(&self) -> u32 {
        MAX_LEASES_PER_WORKER.saturating_sub(self.leases.len() as u32)
    }

    /// Whether it waits for a lease and may be given one now.
    pub(crate) fn is_ready(&self, now: TimeMs) -> bool {
        self.wanted > 0 && self.room() > 0 && now >= self.rests_until
    }

    /// Whether a fair share of the round is kept for it.
    pub(crate) fn takes_part(&self, now: TimeMs) -> bool {
        now >= self.rests_until && (self.wanted > 0 || !self.leases.is_empty() || now < self.grace_until)
    }

    /// Notes a lapse: it rests, twice as long each time in a row.
    pub(crate) fn note_lapse(&mut self, now: TimeMs) {
        let doublings = self.lapses_in_a_row.min(MAX_LAPSE_DOUBLINGS);
        self.lapses_in_a_row = self.lapses_in_a_row.saturating_add(1);
        self.rests_until = now.after(LAPSE_REST_MS << doublings);
    }

    /// Notes a right result: its silence before is forgiven and it counts as taking part for a while.
    pub(crate) fn note_right(&mut self, now: TimeMs) {
        self.lapses_in_a_row = 0;
        self.rests_until = now;
        self.grace_until = now.after(PARTICIPATION_GRACE_MS);
    }
}

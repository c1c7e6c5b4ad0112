//! What the driver decides about a round before any unit of it is leased. Fixed from then on.

use std::collections::BTreeSet;

use shoal_wire::{
    ids::{BlobId, JobId, NodeId, UnitId},
    limits::{MAX_REPLICAS, MAX_SHARDS},
    proto::Class,
};

use crate::{
    error::PlanError,
    limits::{MAX_LEASE_DURATION_MS, MIN_LEASE_DURATION_MS},
};

/// One unit as far as leasing cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitPlan {
    /// Hash of the unit's bytes.
    pub unit: UnitId,
    /// Determinism class.
    pub class: Class,
    /// Reference operations, counted from the graph.
    pub reference_ops: u64,
    /// Peak memory, bytes, counted from the graph.
    pub memory_bytes: u64,
}

/// One round of a job. A unit's index is its position in `units`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundPlan {
    /// The job.
    pub job: JobId,
    /// Number of the round in the job.
    pub round: u32,
    /// Units by index, 1 to [`MAX_SHARDS`].
    pub units: Vec<UnitPlan>,
    /// Workers that compute each unit, 1 to [`MAX_REPLICAS`]; no two of them with one owner.
    pub replicas: u32,
    /// Time a worker has from the lease to the commitment, milliseconds.
    pub lease_duration_ms: u32,
    /// Largest part of the round one worker may take while two or more take part, in thousandths, 1 to 1000.
    pub max_worker_share_permille: u32,
}

/// A unit that was accepted before the coordinator was started, from the driver's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedUnit {
    /// Index in the round.
    pub index: u32,
    /// The accepted output.
    pub output: BlobId,
    /// Whose result was accepted.
    pub worker: NodeId,
}

impl RoundPlan {
    /// Refuses plans that are out of bounds or name one unit twice.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        let units = self.units.len();
        if units == 0 || units > MAX_SHARDS as usize {
            return Err(PlanError::UnitCount { units, limit: MAX_SHARDS });
        }
        if self.replicas == 0 || self.replicas > MAX_REPLICAS {
            return Err(PlanError::Replicas { replicas: self.replicas, limit: MAX_REPLICAS });
        }
        if !(MIN_LEASE_DURATION_MS..=MAX_LEASE_DURATION_MS).contains(&self.lease_duration_ms) {
            return Err(PlanError::LeaseDuration {
                duration_ms: self.lease_duration_ms,
                min_ms: MIN_LEASE_DURATION_MS,
                max_ms: MAX_LEASE_DURATION_MS,
            });
        }
        if !(1..=1000).contains(&self.max_worker_share_permille) {
            return Err(PlanError::WorkerShare { permille: self.max_worker_share_permille });
        }
        let mut seen = BTreeSet::new();
        for (index, unit) in (0u32..).zip(&self.units) {
            if unit.class == Class::Unspecified {
                return Err(PlanError::UnspecifiedClass { index });
            }
            if !seen.insert(unit.unit) {
                return Err(PlanError::DuplicateUnit { index, unit: unit.unit });
            }
        }
        Ok(())
    }

    /// Refuses accepted units that are not of this round or are named twice.
    pub(crate) fn check_accepted(&self, accepted: &[AcceptedUnit]) -> Result<(), PlanError> {
        let mut seen = BTreeSet::new();
        for unit in accepted {
            if unit.index as usize >= self.units.len() {
                return Err(PlanError::AcceptedIndex { index: unit.index, units: self.units.len() });
            }
            if !seen.insert(unit.index) {
                return Err(PlanError::AcceptedTwice { index: unit.index });
            }
        }
        Ok(())
    }
}

//! The leases a worker holds, from the relay's grant to the acknowledged commitment.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use shoal_compute::program::Budget;
use shoal_transport::blob::Blob;
use shoal_wire::{
    ids::{IdError, LeaseId},
    limits::MAX_REASON_LEN,
    proto::{Class, Lease, WorkReport},
    unit::{CheckedUnit, UnitError},
};

use crate::compute::Inputs;

/// Why a lease is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Unit(#[from] UnitError),
    #[error("class {0:?} is not taken here")]
    Class(Class),
    #[error("the unit needs {needed} {what}, the budget is {budget}")]
    OverBudget { what: &'static str, needed: u64, budget: u64 },
}

/// A lease without a commitment yet.
#[derive(Clone, Debug)]
pub(crate) struct OpenLease {
    pub(crate) lease: LeaseId,
    pub(crate) unit: CheckedUnit,
    /// On the platform's clock.
    pub(crate) expires: Duration,
}

impl OpenLease {
    /// Checks everything about a lease that can be seen before its blobs are here.
    pub(crate) fn check(
        message: &Lease,
        now: Duration,
        classes: &[Class],
        budget: &Budget,
    ) -> Result<Self, LeaseError> {
        let lease = LeaseId::try_from(&message.lease)?;
        let unit = CheckedUnit::decode(&message.unit)?;
        if !classes.contains(&unit.class) {
            return Err(LeaseError::Class(unit.class));
        }
        for (what, needed, budget) in [
            ("reference operations", unit.message.reference_ops, budget.reference_ops),
            ("bytes of memory", unit.message.memory_bytes, budget.memory_bytes),
        ] {
            if needed > budget {
                return Err(LeaseError::OverBudget { what, needed, budget });
            }
        }
        let expires = now + Duration::from_millis(message.duration_ms.into());
        Ok(Self { lease, unit, expires })
    }
}

/// A lease whose commitment was sent.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) unit: CheckedUnit,
    pub(crate) output: Blob,
    pub(crate) report: WorkReport,
}

/// Everything held in one session.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// Asked for and not granted yet.
    pub(crate) requested: u32,
    /// Granted, inputs not here.
    pub(crate) granted: VecDeque<OpenLease>,
    /// Whose inputs are being fetched.
    pub(crate) fetching: Option<OpenLease>,
    /// Inputs here, waiting for the device.
    pub(crate) ready: VecDeque<(OpenLease, Inputs)>,
    /// Being computed.
    pub(crate) computing: Option<OpenLease>,
    /// Waiting for the relay's acknowledgement.
    pub(crate) committed: BTreeMap<LeaseId, Committed>,
}

impl Leases {
    /// Leases without a commitment.
    pub(crate) fn open(&self) -> u32 {
        let waiting = self.granted.len() + self.ready.len();
        waiting as u32 + u32::from(self.fetching.is_some()) + u32::from(self.computing.is_some())
    }

    /// Takes out every lease that waits for its turn.
    pub(crate) fn take_waiting(&mut self) -> Vec<LeaseId> {
        let granted = self.granted.drain(..).chain(self.fetching.take());
        granted.chain(self.ready.drain(..).map(|(open, _)| open)).map(|open| open.lease).collect()
    }
}

/// A reason cut to what a message may hold.
pub(crate) fn cut(mut reason: String) -> String {
    if reason.len() > MAX_REASON_LEN {
        let end = (0..=MAX_REASON_LEN).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_wire::proto::{LocalTraining, Unit, unit::Program};

    fn unit(class: Class, reference_ops: u64, memory_bytes: u64) -> Vec<u8> {
        let program = Program::LocalTraining(LocalTraining { steps: 1, batch: 1, learning_rate: 0.1, momentum: 0.0 });
        let id = vec![1; 32];
        let message = Unit {
            job: id.clone(),
            class: class as i32,
            graph: id.clone(),
            parameters: id.clone(),
            data: id,
            program: Some(program),
            reference_ops,
            memory_bytes,
            ..Unit::default()
        };
        CheckedUnit::new(message).unwrap().encode()
    }

    #[test]
    fn a_unit_above_the_agreed_budget_is_not_taken() {
        let budget = Budget { reference_ops: 100, memory_bytes: 1000 };
        let check = |unit: Vec<u8>, classes: &[Class]| {
            let lease = Lease { lease: vec![7; 32], unit, duration_ms: 5 };
            OpenLease::check(&lease, Duration::from_secs(1), classes, &budget)
        };
        let open = check(unit(Class::Exact, 100, 1000), &[Class::Exact]).unwrap();
        assert_eq!(open.expires, Duration::from_millis(1005));
        let over = check(unit(Class::Exact, 101, 1000), &[Class::Exact]).unwrap_err();
        assert_eq!(over.to_string(), "the unit needs 101 reference operations, the budget is 100");
        let over = check(unit(Class::Exact, 100, 1001), &[Class::Exact]).unwrap_err();
        assert_eq!(over.to_string(), "the unit needs 1001 bytes of memory, the budget is 1000");
        let class = check(unit(Class::Exact, 1, 1), &[Class::Tolerant]).unwrap_err();
        assert_eq!(class, LeaseError::Class(Class::Exact));
        assert!(matches!(check(vec![0xff; 9], &[Class::Exact]), Err(LeaseError::Unit(_))));
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let long = "é".repeat(MAX_REASON_LEN);
        let cut = cut(long);
        assert_eq!(cut.len(), MAX_REASON_LEN);
        assert!(cut.chars().all(|c| c == 'é'));
    }
}

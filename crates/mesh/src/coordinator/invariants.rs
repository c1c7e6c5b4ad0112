//! What must hold between any two inputs. Simulator and property tests call this after every input.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::{
    lease::LeaseState,
    unit::{Phase, Slot},
};

impl Coordinator {
    /// Checks every invariant of the whole state; for tests, it looks at everything.
    ///
    /// # Panics
    /// When one does not hold, naming it.
    pub fn assert_invariants(&self) {
        self.assert_leases();
        self.assert_units();
        self.assert_workers();
    }

    fn assert_leases(&self) {
        for (id, lease) in &self.leases {
            let round = self.jobs.get(&lease.job).expect("a lease's job is active");
            let slot = round.units[lease.index as usize].slots[lease.replica as usize];
            let expected = if lease.is_lapsed() { Slot::Lapsed(*id) } else { Slot::Live(*id) };
            assert_eq!(slot, expected, "lease and slot know each other");
            if let Some(worker) = self.workers.get(&lease.worker) {
                assert_eq!(worker.leases.contains(id), !lease.is_lapsed(), "a worker holds its live leases");
            } else {
                assert!(lease.lapsed().is_none(), "a worker that left holds nothing it has not revealed");
            }
        }
    }

    fn assert_units(&self) {
        for round in self.jobs.values() {
            assert!(!round.is_complete(), "a complete round is not active");
            let mut live = 0;
            let mut closed = 0;
            for (index, unit) in (0u32..).zip(&round.units) {
                let mut owners = BTreeSet::new();
                for id in unit.live_leases() {
                    live += 1;
                    let lease = &self.leases[&id];
                    assert!(owners.insert(lease.owner), "no owner holds two replicas of a unit");
                    let legal = match lease.state() {
                        LeaseState::Granted { .. } | LeaseState::Committed { .. } => unit.phase() == Phase::Open,
                        LeaseState::Revealing { .. } | LeaseState::Revealed { .. } => unit.phase() == Phase::Revealing,
                        LeaseState::Judging { .. } => unit.phase() == Phase::Judging,
                        LeaseState::Lapsed { .. } => false,
                    };
                    assert!(legal, "lease is {:?} in a unit that is {:?}", lease.state(), unit.phase());
                }
                if unit.phase() == Phase::Closed {
                    closed += 1;
                    assert!(unit.accepted.is_some(), "a closed unit is accepted");
                    assert!(unit.live_leases().chain(unit.lapsed_leases()).next().is_none(), "a closed unit is free");
                }
                assert_eq!(round.is_vacant(index), unit.has_vacancy(), "vacancies are listed");
            }
            let untouched = |index: u32| round.units[index as usize].is_untouched();
            assert!(round.first_fresh().all(untouched), "what stands for its shape has no past of its own");
            assert_eq!(round.live, live, "live leases are counted");
            assert_eq!(round.closed(), closed, "closed units are counted");
        }
    }

    fn assert_workers(&self) {
        for (id, worker) in &self.workers {
            assert_eq!(self.waiting.contains(id), worker.wanted > 0, "who wants units waits");
            for lease in &worker.leases {
                assert_eq!(self.leases[lease].worker, *id, "a worker holds its own leases");
            }
            assert!(!self.away.contains_key(id), "nobody is here and away");
        }
    }
}

//! One unit of a round: its replicas go through lease, commitment, reveal and verdict as a group.

use shoal_wire::ids::{LeaseId, NodeId};

use crate::{
    limits::{MAX_BARRED_PER_UNIT, MAX_LAPSED_PER_UNIT},
    plan::AcceptedUnit,
    time::TimeMs,
    worker::Owner,
};

/// Where a unit's group of replicas is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Replicas are leased and commit. Nothing was revealed yet, so nobody can copy.
    Open,
    /// All live replicas were asked to reveal. No lease is given and no commitment taken from here on.
    Revealing,
    /// Verdicts are outstanding.
    Judging,
    /// Accepted, and every outstanding verdict is in.
    Closed,
}

/// One replica of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nobody has it.
    Empty,
    /// Somebody let it lapse and may still deliver.
    Lapsed(LeaseId),
    /// Somebody has it.
    Live(LeaseId),
    /// A verdict found its result right.
    Proven,
}

#[derive(Debug)]
pub(crate) struct UnitState {
    phase: Phase,
    pub(crate) slots: Vec<Slot>,
    pub(crate) accepted: Option<AcceptedUnit>,
    /// First commitment of the group; the patience for missing replicas runs from it.
    pub(crate) first_commit: Option<TimeMs>,
    /// Owners whose result for this unit was wrong, oldest first.
    barred: Vec<Owner>,
    /// Workers that let a lease of this unit lapse, oldest first.
    lapsed: Vec<NodeId>,
}

impl UnitState {
    pub(crate) fn new(replicas: u32) -> Self {
        Self {
            phase: Phase::Open,
            slots: vec![Slot::Empty; replicas as usize],
            accepted: None,
            first_commit: None,
            barred: Vec::new(),
            lapsed: Vec::new(),
        }
    }

    /// A unit that was accepted before this coordinator started.
    pub(crate) fn restored(replicas: u32, accepted: AcceptedUnit) -> Self {
        Self { phase: Phase::Closed, accepted: Some(accepted), ..Self::new(replicas) }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Changes the phase: the only place that does.
    ///
    /// # Panics
    /// On a change that the protocol does not have.
    pub(crate) fn enter(&mut self, next: Phase) {
        let legal = match (self.phase, next) {
            (Phase::Open, Phase::Revealing) | (Phase::Revealing, Phase::Judging) => true,
            (Phase::Revealing | Phase::Judging, Phase::Open) => self.accepted.is_none(),
            (Phase::Judging, Phase::Closed) => self.accepted.is_some(),
            _ => false,
        };
        assert!(legal, "unit cannot go from {:?} to {next:?}, accepted: {:?}", self.phase, self.accepted);
        self.phase = next;
        if next == Phase::Open {
            self.first_commit = None;
        }
    }

    /// Accepts a result for the unit, once.
    ///
    /// # Panics
    /// When another result was accepted before.
    pub(crate) fn accept(&mut self, accepted: AcceptedUnit) {
        assert!(self.accepted.is_none(), "unit {} accepted twice", accepted.index);
        self.accepted = Some(accepted);
    }

    /// Whether a lease can be given.
    pub(crate) fn has_vacancy(&self) -> bool {
        self.phase == Phase::Open && self.vacant_replica().is_some()
    }

    /// Whether nobody ever did anything with it that limits who may have it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.barred.is_empty() && self.lapsed.is_empty() && self.slots.iter().all(|slot| *slot == Slot::Empty)
    }

    /// The replica to lease next: one that nobody can still deliver, if there is one.
    pub(crate) fn vacant_replica(&self) -> Option<u32> {
        let position = |wanted: fn(&Slot) -> bool| self.slots.iter().position(wanted);
        position(|slot| matches!(slot, Slot::Empty))
            .or_else(|| position(|slot| matches!(slot, Slot::Lapsed(_))))
            .map(|replica| replica as u32)
    }

    pub(crate) fn live_leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        self.slots.iter().filter_map(|slot| if let Slot::Live(lease) = slot { Some(*lease) } else { None })
    }

    pub(crate) fn lapsed_leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        self.slots.iter().filter_map(|slot| if let Slot::Lapsed(lease) = slot { Some(*lease) } else { None })
    }

    pub(crate) fn bars(&self, owner: &Owner) -> bool {
        self.barred.contains(owner)
    }

    pub(crate) fn bar(&mut self, owner: Owner) {
        push_bounded(&mut self.barred, owner, MAX_BARRED_PER_UNIT);
    }

    pub(crate) fn lapsed_with(&self, worker: &NodeId) -> bool {
        self.lapsed.contains(worker)
    }

    pub(crate) fn note_lapse(&mut self, worker: NodeId) {
        push_bounded(&mut self.lapsed, worker, MAX_LAPSED_PER_UNIT);
    }
}

/// Adds a value that is not there yet and forgets the oldest above the limit.
fn push_bounded<T: PartialEq>(list: &mut Vec<T>, value: T, limit: usize) {
    if list.contains(&value) {
        return;
    }
    if list.len() == limit {
        list.remove(0);
    }
    list.push(value);
}

#[cfg(test)]
mod tests {
    use shoal_wire::ids::BlobId;

    use super::*;

    #[test]
    #[should_panic(expected = "accepted twice")]
    fn a_second_acceptance_is_a_bug() {
        let accepted = AcceptedUnit { index: 3, output: BlobId([1; 32]), worker: NodeId([1; 32]) };
        let mut unit = UnitState::restored(1, accepted);
        unit.accept(accepted);
    }

    #[test]
    #[should_panic(expected = "unit cannot go from Closed")]
    fn a_closed_unit_stays_closed() {
        let accepted = AcceptedUnit { index: 3, output: BlobId([1; 32]), worker: NodeId([1; 32]) };
        UnitState::restored(1, accepted).enter(Phase::Open);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut list = Vec::new();
        for value in [1, 2, 2, 3, 4] {
            push_bounded(&mut list, value, 3);
        }
        assert_eq!(list, [2, 3, 4]);
    }
}

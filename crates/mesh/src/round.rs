//! One active round: its plan, its units and who took how many of them.

use std::collections::{BTreeMap, BTreeSet};

use shoal_wire::ids::NodeId;

use crate::{
    plan::{AcceptedUnit, RoundPlan, UnitPlan},
    unit::{Phase, UnitState},
};

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) plan: RoundPlan,
    /// Order in which jobs were started; earlier is smaller.
    pub(crate) sequence: u64,
    pub(crate) units: Vec<UnitState>,
    /// Units to lease that nobody has touched yet, by shape. Whom they may go to depends on the shape alone, so a large
    /// round is not looked through unit by unit.
    fresh: Vec<BTreeSet<u32>>,
    /// Units to lease that have a past: a live replica, a lapsed one, or somebody who was wrong.
    worn: BTreeSet<u32>,
    /// Replicas each worker holds or has proven in this round.
    taken: BTreeMap<NodeId, u32>,
    /// Leases that are live.
    pub(crate) live: u32,
    closed: usize,
    /// One unit of each different class, memory and operations: whom the round suits at all.
    shapes: Vec<UnitPlan>,
    /// Position in `shapes` by unit index.
    shape_of: Vec<usize>,
}

impl Round {
    pub(crate) fn new(plan: RoundPlan, accepted: &[AcceptedUnit], sequence: u64) -> Self {
        let mut units: Vec<UnitState> = plan.units.iter().map(|_| UnitState::new(plan.replicas)).collect();
        let mut taken = BTreeMap::new();
        for unit in accepted {
            units[unit.index as usize] = UnitState::restored(plan.replicas, *unit);
            *taken.entry(unit.worker).or_insert(0) += 1;
        }
        let mut kinds = BTreeMap::new();
        let mut shapes = Vec::new();
        let mut shape_of = Vec::with_capacity(plan.units.len());
        for unit in &plan.units {
            let kind = (unit.class as i32, unit.memory_bytes, unit.reference_ops);
            shape_of.push(*kinds.entry(kind).or_insert_with(|| {
                shapes.push(unit.clone());
                shapes.len() - 1
            }));
        }
        let (fresh, worn) = (vec![BTreeSet::new(); shapes.len()], BTreeSet::new());
        let closed = accepted.len();
        let mut round = Self { plan, sequence, units, fresh, worn, taken, live: 0, closed, shapes, shape_of };
        for index in 0..round.units.len() as u32 {
            round.refresh_vacancy(index);
        }
        round
    }

    pub(crate) fn unit(&mut self, index: u32) -> &mut UnitState {
        &mut self.units[index as usize]
    }

    pub(crate) fn unit_plan(&self, index: u32) -> &UnitPlan {
        &self.plan.units[index as usize]
    }

    /// Number of units with a replica to lease.
    pub(crate) fn vacancies(&self) -> usize {
        self.worn.len() + self.fresh.iter().map(BTreeSet::len).sum::<usize>()
    }

    pub(crate) fn is_vacant(&self, index: u32) -> bool {
        self.worn.contains(&index) || self.fresh[self.shape_of[index as usize]].contains(&index)
    }

    /// The first untouched unit to lease of each shape.
    pub(crate) fn first_fresh(&self) -> impl Iterator<Item = u32> + '_ {
        self.fresh.iter().filter_map(|indices| indices.first().copied())
    }

    /// Units to lease that have a past, by index.
    pub(crate) fn worn(&self) -> impl Iterator<Item = u32> + '_ {
        self.worn.iter().copied()
    }

    pub(crate) fn shapes(&self) -> &[UnitPlan] {
        &self.shapes
    }

    /// Replicas in the round.
    pub(crate) fn replicas(&self) -> u64 {
        self.plan.units.len() as u64 * u64::from(self.plan.replicas)
    }

    /// Brings the lists of vacancies up to date after a change of that unit.
    pub(crate) fn refresh_vacancy(&mut self, index: u32) {
        let unit = &self.units[index as usize];
        let fresh = &mut self.fresh[self.shape_of[index as usize]];
        fresh.remove(&index);
        self.worn.remove(&index);
        if unit.has_vacancy() {
            let list = if unit.is_untouched() { fresh } else { &mut self.worn };
            list.insert(index);
        }
    }

    pub(crate) fn taken_by(&self, worker: &NodeId) -> u32 {
        self.taken.get(worker).copied().unwrap_or(0)
    }

    pub(crate) fn take(&mut self, worker: NodeId) {
        *self.taken.entry(worker).or_insert(0) += 1;
    }

    /// Gives back what a lease without a right result had taken.
    ///
    /// # Panics
    /// When the worker had taken nothing.
    pub(crate) fn untake(&mut self, worker: &NodeId) {
        let count = self.taken.get_mut(worker).expect("only what was taken is given back");
        *count -= 1;
        if *count == 0 {
            self.taken.remove(worker);
        }
    }

    /// Closes an accepted unit whose verdicts are all in.
    pub(crate) fn close(&mut self, index: u32) {
        self.unit(index).enter(Phase::Closed);
        self.closed += 1;
    }

    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.closed == self.units.len()
    }

    /// Accepted outputs by unit index.
    ///
    /// # Panics
    /// When the round is not complete.
    pub(crate) fn outputs(&self) -> Vec<AcceptedUnit> {
        self.units.iter().map(|unit| unit.accepted.expect("every unit of a complete round is accepted")).collect()
    }
}

//! What every node has earned since the beginning, from its receipts.
//!
//! Driving contract:
//! 1. Every stored receipt is credited exactly once. The store makes receipts unique (one for each unit and worker);
//!    this module holds no list of them.
//! 2. Every stored payout binding is bound once, in the order of the store.
//! 3. Receipts and bindings may be interleaved in any way: the result is the same, so earnings can be rebuilt from the
//!    store after a restart and no amount that was posted can shrink.
//!
//! Work of a node that has no payout address yet is held, outside every tree, until the node binds one.

use std::collections::BTreeMap;

use shoal_wire::{
    ids::{IdError, NodeId},
    proto::Receipt,
};

use crate::{
    address::{AddressError, EvmAddress},
    amount::{BaseUnits, reward},
    epoch::EpochEntry,
    keccak::NodeHash,
};

/// A receipt that names no node or no possible payout address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The worker's id is malformed.
    #[error("receipt: {0}")]
    Worker(#[from] IdError),
    /// The payout address is malformed.
    #[error("receipt: {0}")]
    Payout(#[from] AddressError),
}

/// All rewards together would exceed 2^128 base units; the supply of the token is far smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{total} base units and {amount} more exceed 2^128")]
pub struct TotalOverflow {
    /// Everything earned before.
    pub total: BaseUnits,
    /// What was to be added.
    pub amount: BaseUnits,
}

/// The part of a receipt that pays: who worked, where to pay, how much was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedWork {
    /// The worker.
    pub node: NodeId,
    /// Where the receipt says to pay; `None` if the worker had bound no address when the unit was accepted.
    pub payout: Option<EvmAddress>,
    /// Operations counted from the graph before the unit was leased.
    pub reference_ops: u64,
}

impl TryFrom<&Receipt> for AcceptedWork {
    type Error = ReceiptError;
    fn try_from(receipt: &Receipt) -> Result<Self, ReceiptError> {
        Ok(Self {
            node: NodeId::try_from(&receipt.worker)?,
            payout: EvmAddress::from_field(&receipt.payout_address)?,
            reference_ops: receipt.reference_ops,
        })
    }
}

/// What one node has earned.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeEarnings {
    /// Earned at each address that the node was bound to, cumulative: paid, posted or still to be posted.
    pub payable: Vec<(EvmAddress, BaseUnits)>,
    /// Waiting for a payout address.
    pub held: BaseUnits,
}

/// Cumulative earnings of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earnings {
    payable: BTreeMap<(NodeHash, EvmAddress), BaseUnits>,
    held: BTreeMap<NodeHash, BaseUnits>,
    first_payout: BTreeMap<NodeHash, EvmAddress>,
    total: BaseUnits,
}

impl Earnings {
    /// Counts one receipt and returns what it earned.
    ///
    /// A receipt that names no address goes to the first address its node ever binds, before or after: the one rule
    /// that does not depend on the order of receipts and bindings.
    pub fn credit(&mut self, work: &AcceptedWork) -> Result<BaseUnits, TotalOverflow> {
        let amount = reward(work.reference_ops);
        let total = self.total.checked_add(amount).ok_or(TotalOverflow { total: self.total, amount })?;
        if amount == BaseUnits::ZERO {
            return Ok(amount);
        }
        let node = NodeHash::from(work.node);
        match work.payout.or_else(|| self.first_payout.get(&node).copied()) {
            Some(payout) => add(self.payable.entry((node, payout)).or_default(), amount),
            None => add(self.held.entry(node).or_default(), amount),
        }
        self.total = total;
        Ok(amount)
    }

    /// Binds a node to a payout address and returns what was held for it until now. Only the first binding moves held
    /// work; later ones are carried by the receipts that follow them.
    pub fn bind(&mut self, node: NodeId, payout: EvmAddress) -> BaseUnits {
        let node = NodeHash::from(node);
        let first = *self.first_payout.entry(node).or_insert(payout);
        let released = self.held.remove(&node).unwrap_or_default();
        if released > BaseUnits::ZERO {
            add(self.payable.entry((node, first)).or_default(), released);
        }
        released
    }

    /// What one node has earned.
    pub fn of(&self, node: NodeId) -> NodeEarnings {
        let node = NodeHash::from(node);
        let entries = self.entries().filter(|entry| entry.node == node);
        NodeEarnings {
            payable: entries.map(|entry| (entry.payout, entry.cumulative)).collect(),
            held: self.held.get(&node).copied().unwrap_or_default(),
        }
    }

    /// Everything that has an address to be paid at, sorted by node hash and address: the leaves of the next epoch.
    pub fn entries(&self) -> impl Iterator<Item = EpochEntry> {
        self.payable.iter().map(|(&(node, payout), &cumulative)| EpochEntry { node, payout, cumulative })
    }

    /// The sum of [`Self::entries`].
    pub fn payable_total(&self) -> BaseUnits {
        self.payable.values().copied().sum()
    }

    /// Everything that waits for an address.
    pub fn held_total(&self) -> BaseUnits {
        self.held.values().copied().sum()
    }

    /// Everything earned: payable and held.
    pub fn total(&self) -> BaseUnits {
        self.total
    }
}

fn add(sum: &mut BaseUnits, amount: BaseUnits) {
    *sum = sum.checked_add(amount).expect("no part exceeds the total, and the total was checked");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(id: u8) -> NodeId {
        NodeId([id; 32])
    }

    fn payout(id: u8) -> EvmAddress {
        EvmAddress::new([id; 20]).unwrap()
    }

    fn work(id: u8, to: Option<u8>, reference_ops: u64) -> AcceptedWork {
        AcceptedWork { node: node(id), payout: to.map(payout), reference_ops }
    }

    #[test]
    fn work_without_an_address_is_held_until_one_is_bound() {
        let mut earnings = Earnings::default();
        assert_eq!(earnings.credit(&work(1, None, 5)), Ok(reward(5)));
        assert_eq!(earnings.entries().count(), 0);
        assert_eq!(earnings.of(node(1)), NodeEarnings { payable: vec![], held: reward(5) });

        assert_eq!(earnings.bind(node(1), payout(7)), reward(5));
        assert_eq!(earnings.bind(node(1), payout(8)), BaseUnits::ZERO);
        earnings.credit(&work(1, None, 1)).unwrap();
        earnings.credit(&work(1, Some(8), 2)).unwrap();
        let payable = vec![(payout(7), reward(6)), (payout(8), reward(2))];
        assert_eq!(earnings.of(node(1)), NodeEarnings { payable, held: BaseUnits::ZERO });
        assert_eq!(earnings.total(), reward(8));
    }

    #[test]
    fn empty_work_makes_no_leaf() {
        let mut earnings = Earnings::default();
        assert_eq!(earnings.credit(&work(1, Some(1), 0)), Ok(BaseUnits::ZERO));
        assert_eq!(earnings.entries().count(), 0);
    }

    #[test]
    fn an_overflowing_total_changes_nothing() {
        let before = BaseUnits(u128::MAX - 1);
        let mut earnings = Earnings { total: before, ..Earnings::default() };
        let refused = Err(TotalOverflow { total: before, amount: reward(1) });
        assert_eq!(earnings.credit(&work(1, Some(1), 1)), refused);
        assert_eq!(earnings, Earnings { total: before, ..Earnings::default() });
    }

    #[test]
    fn receipts_are_read_or_refused() {
        let receipt = Receipt { worker: vec![3; 32], reference_ops: 9, ..Receipt::default() };
        assert_eq!(AcceptedWork::try_from(&receipt), Ok(work(3, None, 9)));
        let paid = Receipt { payout_address: vec![4; 20], ..receipt.clone() };
        assert_eq!(AcceptedWork::try_from(&paid), Ok(work(3, Some(4), 9)));
        let short = Receipt { payout_address: vec![4; 19], ..receipt.clone() };
        assert_eq!(AcceptedWork::try_from(&short), Err(AddressError::Length { len: 19 }.into()));
        assert!(matches!(
            AcceptedWork::try_from(&Receipt { worker: vec![], ..receipt }),
            Err(ReceiptError::Worker(IdError::Length { len: 0, .. }))
        ));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Credit(u8, Option<u8>, u64),
        Bind(u8, u8),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1..4u8, proptest::option::of(1..4u8), 0..1000u64).prop_map(|(n, to, ops)| Event::Credit(n, to, ops)),
            (1..4u8, 1..4u8).prop_map(|(n, to)| Event::Bind(n, to)),
        ]
    }

    fn replay<'a>(events: impl Iterator<Item = &'a Event>) -> Earnings {
        let mut earnings = Earnings::default();
        for event in events {
            match *event {
                Event::Credit(n, to, ops) => assert_eq!(earnings.credit(&work(n, to, ops)), Ok(reward(ops))),
                Event::Bind(n, to) => {
                    earnings.bind(node(n), payout(to));
                }
            }
        }
        earnings
    }

    proptest! {
        /// Rule 3 of the driving contract, and nothing appears or vanishes.
        #[test]
        fn interleaving_does_not_matter(events in proptest::collection::vec(event(), 0..60)) {
            let lived = replay(events.iter());
            let binds = || events.iter().filter(|event| matches!(event, Event::Bind(..)));
            let credits = || events.iter().filter(|event| matches!(event, Event::Credit(..)));
            prop_assert_eq!(&lived, &replay(binds().chain(credits())));
            prop_assert_eq!(&lived, &replay(credits().rev().chain(binds())));
            prop_assert_eq!(lived.total(), BaseUnits(lived.payable_total().0 + lived.held_total().0));
        }
    }
}

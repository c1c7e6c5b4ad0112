//! One epoch: everything payable at one instant, its Merkle tree, and the claims against it.

use crate::{
    address::EvmAddress,
    amount::BaseUnits,
    earnings::Earnings,
    keccak::{Keccak, NodeHash},
    merkle::{MerkleTree, leaf, root_of},
};

/// Most leaves of one tree: the tree then takes 256 MiB, and a proof has 22 siblings.
pub const MAX_ENTRIES: usize = 1 << 22;

/// Why entries do not make an epoch, or not one that may follow another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Nobody is to be paid: there is no root of no leaves.
    #[error("epoch {number} has no entries")]
    Empty {
        /// The epoch.
        number: u64,
    },
    /// Epochs count from 1; the contract's 0 means that nothing was posted.
    #[error("epochs count from 1")]
    NumberZero,
    /// Too many leaves for one tree.
    #[error("{entries} entries, at most {MAX_ENTRIES}")]
    TooManyEntries {
        /// Entries given.
        entries: usize,
    },
    /// Two entries for one node and address.
    #[error("node {node} has two entries for {payout}")]
    Duplicate {
        /// The node.
        node: NodeHash,
        /// The address.
        payout: EvmAddress,
    },
    /// The sum exceeds 2^128 base units.
    #[error("the entries add up to more than 2^128 base units")]
    TotalOverflow,
    /// The number is not after the earlier epoch's.
    #[error("epoch {number} cannot follow epoch {earlier}")]
    NotAscending {
        /// This epoch.
        number: u64,
        /// The earlier one.
        earlier: u64,
    },
    /// Something that an earlier epoch promised is gone or smaller: receipts were lost.
    #[error("node {node} had {earlier} base units for {payout} in an earlier epoch, and {now} now")]
    Shrunk {
        /// The node.
        node: NodeHash,
        /// The address.
        payout: EvmAddress,
        /// Promised before.
        earlier: BaseUnits,
        /// Promised now.
        now: BaseUnits,
    },
}

/// One leaf: what a node has earned at one address since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The node.
    pub node: NodeHash,
    /// Where it is paid.
    pub payout: EvmAddress,
    /// Everything earned, paid or not.
    pub cumulative: BaseUnits,
}

impl EpochEntry {
    fn key(&self) -> (NodeHash, EvmAddress) {
        (self.node, self.payout)
    }

    fn leaf(&self) -> Keccak {
        leaf(&self.node, &self.payout, self.cumulative)
    }
}

/// What `RewardDistributor.claim` takes: one entry and its way to the root.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Claim {
    /// The epoch whose root the proof leads to.
    pub epoch: u64,
    /// The node.
    pub node_hash: NodeHash,
    /// Where it is paid.
    pub payout: EvmAddress,
    /// Everything earned, paid or not.
    pub cumulative: BaseUnits,
    /// Siblings from the leaf up.
    pub proof: Vec<Keccak>,
}

impl Claim {
    /// The root that this claim leads to: equal to the posted one if the claim is right.
    pub fn root(&self) -> Keccak {
        root_of(leaf(&self.node_hash, &self.payout, self.cumulative), &self.proof)
    }
}

/// A closed epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    number: u64,
    entries: Vec<EpochEntry>,
    total: BaseUnits,
    tree: MerkleTree,
}

impl Epoch {
    /// Closes an epoch over everything payable now.
    pub fn close(number: u64, earnings: &Earnings) -> Result<Self, EpochError> {
        Self::new(number, earnings.entries().collect())
    }

    /// An epoch of these entries in any order.
    pub fn new(number: u64, mut entries: Vec<EpochEntry>) -> Result<Self, EpochError> {
        if number == 0 {
            return Err(EpochError::NumberZero);
        }
        if entries.len() > MAX_ENTRIES {
            return Err(EpochError::TooManyEntries { entries: entries.len() });
        }
        entries.sort_unstable_by_key(EpochEntry::key);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return Err(EpochError::Duplicate { node: pair[0].node, payout: pair[0].payout });
        }
        let total = entries
            .iter()
            .try_fold(BaseUnits::ZERO, |sum, entry| sum.checked_add(entry.cumulative))
            .ok_or(EpochError::TotalOverflow)?;
        let tree =
            MerkleTree::new(entries.iter().map(EpochEntry::leaf).collect()).ok_or(EpochError::Empty { number })?;
        Ok(Self { number, entries, total, tree })
    }

    /// Whether this epoch may replace an earlier one: a later number, and nobody has less.
    pub fn check_follows(&self, earlier: &Self) -> Result<(), EpochError> {
        if self.number <= earlier.number {
            return Err(EpochError::NotAscending { number: self.number, earlier: earlier.number });
        }
        for entry in &earlier.entries {
            let now = self.entry(&entry.node, &entry.payout).map_or(BaseUnits::ZERO, |entry| entry.cumulative);
            if now < entry.cumulative {
                let EpochEntry { node, payout, cumulative: earlier } = *entry;
                return Err(EpochError::Shrunk { node, payout, earlier, now });
            }
        }
        Ok(())
    }

    /// The epoch's number, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is posted on chain.
    pub fn root(&self) -> Keccak {
        self.tree.root()
    }

    /// The sum of all entries.
    pub fn total(&self) -> BaseUnits {
        self.total
    }

    /// All entries, sorted by node hash and address.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The claims of one node, one for each address it was ever bound to.
    pub fn claims(&self, node: &NodeHash) -> Vec<Claim> {
        let from = self.entries.partition_point(|entry| entry.node < *node);
        self.entries[from..].iter().take_while(|entry| entry.node == *node).map(|entry| self.claim(entry)).collect()
    }

    fn entry(&self, node: &NodeHash, payout: &EvmAddress) -> Option<&EpochEntry> {
        let found = self.entries.binary_search_by_key(&(*node, *payout), EpochEntry::key);
        found.ok().map(|at| &self.entries[at])
    }

    fn claim(&self, entry: &EpochEntry) -> Claim {
        let proof = self.tree.proof(&entry.leaf()).expect("the tree was built of these entries");
        let EpochEntry { node: node_hash, payout, cumulative } = *entry;
        Claim { epoch: self.number, node_hash, payout, cumulative, proof }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(node: u8, payout: u8, cumulative: u128) -> EpochEntry {
        EpochEntry {
            node: NodeHash([node; 32]),
            payout: EvmAddress::new([payout; 20]).unwrap(),
            cumulative: BaseUnits(cumulative),
        }
    }

    #[test]
    fn malformed_epochs_are_refused() {
        assert_eq!(Epoch::new(1, vec![]), Err(EpochError::Empty { number: 1 }));
        assert_eq!(Epoch::new(0, vec![entry(1, 1, 1)]), Err(EpochError::NumberZero));
        assert_eq!(Epoch::new(1, vec![entry(1, 1, u128::MAX), entry(2, 1, 1)]), Err(EpochError::TotalOverflow));
        let twice = entry(1, 2, 1);
        let refused = Err(EpochError::Duplicate { node: twice.node, payout: twice.payout });
        assert_eq!(Epoch::new(1, vec![twice, entry(1, 1, 3), entry(1, 2, 4)]), refused);
    }

    #[test]
    fn an_epoch_takes_nothing_back() {
        let first = Epoch::new(1, vec![entry(1, 1, 5), entry(2, 2, 7)]).unwrap();
        let grown = Epoch::new(3, vec![entry(2, 2, 7), entry(1, 1, 6), entry(1, 3, 1)]).unwrap();
        assert_eq!(grown.check_follows(&first), Ok(()));
        assert_eq!(grown.check_follows(&grown), Err(EpochError::NotAscending { number: 3, earlier: 3 }));

        let lost = Epoch::new(2, vec![entry(1, 1, 50)]).unwrap();
        let EpochEntry { node, payout, cumulative: earlier } = entry(2, 2, 7);
        assert_eq!(lost.check_follows(&first), Err(EpochError::Shrunk { node, payout, earlier, now: BaseUnits::ZERO }));
    }

    #[test]
    fn a_node_claims_at_each_of_its_addresses() {
        let epoch = Epoch::new(4, vec![entry(1, 9, 1), entry(2, 2, 2), entry(1, 3, 4), entry(3, 3, 8)]).unwrap();
        let claims = epoch.claims(&NodeHash([1; 32]));
        assert_eq!(claims.iter().map(|claim| claim.cumulative.0).collect::<Vec<_>>(), [4, 1]);
        assert!(claims.iter().all(|claim| claim.root() == epoch.root() && claim.epoch == 4));
        assert!(epoch.claims(&NodeHash([7; 32])).is_empty());

        let wrong = Claim { cumulative: BaseUnits(5), ..claims[0].clone() };
        assert_ne!(wrong.root(), epoch.root());
    }

    proptest! {
        /// Every entry of a tree of any size proves itself, and the order of the entries does not matter.
        #[test]
        fn every_entry_has_a_proof(amounts in proptest::collection::vec(1..u64::MAX, 1..70), turn in 0..70usize) {
            let mut entries: Vec<_> = (1u8..).zip(&amounts).map(|(id, &amount)| entry(id, id, amount.into())).collect();
            let epoch = Epoch::new(1, entries.clone()).unwrap();
            for entry in &entries {
                let claims = epoch.claims(&entry.node);
                prop_assert_eq!(claims.len(), 1);
                prop_assert_eq!(claims[0].root(), epoch.root());
            }
            let turn = turn % entries.len();
            entries.rotate_left(turn);
            prop_assert_eq!(Epoch::new(1, entries).unwrap(), epoch);
        }
    }
}

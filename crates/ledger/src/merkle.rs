//! The Merkle tree that `RewardDistributor` checks.
//!
//! A leaf is hashed twice over its ABI encoding, children are hashed in ascending order, leaves are sorted: the same
//! tree, node for node, as OpenZeppelin's `StandardMerkleTree` builds (`tests/vectors/merkle`), so that anybody can
//! check an epoch with the usual tools.

use crate::{
    address::EvmAddress,
    amount::BaseUnits,
    keccak::{Keccak, NodeHash},
};

/// `keccak256(keccak256(abi.encode(nodeHash, payout, cumulative)))`: three 32-byte words, hashed twice so that no
/// inner node (two words) can be passed off as a leaf.
pub fn leaf(node: &NodeHash, payout: &EvmAddress, cumulative: BaseUnits) -> Keccak {
    let mut words = [0u8; 96];
    words[..32].copy_from_slice(&node.0);
    words[44..64].copy_from_slice(payout.as_bytes());
    words[80..].copy_from_slice(&cumulative.0.to_be_bytes());
    Keccak::of(&[&Keccak::of(&[&words]).0])
}

/// An inner node: its children in ascending order, so that a proof need not say left or right.
fn parent(a: &Keccak, b: &Keccak) -> Keccak {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    Keccak::of(&[&low.0, &high.0])
}

/// The root that a leaf and its siblings, from the leaf upwards, lead to.
pub fn root_of(leaf: Keccak, siblings: &[Keccak]) -> Keccak {
    siblings.iter().fold(leaf, |node, sibling| parent(&node, sibling))
}

/// A complete binary tree over at least one leaf, as a heap: node `i` has the children `2i + 1` and `2i + 2`, and the
/// sorted leaves stand at the end in reverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    nodes: Vec<Keccak>,
}

impl MerkleTree {
    /// The tree over these leaves in any order; `None` if there is none.
    pub fn new(mut leaves: Vec<Keccak>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        leaves.sort_unstable();
        let inner = leaves.len() - 1;
        let mut nodes = vec![Keccak([0; 32]); inner];
        nodes.extend(leaves.into_iter().rev());
        for at in (0..inner).rev() {
            nodes[at] = parent(&nodes[2 * at + 1], &nodes[2 * at + 2]);
        }
        Some(Self { nodes })
    }

    /// What is posted on chain.
    pub fn root(&self) -> Keccak {
        self.nodes[0]
    }

    /// The siblings from the leaf up to the root; `None` if the leaf is not in the tree.
    pub fn proof(&self, leaf: &Keccak) -> Option<Vec<Keccak>> {
        let first_leaf = self.nodes.len() / 2;
        let found = self.nodes[first_leaf..].binary_search_by(|node| leaf.cmp(node)).ok()?;
        let mut at = first_leaf + found;
        let mut siblings = Vec::new();
        while at > 0 {
            siblings.push(self.nodes[if at % 2 == 1 { at + 1 } else { at - 1 }]);
            at = (at - 1) / 2;
        }
        Some(siblings)
    }
}

//! The trees of OpenZeppelin's own JavaScript (`tests/vectors/merkle`), which the contract's tests read too.

use serde::Deserialize;
use shoal_ledger::{BaseUnits, Epoch, EpochEntry, EvmAddress, Keccak, NodeHash, merkle};
use shoal_wire::ids::NodeId;

#[derive(Deserialize)]
struct File {
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Tree {
    name: String,
    root: Keccak,
    total: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    node: String,
    node_hash: NodeHash,
    payout: EvmAddress,
    cumulative: BaseUnits,
    leaf: Keccak,
    proof: Vec<Keccak>,
}

#[test]
fn trees_equal_those_of_openzeppelin() {
    let path = "../../tests/vectors/merkle/trees.json";
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(file.trees.len(), 12);
    for tree in file.trees {
        let entries = tree.entries.iter().map(|entry| {
            let node: NodeId = entry.node.trim_start_matches("0x").parse().unwrap();
            assert_eq!(NodeHash::from(node), entry.node_hash, "{}", tree.name);
            assert_eq!(merkle::leaf(&entry.node_hash, &entry.payout, entry.cumulative), entry.leaf, "{}", tree.name);
            EpochEntry { node: entry.node_hash, payout: entry.payout, cumulative: entry.cumulative }
        });
        let epoch = Epoch::new(1, entries.collect()).unwrap();
        assert_eq!(epoch.root(), tree.root, "{}", tree.name);
        assert_eq!(epoch.total().to_string(), tree.total, "{}", tree.name);
        for entry in &tree.entries {
            let claims = epoch.claims(&entry.node_hash);
            let claim = claims.iter().find(|claim| claim.payout == entry.payout).unwrap();
            assert_eq!(claim.proof, entry.proof, "{}", tree.name);
        }
    }
}

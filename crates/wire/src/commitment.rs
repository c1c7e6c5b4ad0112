//! Commitments and join proofs: the two keyed statements that peers make with a hash.

use crate::ids::{BlobId, LeaseId, NodeId, domain_hash};

/// What a worker commits to before it reveals its output: it names the worker and the lease, so a copied commitment
/// is worthless to anybody else.
pub fn commitment(node: &NodeId, lease: &LeaseId, output: &BlobId) -> [u8; 32] {
    domain_hash("shoal/1/commitment", &[&node.0, &lease.0, &output.0])
}

/// Length of a private swarm's secret, bytes.
pub const JOIN_SECRET_LEN: usize = 32;

/// Proof that a worker knows a private swarm's secret, bound to both ends so that it cannot be replayed elsewhere.
pub fn join_proof(secret: &[u8; JOIN_SECRET_LEN], worker: &NodeId, relay: &NodeId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"shoal/1/join\0").update(&worker.0).update(&relay.0);
    *hasher.finalize().as_bytes()
}

/// Whether a proof is the right one, in constant time.
pub fn verify_join_proof(secret: &[u8; JOIN_SECRET_LEN], worker: &NodeId, relay: &NodeId, proof: &[u8]) -> bool {
    let Ok(proof) = <[u8; 32]>::try_from(proof) else { return false };
    // blake3::Hash compares in constant time.
    blake3::Hash::from_bytes(join_proof(secret, worker, relay)) == blake3::Hash::from_bytes(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_names_node_lease_and_output() {
        let base = commitment(&NodeId([1; 32]), &LeaseId([2; 32]), &BlobId([3; 32]));
        assert_ne!(base, commitment(&NodeId([9; 32]), &LeaseId([2; 32]), &BlobId([3; 32])));
        assert_ne!(base, commitment(&NodeId([1; 32]), &LeaseId([9; 32]), &BlobId([3; 32])));
        assert_ne!(base, commitment(&NodeId([1; 32]), &LeaseId([2; 32]), &BlobId([9; 32])));
    }

    #[test]
    fn a_join_proof_holds_for_one_pair_and_one_secret() {
        let (worker, relay) = (NodeId([1; 32]), NodeId([2; 32]));
        let proof = join_proof(&[7; 32], &worker, &relay);
        assert!(verify_join_proof(&[7; 32], &worker, &relay, &proof));
        assert!(!verify_join_proof(&[8; 32], &worker, &relay, &proof));
        assert!(!verify_join_proof(&[7; 32], &relay, &worker, &proof));
        assert!(!verify_join_proof(&[7; 32], &worker, &relay, &proof[..31]));
    }
}

//! A node's id and its libp2p peer id are the same Ed25519 public key in two spellings.

use libp2p::identity::{Keypair, PeerId, PublicKey, ed25519};
use shoal_wire::ids::NodeId;

/// A peer id that names no Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer {0} has no Ed25519 key in its id")]
pub struct NotEd25519(pub PeerId);

/// Multihash code of a peer id that holds its public key itself, as Ed25519 ids do.
const IDENTITY_MULTIHASH: u64 = 0;

/// The node behind a peer id.
pub fn node_id(peer: &PeerId) -> Result<NodeId, NotEd25519> {
    let refused = || NotEd25519(*peer);
    if peer.as_ref().code() != IDENTITY_MULTIHASH {
        return Err(refused());
    }
    let key = PublicKey::try_decode_protobuf(peer.as_ref().digest()).map_err(|_| refused())?;
    Ok(NodeId(key.try_into_ed25519().map_err(|_| refused())?.to_bytes()))
}

/// The peer id of a node, or `None` for bytes that are not a point of the curve.
pub fn peer_id(node: &NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&node.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The libp2p key of the node with this Ed25519 seed.
pub fn keypair(seed: &[u8; 32]) -> Keypair {
    let mut copy = *seed;
    Keypair::ed25519_from_bytes(&mut copy).expect("any 32 bytes are an Ed25519 seed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_wire::envelope::NodeKey;

    #[test]
    fn both_spellings_name_the_same_key() {
        let seed = [7; 32];
        let node = NodeKey::from_seed(&seed, "net").node_id();
        let peer = keypair(&seed).public().to_peer_id();
        assert_eq!(node_id(&peer), Ok(node));
        assert_eq!(peer_id(&node), Some(peer));
    }

    #[test]
    fn a_peer_without_an_ed25519_key_is_refused() {
        let random = PeerId::random();
        assert_eq!(node_id(&random), Err(NotEd25519(random)));
    }
}

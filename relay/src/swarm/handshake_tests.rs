//! What a Hello must hold, one fault at a time.

use shoal_wire::{commitment::join_proof, envelope::NodeKey};

use super::*;

const SECRET: [u8; 32] = [9; 32];

fn key() -> NodeKey {
    NodeKey::from_seed(&[1; 32], "net")
}

fn membership() -> Membership {
    let chain_id = std::sync::OnceLock::from(7);
    Membership { network: "net".to_owned(), relay: NodeId([2; 32]), secret: Some(SECRET), chain_id }
}

fn binding(edit: impl Fn(&mut PayoutBinding)) -> Vec<u8> {
    let mut binding = PayoutBinding { address: vec![5; 20], chain_id: 7, issued_at_s: 100 };
    edit(&mut binding);
    key().seal_bytes(&binding)
}

fn hello() -> Hello {
    Hello {
        protocol: 1,
        agent: "test/1".to_owned(),
        capabilities: Some(Capabilities {
            classes: vec![Class::Exact as i32],
            backend: Backend::Cpu as i32,
            adapter: String::new(),
            memory_bytes: 1,
            max_unit_ops: 2,
            platform: Platform::Native as i32,
        }),
        join_proof: join_proof(&SECRET, &key().node_id(), &NodeId([2; 32])).to_vec(),
        payout_binding: binding(|_| ()),
        site: String::new(),
    }
}

fn refused(edit: impl Fn(&mut Hello)) -> (RefusalCode, String) {
    let mut hello = hello();
    edit(&mut hello);
    let refused = membership().check(key().node_id(), &hello).unwrap_err();
    (refused.code, refused.detail)
}

#[test]
fn a_right_hello_is_taken() {
    let joined = membership().check(key().node_id(), &hello()).unwrap();
    assert!(joined.profile.exact && !joined.profile.tolerant);
    assert_eq!((joined.seen.kind, joined.seen.backend), ("native", "cpu"));
    assert_eq!(joined.seen.binding.unwrap().address, [5; 20]);
    let other = NodeKey::from_seed(&[3; 32], "net").node_id();
    assert_ne!(joined.profile.owner, Owner::from(other), "the owner is who is paid");
}

#[test]
fn each_fault_is_named() {
    assert_eq!(refused(|h| h.protocol = 9).0, RefusalCode::ProtocolVersion);
    assert_eq!(refused(|h| h.join_proof.clear()).0, RefusalCode::JoinProof);
    assert_eq!(refused(|h| h.join_proof[0] ^= 1).0, RefusalCode::JoinProof);
    let (code, detail) = refused(|h| h.agent = "x".repeat(65));
    assert_eq!((code, detail.as_str()), (RefusalCode::Malformed, "agent has 65 bytes, allowed is 64"));
    assert!(refused(|h| h.capabilities = None).1.contains("capabilities"));
    assert!(refused(|h| h.capabilities.as_mut().unwrap().platform = 77).1.contains("platform 77"));
    assert!(refused(|h| h.capabilities.as_mut().unwrap().backend = 0).1.contains("backend 0"));
}

#[test]
fn a_binding_is_the_workers_own_and_for_this_chain() {
    let foreign = NodeKey::from_seed(&[4; 32], "net");
    let stolen = foreign.seal_bytes(&PayoutBinding { address: vec![5; 20], chain_id: 7, issued_at_s: 1 });
    assert_eq!(refused(|h| h.payout_binding = stolen.clone()).0, RefusalCode::BadSignature);
    assert!(refused(|h| h.payout_binding = binding(|b| b.chain_id = 8)).1.contains("chain 8"));
    assert!(refused(|h| h.payout_binding = binding(|b| b.address = vec![5; 19])).1.contains("19 bytes"));
    assert!(refused(|h| h.payout_binding = binding(|b| b.address = vec![0; 20])).1.contains("zero address"));
    assert!(refused(|h| h.payout_binding = binding(|b| b.issued_at_s = u64::MAX)).1.contains("dated"));
}

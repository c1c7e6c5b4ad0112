//! What a signature binds: type, network, signer and every payload bit.

use prost::Message;
use shoal_wire::{
    envelope::{EnvelopeError, NodeKey, Verified},
    ids::NodeId,
    proto::{Commit, CommitAck, Envelope, MessageType},
};

fn key() -> NodeKey {
    NodeKey::from_seed(&[1; 32], "net")
}

fn commit() -> Commit {
    Commit { lease: vec![2; 32], commitment: vec![3; 32] }
}

/// Pinned: Ed25519 is deterministic, so the whole envelope is.
#[test]
fn pinned_bytes() {
    let bytes = key().seal_bytes(&commit());
    assert_eq!(hex::encode(&bytes[..8]), "080612440a200202", "type 6, a payload of 68 bytes, field 1 of 32 bytes");
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "18420a6c3f8e3e272a17c3f5b2f692ef6e27c1f9baf3d9af421b6a1fb86f3d8a",
        "an accidental change of the signed bytes or of their encoding"
    );
}

#[test]
fn opens_for_its_network_and_signer() {
    let opened = Verified::open_from(&key().seal_bytes(&commit()), "net", &key().node_id()).unwrap();
    assert_eq!(opened.message_type(), MessageType::Commit);
    assert_eq!(opened.message::<Commit>().unwrap(), commit());
    let wrong = EnvelopeError::WrongType { expected: MessageType::CommitAck, got: MessageType::Commit };
    assert_eq!(opened.message::<CommitAck>(), Err(wrong));
}

#[test]
fn refuses_another_network_signer_or_type() {
    let bytes = key().seal_bytes(&commit());
    assert_eq!(Verified::open(&bytes, "other").unwrap_err(), EnvelopeError::BadSignature);

    let expected = NodeId([9; 32]);
    let wrong = EnvelopeError::WrongSigner { expected, got: key().node_id() };
    assert_eq!(Verified::open_from(&bytes, "net", &expected).unwrap_err(), wrong);

    let mut envelope = Envelope::decode(bytes.as_slice()).unwrap();
    envelope.r#type = MessageType::Result as i32;
    assert_eq!(Verified::open(&envelope.encode_to_vec(), "net").unwrap_err(), EnvelopeError::BadSignature);
    envelope.r#type = 99;
    assert_eq!(Verified::open(&envelope.encode_to_vec(), "net").unwrap_err(), EnvelopeError::UnknownType(99));
}

#[test]
fn refuses_every_flipped_bit() {
    let bytes = key().seal_bytes(&commit());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Verified::open_from(&flipped, "net", &key().node_id()).is_err(), "bit {bit}");
    }
}

#[test]
fn refuses_every_truncation() {
    let bytes = key().seal_bytes(&commit());
    for len in 0..bytes.len() {
        assert!(Verified::open(&bytes[..len], "net").is_err(), "{len} bytes");
    }
}

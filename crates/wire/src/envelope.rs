//! Signed envelopes: every statement a peer can be held to.
//!
//! The signature covers `shoal/1/<type>/<network>` ‖ 0 ‖ payload, over the bytes as sent. Opening an envelope checks
//! the signature, the type and (where the caller knows it) the signer; it never re-encodes.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prost::Message;

use crate::{
    ids::NodeId,
    proto::{self, Envelope, MessageType},
};

/// A message that travels in an envelope of its own type.
pub trait Signed: Message + Default {
    /// Its number on the wire.
    const TYPE: MessageType;
}

macro_rules! signed {
    ($($message:ident => $number:ident),* $(,)?) => {
        $(impl Signed for proto::$message { const TYPE: MessageType = MessageType::$number; })*
    };
}

signed! {
    Hello => Hello,
    Welcome => Welcome,
    LeaseRequest => LeaseRequest,
    Lease => Lease,
    NoWork => NoWork,
    Commit => Commit,
    CommitAck => CommitAck,
    Result => Result,
    Verdict => Verdict,
    Receipt => Acceptance,
    Rejection => Rejection,
    LeaseReturn => LeaseReturn,
    PayoutBinding => PayoutBinding,
    Refusal => Refusal,
}

/// Why an envelope was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a protobuf envelope.
    #[error("bytes are not an envelope: {0}")]
    Malformed(String),
    /// The payload is not the message its type says.
    #[error("payload is not a {expected:?}: {reason}")]
    Payload {
        /// The type in the envelope.
        expected: MessageType,
        /// The decoder's words.
        reason: String,
    },
    /// A type number this build does not know.
    #[error("message type {0} is unknown")]
    UnknownType(i32),
    /// Another type than the one expected here.
    #[error("expected a {expected:?}, got a {got:?}")]
    WrongType {
        /// What the protocol allows here.
        expected: MessageType,
        /// What came.
        got: MessageType,
    },
    /// The signer field is not an Ed25519 public key.
    #[error("signer is not an Ed25519 public key")]
    BadSigner,
    /// Signed by somebody else than the peer on this connection.
    #[error("signed by {got:?}, expected {expected:?}")]
    WrongSigner {
        /// The peer.
        expected: NodeId,
        /// The signer.
        got: NodeId,
    },
    /// The signature does not fit payload, type, network and signer.
    #[error("signature does not verify")]
    BadSignature,
}

/// Signs messages for one node on one network.
#[derive(Clone)]
pub struct NodeKey {
    key: SigningKey,
    network: String,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeKey").field("node", &self.node_id()).field("network", &self.network).finish_non_exhaustive()
    }
}

impl NodeKey {
    /// From the 32-byte Ed25519 seed.
    pub fn from_seed(seed: &[u8; 32], network: impl Into<String>) -> Self {
        Self { key: SigningKey::from_bytes(seed), network: network.into() }
    }

    /// The node's id: its public key.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// The network whose messages it signs.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Signs a message.
    pub fn seal<M: Signed>(&self, message: &M) -> Envelope {
        let payload = message.encode_to_vec();
        let signature = self.key.sign(&signing_bytes(M::TYPE, &self.network, &payload));
        Envelope {
            r#type: M::TYPE as i32,
            payload,
            signer: self.node_id().to_vec(),
            signature: signature.to_bytes().to_vec(),
            operator_signature: Vec::new(),
        }
    }

    /// Signs a message and encodes the envelope.
    pub fn seal_bytes<M: Signed>(&self, message: &M) -> Vec<u8> {
        self.seal(message).encode_to_vec()
    }
}

/// An envelope whose signature was checked; the payload is not decoded yet.
#[derive(Clone, Debug)]
pub struct Verified {
    envelope: Envelope,
    signer: NodeId,
    message_type: MessageType,
}

impl Verified {
    /// Checks an encoded envelope's signature.
    pub fn open(bytes: &[u8], network: &str) -> Result<Self, EnvelopeError> {
        let envelope = Envelope::decode(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        let message_type = match MessageType::try_from(envelope.r#type) {
            Ok(MessageType::Unspecified) | Err(_) => return Err(EnvelopeError::UnknownType(envelope.r#type)),
            Ok(known) => known,
        };
        let signer = NodeId::try_from(&envelope.signer).map_err(|_| EnvelopeError::BadSigner)?;
        let key = VerifyingKey::from_bytes(&signer.0).map_err(|_| EnvelopeError::BadSigner)?;
        let signature = Signature::from_slice(&envelope.signature).map_err(|_| EnvelopeError::BadSignature)?;
        // Strict: refuses small-order keys and non-canonical signatures, so that a signature names one signer.
        key.verify_strict(&signing_bytes(message_type, network, &envelope.payload), &signature)
            .map_err(|_| EnvelopeError::BadSignature)?;
        Ok(Self { envelope, signer, message_type })
    }

    /// As [`open`](Self::open), and only from that signer: the peer at the other end of the connection.
    pub fn open_from(bytes: &[u8], network: &str, expected: &NodeId) -> Result<Self, EnvelopeError> {
        let verified = Self::open(bytes, network)?;
        if verified.signer != *expected {
            return Err(EnvelopeError::WrongSigner { expected: *expected, got: verified.signer });
        }
        Ok(verified)
    }

    /// Who signed.
    pub fn signer(&self) -> NodeId {
        self.signer
    }

    /// Which message it holds.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// The envelope itself: what to keep as proof.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The payload as the message of that type.
    pub fn message<M: Signed>(&self) -> Result<M, EnvelopeError> {
        if self.message_type != M::TYPE {
            return Err(EnvelopeError::WrongType { expected: M::TYPE, got: self.message_type });
        }
        M::decode(self.envelope.payload.as_slice())
            .map_err(|error| EnvelopeError::Payload { expected: M::TYPE, reason: error.to_string() })
    }
}

fn signing_bytes(message_type: MessageType, network: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("shoal/1/{}/{network}\0", message_type as i32).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

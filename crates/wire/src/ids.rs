//! Identifiers: 32 bytes each, one type per meaning so that they cannot be mixed up.
//!
//! `BlobId` is the BLAKE3 hash of the blob; `UnitId` and `JobId` are BLAKE3 hashes under a domain; `NodeId` is an
//! Ed25519 public key; `LeaseId` is a single-use nonce chosen by the relay.

use std::{fmt, str::FromStr};

/// Bytes or text that are not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Wrong number of bytes.
    #[error("{kind} has {len} bytes, not 32")]
    Length {
        /// Which identifier was expected.
        kind: &'static str,
        /// Bytes given.
        len: usize,
    },
    /// Not hexadecimal.
    #[error("{kind} is not hexadecimal")]
    NotHex {
        /// Which identifier was expected.
        kind: &'static str,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The raw bytes as a message field.
            pub fn to_vec(self) -> Vec<u8> {
                self.0.to_vec()
            }

            /// First eight hexadecimal digits, for logs and tables.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdError;
            fn try_from(bytes: &[u8]) -> Result<Self, IdError> {
                bytes.try_into().map(Self).map_err(|_| IdError::Length { kind: $kind, len: bytes.len() })
            }
        }

        impl TryFrom<&Vec<u8>> for $name {
            type Error = IdError;
            fn try_from(bytes: &Vec<u8>) -> Result<Self, IdError> {
                Self::try_from(bytes.as_slice())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = hex::decode(text).map_err(|_| IdError::NotHex { kind: $kind })?;
                Self::try_from(bytes.as_slice())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A node: its Ed25519 public key, which is also its libp2p identity.
    NodeId,
    "node id"
);
id!(
    /// Content address of a blob: the BLAKE3 hash of its bytes.
    BlobId,
    "blob id"
);
id!(
    /// A job: hash of its stored document and the relay's nonce.
    JobId,
    "job id"
);
id!(
    /// A work unit: hash of its encoded bytes.
    UnitId,
    "unit id"
);
id!(
    /// A lease: a nonce used once.
    LeaseId,
    "lease id"
);

impl BlobId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl UnitId {
    /// The id of a unit by its bytes as stored.
    pub fn of(encoded_unit: &[u8]) -> Self {
        Self(domain_hash("shoal/1/unit", &[encoded_unit]))
    }
}

impl JobId {
    /// The id of a job by its document as stored and the nonce the relay gave it.
    pub fn of(document: &[u8], nonce: &[u8; 32]) -> Self {
        Self(domain_hash("shoal/1/job", &[nonce, document]))
    }
}

/// BLAKE3 over a domain, a zero byte, and the parts one after another. The caller must make the parts self-delimiting
/// (all but the last of fixed length).
pub fn domain_hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain.as_bytes()).update(&[0]);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

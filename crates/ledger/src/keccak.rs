//! Keccak-256, the hash of the chain's side. Everywhere else Shoal hashes with BLAKE3.

use std::{fmt, str::FromStr};

use sha3::{Digest, Keccak256};
use shoal_wire::ids::NodeId;

/// Text that is not a digest: 64 hexadecimal digits, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a 32-byte hexadecimal digest")]
pub struct DigestError;

/// A Keccak-256 digest: a leaf, an inner node or a root of a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keccak(pub [u8; 32]);

/// Keccak-256 of a node id's 32 bytes: how the chain names a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash(pub [u8; 32]);

impl Keccak {
    /// The digest of the parts one after another.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Keccak256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl From<NodeId> for NodeHash {
    fn from(node: NodeId) -> Self {
        Self(Keccak::of(&[node.as_bytes()]).0)
    }
}

/// Lower-case hexadecimal with `0x`, as the chain's tools write bytes.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// `N` bytes from hexadecimal text with or without `0x`; `None` if it is anything else.
pub(crate) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(value(pair[0])? * 16 + value(pair[1])?).ok()?;
    }
    Some(bytes)
}

macro_rules! digest_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                read_hex(text).map(Self).ok_or(DigestError)
            }
        }

        crate::keccak::serde_as_text!($name);
    };
}

/// Serialises a type as the text of its `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ident) => {
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
pub(crate) use serde_as_text;

digest_text!(Keccak);
digest_text!(NodeHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_known_answer() {
        // The empty string, from the Keccak team's test vectors.
        let known = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(Keccak::of(&[]), known.parse().unwrap());
        assert_eq!(Keccak::of(&[b"ab", b"c"]), Keccak::of(&[b"abc"]));
    }

    #[test]
    fn text_round_trips_and_garbage_is_refused() {
        let digest = Keccak::of(&[b"x"]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "0x", "0x12", "zz", &"é".repeat(32), &format!("{digest}0"), &"+f".repeat(32)] {
            assert_eq!(text.parse::<Keccak>(), Err(DigestError), "{text}");
        }
    }
}

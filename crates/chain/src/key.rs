//! The secp256k1 key that pays for transactions.

use std::{fmt, str::FromStr};

use alloy::signers::local::PrivateKeySigner;
use shoal_ledger::EvmAddress;

use crate::bindings::from_alloy;

/// Text that is not a private key. The text is not repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operator key is 64 hexadecimal digits, not zero and below the order of secp256k1")]
pub struct KeyError;

/// A secp256k1 private key. Never printed: `Debug` shows the address.
#[derive(Clone)]
pub struct OperatorKey(PrivateKeySigner);

impl OperatorKey {
    /// The account of this key.
    pub fn address(&self) -> EvmAddress {
        from_alloy(self.0.address()).expect("a public key does not hash to zero")
    }

    pub(crate) fn signer(&self) -> PrivateKeySigner {
        self.0.clone()
    }
}

impl FromStr for OperatorKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.trim().parse().map(Self).map_err(|_| KeyError)
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKey(of {})", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_never_shown() {
        // The first account of the mnemonic that every development chain uses.
        let text = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let key: OperatorKey = format!("0x{text}\n").parse().unwrap();
        assert_eq!(key.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert!(!format!("{key:?}").contains(text));
        for bad in ["", "0x12", &"0".repeat(64), &"f".repeat(64)] {
            assert_eq!(bad.parse::<OperatorKey>().err(), Some(KeyError), "{bad}");
        }
    }
}

//! The 20-byte addresses of accounts and contracts on an EVM chain; rewards are paid to them.

use std::{fmt, str::FromStr};

use crate::keccak::{Keccak, read_hex, serde_as_text};

/// Bytes or text that are no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Wrong number of bytes.
    #[error("an address has 20 bytes, not {len}")]
    Length {
        /// Bytes given.
        len: usize,
    },
    /// Not 40 hexadecimal digits.
    #[error("an address is 0x and 40 hexadecimal digits")]
    NotHex,
    /// Mixed case that does not match the EIP-55 checksum: a typing error.
    #[error("the address's upper and lower case do not match its checksum: it is mistyped")]
    Checksum,
    /// The zero address, which nobody owns.
    #[error("the zero address belongs to nobody")]
    Zero,
}

/// The address of an EVM account or contract; never zero.
///
/// Text: `0x` and 40 hexadecimal digits. Written with the EIP-55 checksum; read in one case, or in mixed case if the
/// checksum holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvmAddress([u8; 20]);

impl EvmAddress {
    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The address of these bytes, unless they are all zero.
    pub fn new(bytes: [u8; 20]) -> Result<Self, AddressError> {
        if bytes == [0; 20] { Err(AddressError::Zero) } else { Ok(Self(bytes)) }
    }

    /// A message's field: empty means that no address is bound yet.
    pub fn from_field(bytes: &[u8]) -> Result<Option<Self>, AddressError> {
        if bytes.is_empty() { Ok(None) } else { Self::try_from(bytes).map(Some) }
    }
}

impl TryFrom<&[u8]> for EvmAddress {
    type Error = AddressError;
    fn try_from(bytes: &[u8]) -> Result<Self, AddressError> {
        Self::new(bytes.try_into().map_err(|_| AddressError::Length { len: bytes.len() })?)
    }
}

impl fmt::Display for EvmAddress {
    /// EIP-55: a letter is upper-case where the Keccak of the lower-case digits has a nibble of 8 or more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let checksum = Keccak::of(&[lower.as_bytes()]).0;
        f.write_str("0x")?;
        for (index, digit) in lower.char_indices() {
            let nibble = if index % 2 == 0 { checksum[index / 2] >> 4 } else { checksum[index / 2] & 0xf };
            write!(f, "{}", if nibble >= 8 { digit.to_ascii_uppercase() } else { digit })?;
        }
        Ok(())
    }
}

impl fmt::Debug for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvmAddress({self})")
    }
}

impl FromStr for EvmAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = Self::new(read_hex(text).ok_or(AddressError::NotHex)?)?;
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mixed =
            digits.contains(|c: char| c.is_ascii_uppercase()) && digits.contains(|c: char| c.is_ascii_lowercase());
        if mixed && !address.to_string().ends_with(digits) { Err(AddressError::Checksum) } else { Ok(address) }
    }
}

serde_as_text!(EvmAddress);

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of EIP-55.
    const EXAMPLES: [&str; 4] = [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn checksums_are_those_of_eip_55() {
        for example in EXAMPLES {
            let address: EvmAddress = example.parse().unwrap();
            assert_eq!(address.to_string(), example);
            assert_eq!(example.to_lowercase().parse(), Ok(address));
            assert_eq!(example[2..].to_uppercase().parse(), Ok(address));
        }
    }

    #[test]
    fn mistyped_addresses_are_refused() {
        let swapped = EXAMPLES[0].replace("aAeb", "AAeb");
        assert_eq!(swapped.parse::<EvmAddress>(), Err(AddressError::Checksum));
        assert_eq!("0x12".parse::<EvmAddress>(), Err(AddressError::NotHex));
        assert_eq!("0".repeat(40).parse::<EvmAddress>(), Err(AddressError::Zero));
        assert_eq!(EvmAddress::from_field(&[1; 19]), Err(AddressError::Length { len: 19 }));
        assert_eq!(EvmAddress::from_field(&[]), Ok(None));
    }
}

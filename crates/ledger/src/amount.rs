//! Amounts of the reward token, and the rate at which counted work earns them.

use std::{fmt, iter::Sum, str::FromStr};

use crate::keccak::serde_as_text;

/// What one reference operation earns, in base units: 1 SHOAL (10^18 base units) for 10^12 operations.
///
/// Linear and in integers, so that the sum over receipts does not depend on how work was cut into units, and every
/// relay, worker and auditor computes the same number. A change of the rate needs a new distributor, because epochs
/// are cumulative over all receipts ever accepted.
pub const BASE_UNITS_PER_OPERATION: u128 = 1_000_000;

/// Decimal places of the token: 1 SHOAL = 10^18 base units, the ERC-20 default.
pub const TOKEN_DECIMALS: u32 = 18;

/// Base units of one token.
const BASE_UNITS_PER_TOKEN: u128 = 10u128.pow(TOKEN_DECIMALS);

// The reward of the largest receipt leaves room for 2^40 more of them before a sum can overflow.
const _: () = assert!((u64::MAX as u128) * BASE_UNITS_PER_OPERATION < u128::MAX >> 40);

/// Text that is not a whole number of base units below 2^128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a whole number of base units below 2^128")]
pub struct AmountError;

/// An amount of the reward token in base units. The contract counts in 256 bits, the ledger in 128: the whole supply
/// fits many times. As text and in JSON a decimal string, because JSON numbers lose digits above 2^53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUnits(pub u128);

/// What these reference operations earn.
pub fn reward(reference_ops: u64) -> BaseUnits {
    BaseUnits(u128::from(reference_ops) * BASE_UNITS_PER_OPERATION)
}

impl BaseUnits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many whole tokens.
    pub const fn tokens(tokens: u64) -> Self {
        Self(tokens as u128 * BASE_UNITS_PER_TOKEN)
    }

    /// The sum, unless it overflows.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left, 0 if `other` is more.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// For people: the exact amount in tokens without trailing zeros, such as `0.0375 SHOAL`.
    pub fn display_tokens(self) -> String {
        let whole = self.0 / BASE_UNITS_PER_TOKEN;
        let fraction = format!("{:018}", self.0 % BASE_UNITS_PER_TOKEN);
        match fraction.trim_end_matches('0') {
            "" => format!("{whole} SHOAL"),
            digits => format!("{whole}.{digits} SHOAL"),
        }
    }
}

impl fmt::Display for BaseUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BaseUnits {
    type Err = AmountError;
    fn from_str(text: &str) -> Result<Self, AmountError> {
        // `u128` would also read a leading `+`.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError);
        }
        text.parse().map(Self).map_err(|_| AmountError)
    }
}

serde_as_text!(BaseUnits);

/// For amounts that are known to have a sum, such as the entries of one epoch.
impl Sum for BaseUnits {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trillion_operations_earn_one_token() {
        assert_eq!(reward(1_000_000_000_000), BaseUnits::tokens(1));
        assert_eq!(reward(1), BaseUnits(BASE_UNITS_PER_OPERATION));
        assert_eq!(reward(u64::MAX).0, 18_446_744_073_709_551_615_000_000);
    }

    #[test]
    fn tokens_are_written_exactly() {
        assert_eq!(BaseUnits::ZERO.display_tokens(), "0 SHOAL");
        assert_eq!(reward(37_500_000_000).display_tokens(), "0.0375 SHOAL");
        assert_eq!(BaseUnits(1).display_tokens(), "0.000000000000000001 SHOAL");
        assert_eq!(BaseUnits::tokens(12).display_tokens(), "12 SHOAL");
    }

    #[test]
    fn text_round_trips_and_garbage_is_refused() {
        assert_eq!("340282366920938463463374607431768211455".parse(), Ok(BaseUnits(u128::MAX)));
        for text in ["", "-1", "+1", "1.0", "340282366920938463463374607431768211456"] {
            assert_eq!(text.parse::<BaseUnits>(), Err(AmountError), "{text}");
        }
    }
}

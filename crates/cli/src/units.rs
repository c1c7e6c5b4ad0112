//! Numbers of bytes as people write them.

/// Names of units and what they stand for, the longer names first.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads `1500`, `1.5kB`, `2MiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let unit = UNITS.iter().find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    let value: f64 = number.trim().parse().map_err(|_| refusal(text))?;
    let bytes = value * factor as f64;
    // Above 2^53 a number of bytes is a misspelling, and no longer exact.
    if (0.0..9e15).contains(&bytes) { Ok(bytes as u64) } else { Err(refusal(text)) }
}

fn refusal(text: &str) -> String {
    format!("{text:?} is no number of bytes; write one with B, kB, MB, GB, KiB, MiB or GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_nonsense_is_refused() {
        assert_eq!(bytes("1500"), Ok(1500));
        assert_eq!(bytes("1.5kB"), Ok(1500));
        assert_eq!(bytes("2 MiB"), Ok(2 << 20));
        assert_eq!(bytes("7B"), Ok(7));
        for text in ["", "fast", "-1", "1TB", "NaN", "inf", "1e300GB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}

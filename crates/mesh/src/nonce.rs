//! Lease nonces. The coordinator owns no randomness: it is given a seed and derives nonces that nobody without the seed
//! can predict.

use shoal_wire::ids::LeaseId;

/// A stream of lease nonces: keyed BLAKE3 of a counter. The seed must be secret and new at every start of the
/// coordinator, else leases from before a restart would be valid again.
pub(crate) struct LeaseNonces {
    seed: [u8; 32],
    next: u64,
}

impl LeaseNonces {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, next: 0 }
    }

    /// The next nonce; no two are equal.
    pub(crate) fn next(&mut self) -> LeaseId {
        let hash = blake3::keyed_hash(&self.seed, &self.next.to_le_bytes());
        self.next += 1;
        LeaseId(*hash.as_bytes())
    }
}

impl std::fmt::Debug for LeaseNonces {
    /// Without the seed, which must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseNonces").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nonces_differ_and_depend_on_the_seed() {
        let draw = |seed| {
            let mut nonces = LeaseNonces::new([seed; 32]);
            (0..1000).map(|_| nonces.next()).collect::<BTreeSet<_>>()
        };
        assert_eq!(draw(1).len(), 1000);
        assert_eq!(draw(1), draw(1));
        assert!(draw(1).is_disjoint(&draw(2)));
    }

    #[test]
    fn the_seed_is_not_in_the_debug_text() {
        assert_eq!(format!("{:?}", LeaseNonces::new([7; 32])), "LeaseNonces { next: 0, .. }");
    }
}

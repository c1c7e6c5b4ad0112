//! Which output is right. Only honest computing and the validator may ask.

use shoal_wire::ids::{BlobId, UnitId, domain_hash};

/// The answers of one simulation, unpredictable without its key.
#[derive(Clone, Debug)]
pub struct Truth([u8; 32]);

impl Truth {
    /// Answers under a key.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The right output of a unit.
    pub fn output(&self, unit: &UnitId) -> BlobId {
        BlobId(domain_hash("shoal/sim/truth", &[&self.0, &unit.0]))
    }
}

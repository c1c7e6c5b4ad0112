//! Seeds and the random numbers drawn from them: always ChaCha8, seeded by a BLAKE3 hash that names the purpose, so that
//! any validator draws the same.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use shoal_wire::ids::{JobId, UnitId, domain_hash};

/// Purpose of the mini-batch order of a unit.
pub const SHUFFLE: &str = "shuffle";

/// Seed of something that belongs to a unit: BLAKE3 of `shoal/1/seed`, 0, the job's id, the round (u32, little endian),
/// the unit's id, and the purpose.
pub fn unit_seed(job: &JobId, round: u32, unit: &UnitId, purpose: &str) -> [u8; 32] {
    let parts: [&[u8]; 4] = [job.as_bytes(), &round.to_le_bytes(), unit.as_bytes(), purpose.as_bytes()];
    domain_hash("shoal/1/seed", &parts)
}

/// Seed of something that belongs to a whole job and follows from the number in its document: BLAKE3 of
/// `shoal/1/job-seed`, 0, the number (u64, little endian), and the purpose.
pub fn job_seed(number: u64, purpose: &str) -> [u8; 32] {
    domain_hash("shoal/1/job-seed", &[&number.to_le_bytes(), purpose.as_bytes()])
}

/// 0..n in random order: Fisher and Yates from the end, each index `(u32 · (i + 1)) >> 32`.
pub fn permutation(seed: [u8; 32], n: u32) -> Vec<u32> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..n).rev() {
        let j = (u64::from(rng.next_u32()) * (u64::from(i) + 1)) >> 32;
        order.swap(i as usize, j as usize);
    }
    order
}

/// Numbers drawn uniformly from [−1, 1): multiples of 2⁻²³, from the upper 24 bits of each u32.
pub(crate) struct Uniform(ChaCha8Rng);

impl Uniform {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    pub(crate) fn next(&mut self) -> f32 {
        const STEP: f32 = 1.0 / 8_388_608.0;
        (self.0.next_u32() >> 8) as f32 * STEP - 1.0
    }

    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }
}

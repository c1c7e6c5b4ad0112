//! Bounds of an aggregation, each with its reason.

/// Most samples behind one round's average. Up to 2^24 every sample count is exact in f32, so the weights are correctly
/// rounded quotients.
pub const MAX_ROUND_SAMPLES: u64 = 1 << 24;

/// Most contributions in one average: the most units a round may have.
pub const MAX_CONTRIBUTIONS: usize = 10_000;

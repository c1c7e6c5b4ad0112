//! What one unit may cost.

/// Most reference operations of one unit: the validator recomputes each one, and a native core takes minutes for as
/// many. More work is more units, not larger ones.
pub const MAX_UNIT_OPS: u64 = 1_000_000_000_000;

/// Most memory of one unit, bytes: what a tab can hold beside the page.
pub const MAX_UNIT_MEMORY: u64 = 1 << 30;

//! A right operand packed once for many products: weights that stay the same between calls.

use super::super::lanes::Level;
use super::super::pack::{Panels, pack};
use super::super::{matrix::Matrix, scratch::Scratch};
use super::blocks::{DEPTH, right_panels};

/// B \[k, n\] in the panels of one level, block of K after block of K.
pub(crate) struct PackedB {
    level: Level,
    depth: usize,
    panels: Panels,
    data: Vec<f32>,
}

impl PackedB {
    /// Packs for the level of `scratch`, which the products must share.
    pub(crate) fn new(scratch: &Scratch, k: usize, n: usize, b: Matrix<'_>) -> Self {
        let level = scratch.level.narrowed_to(n);
        let panels = right_panels(level, n);
        let mut data = vec![0.0; panels.packed_len(k)];
        for k0 in (0..k).step_by(DEPTH) {
            pack(b, k0, DEPTH.min(k - k0), 0, panels, &mut data[panels.packed_len(k0)..]);
        }
        Self { level, depth: k, panels, data }
    }

    pub(crate) fn columns(&self) -> usize {
        self.panels.len
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// The panels over the block of K that starts at `k0`, from column `j0` on, which starts a panel.
    pub(super) fn block(&self, k0: usize, j0: usize) -> &[f32] {
        let depth = DEPTH.min(self.depth - k0);
        &self.data[self.panels.packed_len(k0) + j0 * depth..]
    }
}

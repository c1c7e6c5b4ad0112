//! What lowering may spend on what it knows. A node of a few bytes can ask for a tensor of a megabyte, and a loop for
//! the same one again on each pass: whoever decodes, evaluates, copies or keeps elements pays for them here first.

use std::cell::Cell;

use crate::{
    error::NodeError,
    limits::{MAX_FOLDED_ELEMENTS, MAX_FOLDING},
};

/// Elements that one lowering has spent, of [`MAX_FOLDING`].
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: Cell<u64>,
}

impl Budget {
    /// Pays for elements; what is refused costs nothing.
    pub(super) fn spend(&self, elements: u64) -> Result<(), NodeError> {
        let (found, limit) = (self.spent.get().saturating_add(elements), MAX_FOLDING);
        if found > limit {
            return Err(NodeError::TooLarge { what: "number of elements that lowering works out", found, limit });
        }
        self.spent.set(found);
        Ok(())
    }

    /// Elements that the next tensor may have.
    pub(super) fn room(&self) -> u64 {
        (MAX_FOLDING - self.spent.get()).min(MAX_FOLDED_ELEMENTS as u64)
    }
}

//! What a model leaves open and a graph does not: the sizes of its symbols, and inputs whose values decide shapes.

use std::collections::BTreeMap;

use crate::tensor::Tensor;

/// Sizes of symbolic dimensions, shapes of inputs, and values of inputs that are constants of the graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizes {
    pub(crate) symbols: BTreeMap<String, u32>,
    pub(crate) shapes: BTreeMap<String, Vec<u32>>,
    pub(crate) constants: BTreeMap<String, Tensor>,
}

impl Sizes {
    /// None yet: enough for a model without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// The size of a symbol such as `batch`, wherever it occurs.
    #[must_use]
    pub fn symbol(mut self, name: impl Into<String>, size: u32) -> Self {
        self.symbols.insert(name.into(), size);
        self
    }

    /// The shape of one input, for dimensions without a symbol.
    #[must_use]
    pub fn shape(mut self, input: impl Into<String>, shape: impl Into<Vec<u32>>) -> Self {
        self.shapes.insert(input.into(), shape.into());
        self
    }

    /// The value of one input, which then is no input of the graph: a shape, axes, the ends of a slice.
    #[must_use]
    pub fn constant(mut self, input: impl Into<String>, value: Tensor) -> Self {
        self.constants.insert(input.into(), value);
        self
    }
}

//! Optimisers as nodes: each takes a parameter, its gradient and its state, and makes the next ones. Rates are scalars
//! that come from outside, because schedules belong to whoever plans the steps.

use crate::{
    builder::GraphBuilder,
    error::GraphError,
    graph::ValueId,
    op::{Binary, Reduction, Unary},
};

/// A parameter and one tensor of state.
#[derive(Debug, Clone, Copy)]
pub struct Momentum {
    /// Next parameter.
    pub parameter: ValueId,
    /// Next velocity.
    pub velocity: ValueId,
}

/// A parameter and two tensors of state.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Next parameter.
    pub parameter: ValueId,
    /// Next mean of the gradients.
    pub mean: ValueId,
    /// Next mean of their squares.
    pub square: ValueId,
}

/// What Adam does not change from step to step (Kingma & Ba 2015).
#[derive(Debug, Clone, Copy)]
pub struct AdamRates {
    /// Share of the old mean that stays.
    pub beta1: f32,
    /// Share of the old mean square that stays.
    pub beta2: f32,
    /// Added to the root of the mean square.
    pub epsilon: f32,
}

impl Default for AdamRates {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl GraphBuilder {
    /// p' = p − rate·g.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn sgd(&mut self, p: ValueId, g: ValueId, rate: ValueId) -> Result<ValueId, GraphError> {
        let step = self.mul(g, rate)?;
        self.sub(p, step)
    }

    /// v' = momentum·v + g, p' = p − rate·v'.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn sgd_momentum(
        &mut self,
        p: ValueId,
        v: ValueId,
        g: ValueId,
        rate: ValueId,
        momentum: ValueId,
    ) -> Result<Momentum, GraphError> {
        let kept = self.mul(v, momentum)?;
        let velocity = self.add(kept, g)?;
        Ok(Momentum { parameter: self.sgd(p, velocity, rate)?, velocity })
    }

    /// Adam in the order of the paper's section 2: `rate` is α·√(1 − β₂ᵗ)/(1 − β₁ᵗ). AdamW (Loshchilov & Hutter 2019) is the
    /// same on a parameter that [`Self::decay`] has shrunk.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn adam(
        &mut self,
        p: ValueId,
        mean: ValueId,
        square: ValueId,
        g: ValueId,
        rate: ValueId,
        rates: AdamRates,
    ) -> Result<Adam, GraphError> {
        let mean = self.mix(mean, g, rates.beta1)?;
        let g2 = self.mul(g, g)?;
        let square = self.mix(square, g2, rates.beta2)?;
        let root = self.unary(Unary::Sqrt, square)?;
        let root = self.add_scalar(root, rates.epsilon)?;
        let direction = self.div(mean, root)?;
        Ok(Adam { parameter: self.sgd(p, direction, rate)?, mean, square })
    }

    /// p − decay·p: decoupled weight decay, with decay = α·λ.
    ///
    /// # Errors
    /// Limits.
    pub fn decay(&mut self, p: ValueId, decay: ValueId) -> Result<ValueId, GraphError> {
        self.sgd(p, p, decay)
    }

    /// Gradients scaled so that their common norm is `greatest` at most (Pascanu et al. 2013).
    ///
    /// # Errors
    /// Limits.
    pub fn clip_by_norm(&mut self, gradients: &[ValueId], greatest: f32) -> Result<Vec<ValueId>, GraphError> {
        let mut total = self.scalar(0.0)?;
        for gradient in gradients {
            let square = self.mul(*gradient, *gradient)?;
            let axes: Vec<u32> = (0..self.shape(square).len() as u32).collect();
            let sum = self.reduce(Reduction::Sum, square, &axes)?;
            let sum = self.reshape(sum, &[])?;
            total = self.add(total, sum)?;
        }
        let norm = self.unary(Unary::Sqrt, total)?;
        let greatest = self.scalar(greatest)?;
        let above = self.binary(Binary::Max, norm, greatest)?;
        let factor = self.div(greatest, above)?;
        gradients.iter().map(|gradient| self.mul(*gradient, factor)).collect()
    }

    fn mix(&mut self, old: ValueId, new: ValueId, keep: f32) -> Result<ValueId, GraphError> {
        let old = self.scale(old, keep)?;
        let new = self.scale(new, 1.0 - keep)?;
        self.add(old, new)
    }
}

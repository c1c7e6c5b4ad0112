//! How the new graph holds a float of the old one.

use std::rc::Rc;

use shoal_compute::Tensor;
use shoal_graph::ValueId;

/// One value of the old graph.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Follows from weights and constants alone.
    Known(Tensor),
    /// An i32 of the old graph, as it is.
    Whole(ValueId),
    Scaled(Scaled),
    Table(Table),
    /// A softmax before it is divided by its sums: bytes, and the i32 sums of the last axis, which stays.
    Softmax {
        weights: ValueId,
        sums: ValueId,
    },
}

/// Integers that stand for real = integer × scale.
#[derive(Debug, Clone)]
pub(crate) struct Scaled {
    pub(crate) value: ValueId,
    pub(crate) scales: Scales,
    /// No integer's magnitude is greater.
    pub(crate) bound: f64,
    /// What is below zero stands for zero: the next scaling cuts it off.
    pub(crate) is_relu: bool,
}

/// One scale for all, or one for each place of an axis. A scale may be negative.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scales {
    pub(crate) axis: Option<usize>,
    pub(crate) values: Rc<[f64]>,
}

impl Scales {
    pub(crate) fn one(scale: f64) -> Self {
        Self { axis: None, values: Rc::new([scale]) }
    }

    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { axis: self.axis, values: self.values.iter().map(|scale| f(*scale)).collect() }
    }

    /// The only scale.
    pub(crate) fn single(&self) -> Option<f64> {
        if self.axis.is_none() { Some(self.values[0]) } else { None }
    }

    /// Combined with numbers along an axis, or one for all; `None` where each goes along its own.
    pub(crate) fn with(&self, other: &Scales, f: impl Fn(f64, f64) -> f64) -> Option<Scales> {
        let axis = match (self.axis, other.axis) {
            (Some(own), Some(axis)) if own != axis => return None,
            (own, axis) => own.or(axis),
        };
        let len = self.values.len().max(other.values.len());
        let at = |values: &[f64], i: usize| values[if values.len() == 1 { 0 } else { i }];
        Some(Scales { axis, values: (0..len).map(|i| f(at(&self.values, i), at(&other.values, i))).collect() })
    }
}

/// A function of one value, tabulated. `places` are indices of the table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) places: ValueId,
    /// What the places were made of.
    pub(crate) root: Option<(ValueId, Scales)>,
    /// The root's real value at each place.
    pub(crate) grid: Rc<[f64]>,
    /// The function's at each place.
    pub(crate) values: Rc<[f64]>,
}

impl Table {
    /// Values, at each place, of what has the root's integers under other scales; `None` for anything else.
    pub(crate) fn of_root(&self, x: &Scaled) -> Option<Rc<[f64]>> {
        let (root, scales) = self.root.as_ref()?;
        if *root != x.value || x.is_relu || scales.axis != x.scales.axis {
            return None;
        }
        let ratio = x.scales.values[0] / scales.values[0];
        let is_one_ratio = x.scales.values.iter().zip(scales.values.iter()).all(|(x, own)| {
            let difference = x / own - ratio;
            difference.abs() <= ratio.abs() * 1e-9
        });
        is_one_ratio.then(|| self.grid.iter().map(|x| x * ratio).collect())
    }
}

/// Where a tensor that broadcasts to `shape` varies: nowhere, or along one axis; `None` where it does so along more.
pub(crate) fn varies_along(own: &[u32], shape: &[u32]) -> Option<Option<usize>> {
    let skipped = shape.len().checked_sub(own.len())?;
    let mut wide = own.iter().enumerate().filter(|(_, dim)| **dim != 1).map(|(axis, _)| axis + skipped);
    match (wide.next(), wide.next()) {
        (first, None) => Some(first),
        _ => None,
    }
}

//! Values while lowering: known, a weight, or made by a node of the graph.

use std::rc::Rc;

use shoal_graph::{Op, ValueId};

use crate::{
    element::Element,
    tensor::{Data, Stored, Tensor, elements},
};

/// A value with its ONNX element type. Made values hold floats as f32 and everything else as i32.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) element: Element,
    pub(crate) shape: Vec<u32>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Its elements are known.
    Known(Rc<Known>),
    /// An initialiser by name, an input of the graph once something reads it.
    Weight(Rc<str>),
    /// Made by a node, or a run-time input.
    Made(ValueId),
}

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) data: Data,
    pub(crate) origin: Origin,
}

/// Where a known value can be had from at run time, should it be too large to be part of the graph.
#[derive(Debug)]
pub(crate) enum Origin {
    None,
    Weight(Rc<str>),
    Recipe { op: Op, inputs: Vec<Value>, depth: usize },
}

/// Longest chain of operations that is repeated at run time.
pub(crate) const MAX_RECIPE_DEPTH: usize = 64;

impl Value {
    pub(crate) fn known(tensor: Tensor, origin: Origin) -> Self {
        let Tensor { element, shape, data } = tensor;
        Self { element, shape, kind: Kind::Known(Rc::new(Known { data, origin })) }
    }

    pub(crate) fn weight(name: &str, stored: &Stored) -> Self {
        Self { element: stored.element(), shape: stored.shape().to_vec(), kind: Kind::Weight(Rc::from(name)) }
    }

    pub(crate) fn of(tensor: Tensor) -> Self {
        Self::known(tensor, Origin::None)
    }

    /// A known list of integers.
    pub(crate) fn i64s(values: impl IntoIterator<Item = i64>) -> Self {
        let values: Vec<i64> = values.into_iter().collect();
        Self::of(Tensor::integers(Element::I64, [values.len() as u32], values))
    }

    /// A known scalar of some element type.
    pub(crate) fn scalar(element: Element, value: f64) -> Self {
        let data = if element.is_float() { Data::Floats(vec![value]) } else { Data::Integers(vec![value as i64]) };
        Self::of(Tensor { element, shape: vec![], data })
    }

    pub(crate) fn data(&self) -> Option<&Data> {
        match &self.kind {
            Kind::Known(known) => Some(&known.data),
            _ => None,
        }
    }

    /// Known integers.
    pub(crate) fn integers(&self) -> Option<&[i64]> {
        match self.data() {
            Some(Data::Integers(values)) => Some(values),
            _ => None,
        }
    }

    /// The number that all its known elements are.
    pub(crate) fn uniform(&self) -> Option<f64> {
        match self.data()? {
            Data::Floats(values) => {
                let first = *values.first()?;
                values.iter().all(|x| x.to_bits() == first.to_bits()).then_some(first)
            }
            Data::Integers(values) => {
                let first = *values.first()?;
                values.iter().all(|x| *x == first).then_some(first as f64)
            }
        }
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(crate) fn elements(&self) -> u64 {
        elements(&self.shape)
    }

    pub(crate) fn depth(&self) -> usize {
        match &self.kind {
            Kind::Known(known) => match &known.origin {
                Origin::Recipe { depth, .. } => *depth,
                _ => 0,
            },
            _ => 0,
        }
    }
}

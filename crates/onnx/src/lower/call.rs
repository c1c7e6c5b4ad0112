//! One node as its lowering function sees it: inputs, attributes, and what is asked of it.

use super::{
    context::{Lowering, Made},
    value::Value,
};
use crate::{
    element::Element,
    error::NodeError,
    proto::{AttributeProto, NodeProto},
    tensor::{Data, elements},
};

pub(crate) struct Call<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) inputs: Vec<Option<Value>>,
    /// Version of the operator set.
    pub(super) version: i64,
}

impl Call<'_> {
    pub(super) fn op(&self) -> &str {
        self.node.op_type()
    }

    /// Number of outputs that the node names.
    pub(super) fn outputs(&self) -> usize {
        self.node.output.len()
    }

    pub(super) fn wants(&self, output: usize) -> bool {
        self.node.output.get(output).is_some_and(|name| !name.is_empty())
    }

    pub(super) fn input(&self, index: usize) -> Result<&Value, NodeError> {
        self.optional(index).ok_or_else(|| NodeError::MissingInput { index, name: self.name(index) })
    }

    pub(super) fn optional(&self, index: usize) -> Option<&Value> {
        self.inputs.get(index)?.as_ref()
    }

    /// All inputs of an operator that takes any number.
    pub(super) fn all(&self) -> Result<Vec<Value>, NodeError> {
        (0..self.inputs.len()).map(|index| self.input(index).cloned()).collect()
    }

    fn name(&self, index: usize) -> String {
        self.node.input.get(index).cloned().unwrap_or_default()
    }

    /// The integers of an input that must be known.
    pub(super) fn integers(&self, low: &Lowering<'_>, index: usize) -> Result<Vec<i64>, NodeError> {
        match low.known(self.input(index)?)? {
            Some(Data::Integers(values)) => Ok(values),
            Some(Data::Floats(_)) => Err(NodeError::WrongElement { index, found: Element::F32 }),
            None => Err(NodeError::NotConstant { index, name: self.name(index) }),
        }
    }

    pub(super) fn optional_integers(&self, low: &Lowering<'_>, index: usize) -> Result<Option<Vec<i64>>, NodeError> {
        self.optional(index).map(|_| self.integers(low, index)).transpose()
    }

    /// The numbers of an input that must be known.
    pub(super) fn numbers(&self, low: &Lowering<'_>, index: usize) -> Result<Vec<f64>, NodeError> {
        match low.known(self.input(index)?)? {
            Some(Data::Integers(values)) => Ok(values.into_iter().map(|x| x as f64).collect()),
            Some(Data::Floats(values)) => Ok(values),
            None => Err(NodeError::NotConstant { index, name: self.name(index) }),
        }
    }

    /// Integers that older versions have as an attribute, newer ones as an input.
    pub(super) fn list(&self, low: &Lowering<'_>, name: &str, index: usize) -> Result<Option<Vec<i64>>, NodeError> {
        match self.ints(name) {
            Some(values) => Ok(Some(values.to_vec())),
            None => self.optional_integers(low, index),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name() == name)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name).and_then(|attribute| attribute.f).map_or(default, f64::from)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    pub(super) fn text<'b>(&'b self, name: &str, default: &'b str) -> &'b str {
        let bytes = self.attribute(name).and_then(|attribute| attribute.s.as_deref());
        bytes.map_or(default, |bytes| std::str::from_utf8(bytes).unwrap_or(""))
    }

    pub(super) fn refuse(&self, name: &'static str, reason: &'static str) -> NodeError {
        let found = match self.attribute(name) {
            Some(attribute) if attribute.s.is_some() => self.text(name, "").chars().take(64).collect(),
            Some(attribute) if !attribute.ints.is_empty() => {
                format!("{:?}", &attribute.ints[..attribute.ints.len().min(8)])
            }
            Some(attribute) => attribute.i.map_or_else(|| attribute.f().to_string(), |i| i.to_string()),
            None => "its default".to_owned(),
        };
        NodeError::BadAttribute { name, found, reason }
    }

    /// An input that must be of a float type.
    pub(super) fn floats(&self, index: usize) -> Result<&Value, NodeError> {
        let value = self.input(index)?;
        if value.element.is_float() {
            return Ok(value);
        }
        Err(NodeError::WrongElement { index, found: value.element })
    }

    pub(super) fn shapes(&self, index: usize, other: impl IntoIterator<Item = i64>, reason: &'static str) -> NodeError {
        let shape = self.optional(index).map(|value| value.shape.clone()).unwrap_or_default();
        NodeError::Shapes { index, shape, other: other.into_iter().collect(), reason }
    }

    /// The attribute `axis` as an axis of x.
    pub(super) fn axis(&self, default: i64, x: &Value) -> Result<usize, NodeError> {
        axis(self.int("axis", default), &x.shape)
    }
}

/// An axis that may count from the end.
pub(super) fn axis(axis: i64, shape: &[u32]) -> Result<usize, NodeError> {
    let rank = shape.len() as i64;
    let at = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if (0..rank).contains(&at) { Ok(at as usize) } else { Err(NodeError::Axis { axis, shape: shape.to_vec() }) }
}

/// Axes that may count from the end, ascending, each once.
pub(super) fn axes(given: &[i64], shape: &[u32]) -> Result<Vec<usize>, NodeError> {
    let mut axes = given.iter().map(|one| axis(*one, shape)).collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// Dimensions that become one.
pub(super) fn dim(dims: &[u32]) -> Result<u32, NodeError> {
    let product = elements(dims);
    let (found, limit) = (product, u32::MAX.into());
    u32::try_from(product).map_err(|_| NodeError::TooLarge { what: "dimension", found, limit })
}

/// One result.
pub(super) fn one(made: Made) -> Result<Vec<Value>, NodeError> {
    made.map(|value| vec![value])
}

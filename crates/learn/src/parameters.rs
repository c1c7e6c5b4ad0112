//! Named f32 tensors: what a model's parameters, a client's new parameters and a gradient all are. Bytes are not this
//! crate's business; `shoal-compute` reads and writes safetensors.

use std::collections::BTreeMap;

use crate::error::LearnError;

/// One tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u32>,
    /// Elements, as many as the product of the dimensions.
    pub values: Vec<f32>,
}

/// Tensors by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    /// From names, shapes and values.
    ///
    /// # Errors
    /// [`LearnError::Length`] for a tensor whose values do not fill its shape, [`LearnError::DuplicateTensor`] for a
    /// name that comes twice.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<u32>, Vec<f32>)>) -> Result<Self, LearnError> {
        let mut named = BTreeMap::new();
        for (name, shape, values) in tensors {
            let elements = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim as usize));
            if elements != Some(values.len()) {
                return Err(LearnError::Length { name, shape, values: values.len() });
            }
            if named.contains_key(&name) {
                return Err(LearnError::DuplicateTensor { name });
            }
            named.insert(name, Parameter { shape, values });
        }
        Ok(Self(named))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }

    /// Names and tensors in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0.iter().map(|(name, parameter)| (name.as_str(), parameter))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Same names and shapes, different values.
    pub(crate) fn with_values(&self, mut values: impl FnMut(&str) -> Vec<f32>) -> Self {
        let map = |(name, old): (&String, &Parameter)| {
            (name.clone(), Parameter { shape: old.shape.clone(), values: values(name) })
        };
        Self(self.0.iter().map(map).collect())
    }
}

impl IntoIterator for Parameters {
    type Item = (String, Parameter);
    type IntoIter = std::collections::btree_map::IntoIter<String, Parameter>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

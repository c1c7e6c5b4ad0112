//! Small tensors that are part of a graph.

use super::{DType, TensorType, elements};
use crate::{error::GraphError, limits::MAX_LITERAL_BYTES};

/// A constant tensor: its elements, row-major and little-endian.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    pub(crate) tensor_type: TensorType,
    pub(crate) bytes: Vec<u8>,
}

impl Literal {
    /// An f32 scalar.
    pub fn scalar(value: f32) -> Self {
        Self { tensor_type: TensorType::f32([]), bytes: value.to_le_bytes().to_vec() }
    }

    /// An i32 scalar.
    pub fn integer(value: i32) -> Self {
        Self { tensor_type: TensorType::i32([]), bytes: value.to_le_bytes().to_vec() }
    }

    /// An f32 tensor.
    pub fn f32(shape: impl Into<Vec<u32>>, values: &[f32]) -> Self {
        Self { tensor_type: TensorType::f32(shape), bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect() }
    }

    /// An i32 tensor.
    pub fn i32(shape: impl Into<Vec<u32>>, values: &[i32]) -> Self {
        Self { tensor_type: TensorType::i32(shape), bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect() }
    }

    /// From its bytes; the graph checks that they fit.
    pub fn from_bytes(tensor_type: TensorType, bytes: Vec<u8>) -> Self {
        Self { tensor_type, bytes }
    }

    /// Element type and shape.
    pub fn tensor_type(&self) -> &TensorType {
        &self.tensor_type
    }

    /// Elements, row-major and little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Elements of an f32 literal; none for other types.
    pub fn f32_values(&self) -> impl Iterator<Item = f32> + '_ {
        let bytes = if self.tensor_type.dtype == DType::F32 { self.bytes.as_slice() } else { &[] };
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Elements of an i32 literal; none for other types.
    pub fn i32_values(&self) -> impl Iterator<Item = i32> + '_ {
        let bytes = if self.tensor_type.dtype == DType::I32 { self.bytes.as_slice() } else { &[] };
        bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }

    pub(crate) fn check(&self) -> Result<(), GraphError> {
        self.tensor_type.check()?;
        let (found, limit) = (self.bytes.len() as u64, MAX_LITERAL_BYTES as u64);
        if found > limit {
            return Err(GraphError::TooLarge { what: "constant in bytes", found, limit });
        }
        let expected = elements(&self.tensor_type.shape).saturating_mul(self.tensor_type.dtype.bytes());
        if found != expected {
            return Err(GraphError::LiteralLength { shape: self.tensor_type.shape.clone(), expected, found });
        }
        match self.f32_values().find(|value| value.is_nan()) {
            Some(value) => Err(GraphError::NonFiniteAttribute { op: "constant", value }),
            None => Ok(()),
        }
    }
}

//! Weights from and to safetensors files.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors, View, tensor::serialize};
use shoal_graph::DType;

use crate::{
    element::Element,
    error::{OnnxError, TensorError},
    limits::MAX_HEADER_BYTES,
    tensor::{Stored, Weight},
};

const DTYPES: [(Dtype, Element); 13] = [
    (Dtype::F32, Element::F32),
    (Dtype::F16, Element::F16),
    (Dtype::BF16, Element::Bf16),
    (Dtype::F64, Element::F64),
    (Dtype::I8, Element::I8),
    (Dtype::I16, Element::I16),
    (Dtype::I32, Element::I32),
    (Dtype::I64, Element::I64),
    (Dtype::U8, Element::U8),
    (Dtype::U16, Element::U16),
    (Dtype::U32, Element::U32),
    (Dtype::U64, Element::U64),
    (Dtype::BOOL, Element::Bool),
];

/// Tensors of a safetensors file by name, each a slice of the file's bytes. [`Stored::weight`] makes them what a graph
/// takes.
///
/// # Errors
/// [`OnnxError::BadSafetensors`], [`OnnxError::TooLarge`] for the header, [`OnnxError::BadTensor`] for element types and
/// shapes that are not read.
pub fn read_safetensors(bytes: &Bytes) -> Result<BTreeMap<String, Stored>, OnnxError> {
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if header > MAX_HEADER_BYTES {
        return Err(OnnxError::TooLarge { what: "header in bytes", found: header, limit: MAX_HEADER_BYTES });
    }
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| OnnxError::BadSafetensors { reason: error.to_string() })?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let bad = |reason| OnnxError::BadTensor { tensor: name.to_owned(), reason };
        let element = DTYPES.iter().find(|(dtype, _)| *dtype == view.dtype()).map(|(_, element)| *element);
        let element =
            element.ok_or_else(|| OnnxError::BadSafetensors { reason: format!("{:?} is not read", view.dtype()) })?;
        let shape = view.shape().iter().map(|dim| u32::try_from(*dim)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| bad(TensorError::Shape(view.shape().iter().map(|dim| *dim as i64).collect())))?;
        let stored = Stored::new(element, shape, bytes.slice_ref(view.data())).map_err(bad)?;
        tensors.insert(name.to_owned(), stored);
    }
    Ok(tensors)
}

/// A safetensors file of weights, without metadata.
///
/// # Errors
/// [`OnnxError::BadSafetensors`] where a weight's bytes are not its shape's.
pub fn write_safetensors<'a>(weights: impl IntoIterator<Item = (&'a str, &'a Weight)>) -> Result<Vec<u8>, OnnxError> {
    let tensors: Vec<(&str, Written<'_>)> =
        weights.into_iter().map(|(name, weight)| (name, Written::of(weight))).collect();
    serialize(tensors, None).map_err(|error| OnnxError::BadSafetensors { reason: error.to_string() })
}

struct Written<'a> {
    weight: &'a Weight,
    shape: Vec<usize>,
}

impl<'a> Written<'a> {
    fn of(weight: &'a Weight) -> Self {
        Self { weight, shape: weight.tensor_type.shape.iter().map(|dim| *dim as usize).collect() }
    }
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        match self.weight.tensor_type.dtype {
            DType::F32 => Dtype::F32,
            DType::I32 => Dtype::I32,
            DType::I8 => Dtype::I8,
            DType::U8 => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.weight.bytes)
    }

    fn data_len(&self) -> usize {
        self.weight.bytes.len()
    }
}

//! Tensors: as a file stores them ([`Stored`], a slice of its bytes), and decoded, for what is evaluated while lowering
//! ([`Tensor`]).

use bytes::Bytes;
use prost::Message;
use shoal_graph::TensorType;

use crate::{
    element::Element,
    error::{OnnxError, TensorError},
    limits::MAX_RANK,
    proto::{self, TensorProto},
    scan,
};

/// A tensor as stored: little-endian elements in row-major order, not yet decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    element: Element,
    shape: Vec<u32>,
    bytes: Bytes,
}

/// A decoded tensor. Unlike a graph's, it may have dimensions of zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Element type.
    pub element: Element,
    /// Dimensions.
    pub shape: Vec<u32>,
    /// Elements, as many as the shape says.
    pub data: Data,
}

/// Elements: floats of any width, or integers and truth values of any width.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Of a float type.
    Floats(Vec<f64>),
    /// Of an integer type; truth values are 0 and 1.
    Integers(Vec<i64>),
}

/// A weight as a graph takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Element type and shape of the graph's input.
    pub tensor_type: TensorType,
    /// Elements, row-major and little-endian.
    pub bytes: Bytes,
}

impl Stored {
    /// From its parts.
    ///
    /// # Errors
    /// [`TensorError::Length`] where the bytes are not the shape's.
    pub fn new(element: Element, shape: Vec<u32>, bytes: Bytes) -> Result<Self, TensorError> {
        let expected = elements(&shape);
        if Some(bytes.len() as u64) != expected.checked_mul(element.bytes() as u64) {
            return Err(TensorError::Length { expected, found: (bytes.len() / element.bytes()) as u64 });
        }
        Ok(Self { element, shape, bytes })
    }

    /// From a message of type TensorProto by itself, as ONNX's tests keep tensors: its name and value.
    ///
    /// # Errors
    /// [`OnnxError::Malformed`], [`OnnxError::TooLarge`], [`OnnxError::ExternalData`] and [`OnnxError::BadTensor`].
    pub fn read(bytes: impl Into<Bytes>) -> Result<(String, Self), OnnxError> {
        let bytes = bytes.into();
        scan::check_tensor(&bytes)?;
        let length = bytes.len();
        let tensor = TensorProto::decode(bytes)
            .map_err(|error| OnnxError::Malformed { bytes: length, reason: error.to_string() })?;
        let name = tensor.name().to_owned();
        if is_external(&tensor) {
            return Err(OnnxError::ExternalData { tensor: name, location: String::new() });
        }
        match Self::from_proto(&tensor) {
            Ok(stored) => Ok((name, stored)),
            Err(reason) => Err(OnnxError::BadTensor { tensor: name, reason }),
        }
    }

    /// From a message whose bytes are in it.
    pub(crate) fn from_proto(tensor: &TensorProto) -> Result<Self, TensorError> {
        let element = Element::from_number(tensor.data_type())?;
        let shape = shape_from_dims(&tensor.dims)?;
        if let Some(raw) = &tensor.raw_data {
            return Self::new(element, shape, raw.clone());
        }
        let bytes = match element {
            Element::F32 => le(&tensor.float_data, |x| x.to_le_bytes()),
            Element::F64 => le(&tensor.double_data, |x| x.to_le_bytes()),
            Element::I64 => le(&tensor.int64_data, |x| x.to_le_bytes()),
            Element::U64 => le(&tensor.uint64_data, |x| x.to_le_bytes()),
            Element::U32 => le(&tensor.uint64_data, |x| (x as u32).to_le_bytes()),
            Element::I32 => le(&tensor.int32_data, |x| x.to_le_bytes()),
            Element::U16 | Element::I16 | Element::F16 | Element::Bf16 => {
                le(&tensor.int32_data, |x| (x as u16).to_le_bytes())
            }
            Element::U8 | Element::I8 | Element::Bool => le(&tensor.int32_data, |x| [x as u8]),
        };
        Self::new(element, shape, bytes.into())
    }

    /// Element type.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Dimensions.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Little-endian elements as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.element.bytes()
    }

    /// Decodes it.
    pub fn decode(&self) -> Tensor {
        let each = self.bytes.chunks_exact(self.element.bytes());
        let data = if self.element.is_float() {
            Data::Floats(each.map(|bytes| self.element.read_float(bytes)).collect())
        } else {
            Data::Integers(each.map(|bytes| self.element.read_integer(bytes)).collect())
        };
        Tensor { element: self.element, shape: self.shape.clone(), data }
    }

    /// As a graph takes it: floats as f32, 8-bit integers as they are, all others as i32.
    ///
    /// # Errors
    /// [`TensorError::Range`] for an integer that 32 bits do not hold.
    pub fn weight(&self) -> Result<Weight, TensorError> {
        let tensor_type = TensorType::new(self.element.stored(), self.shape.clone());
        let bytes = match self.element {
            Element::F32 | Element::I32 | Element::U8 | Element::I8 => self.bytes.clone(),
            element => {
                let each = self.bytes.chunks_exact(element.bytes());
                let mut bytes = Vec::with_capacity(self.elements() * 4);
                for one in each {
                    bytes.extend_from_slice(&if element.is_float() {
                        (element.read_float(one) as f32).to_le_bytes()
                    } else {
                        narrow(element.read_integer(one))?.to_le_bytes()
                    });
                }
                bytes.into()
            }
        };
        Ok(Weight { tensor_type, bytes })
    }
}

impl Tensor {
    /// Integers.
    pub fn integers(element: Element, shape: impl Into<Vec<u32>>, values: Vec<i64>) -> Self {
        Self { element, shape: shape.into(), data: Data::Integers(values) }
    }

    /// Floats.
    pub fn floats(shape: impl Into<Vec<u32>>, values: Vec<f64>) -> Self {
        Self { element: Element::F32, shape: shape.into(), data: Data::Floats(values) }
    }
}

impl Data {
    /// As a graph takes them, all integers as i32.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, TensorError> {
        match self {
            Self::Floats(values) => Ok(values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()),
            Self::Integers(values) => {
                let mut bytes = Vec::with_capacity(values.len() * 4);
                for value in values {
                    bytes.extend_from_slice(&narrow(*value)?.to_le_bytes());
                }
                Ok(bytes)
            }
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Weight {
    /// A float weight.
    pub fn f32(shape: impl Into<Vec<u32>>, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { tensor_type: TensorType::f32(shape), bytes: bytes.into() }
    }
}

/// Product of the dimensions, saturating.
pub(crate) fn elements(shape: &[u32]) -> u64 {
    shape.iter().fold(1u64, |product, dim| product.saturating_mul(u64::from(*dim)))
}

/// Places that walking a shape visits: its elements, empty dimensions counted as one.
pub(crate) fn places(shape: &[u32]) -> u64 {
    shape.iter().fold(1u64, |product, dim| product.saturating_mul(u64::from(*dim).max(1)))
}

pub(crate) fn shape_from_dims(dims: &[i64]) -> Result<Vec<u32>, TensorError> {
    let refused = || TensorError::Shape(dims.iter().copied().take(MAX_RANK).collect());
    if dims.len() > MAX_RANK {
        return Err(refused());
    }
    dims.iter().map(|dim| u32::try_from(*dim).map_err(|_| refused())).collect()
}

/// Whether a message's bytes lie in another file.
pub(crate) fn is_external(tensor: &proto::TensorProto) -> bool {
    tensor.data_location() == 1
}

fn narrow(value: i64) -> Result<i32, TensorError> {
    i32::try_from(value).map_err(|_| TensorError::Range(value))
}

fn le<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

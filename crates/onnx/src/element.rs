//! ONNX's element types, what a graph holds them as, and how they are read from and written to little-endian bytes.

use half::{bf16, f16};
use shoal_graph::DType;

use crate::error::TensorError;

/// Element type of a tensor in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Element {
    F32,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    Bool,
    F16,
    F64,
    U32,
    U64,
    Bf16,
}

/// ONNX's number of each.
const NUMBERS: [(Element, i32); 13] = [
    (Element::F32, 1),
    (Element::U8, 2),
    (Element::I8, 3),
    (Element::U16, 4),
    (Element::I16, 5),
    (Element::I32, 6),
    (Element::I64, 7),
    (Element::Bool, 9),
    (Element::F16, 10),
    (Element::F64, 11),
    (Element::U32, 12),
    (Element::U64, 13),
    (Element::Bf16, 16),
];

impl Element {
    /// By ONNX's number.
    ///
    /// # Errors
    /// [`TensorError::Element`] for a type that is not read.
    pub fn from_number(number: i32) -> Result<Self, TensorError> {
        let found = NUMBERS.iter().find(|(_, own)| *own == number);
        found.map(|(element, _)| *element).ok_or(TensorError::Element(number))
    }

    /// ONNX's number.
    pub fn number(self) -> i32 {
        NUMBERS.iter().find(|(element, _)| *element == self).map_or(0, |(_, number)| *number)
    }

    /// Bytes of one element in a file.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether a graph holds it as f32.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::F64 | Self::Bf16)
    }

    /// Least and greatest integer of the type, as far as an i64 goes; none for floats.
    pub fn range(self) -> Option<(i64, i64)> {
        Some(match self {
            Self::U8 => (0, u8::MAX.into()),
            Self::I8 => (i8::MIN.into(), i8::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::I16 => (i16::MIN.into(), i16::MAX.into()),
            Self::I32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::I64 => (i64::MIN, i64::MAX),
            Self::U64 => (0, i64::MAX),
            Self::Bool => (0, 1),
            _ => return None,
        })
    }

    /// What a graph's input of this type holds. Within a graph all integers are i32.
    pub fn stored(self) -> DType {
        match self {
            Self::U8 => DType::U8,
            Self::I8 => DType::I8,
            _ if self.is_float() => DType::F32,
            _ => DType::I32,
        }
    }

    /// One float of little-endian bytes.
    pub(crate) fn read_float(self, bytes: &[u8]) -> f64 {
        match self {
            Self::F32 => f32::from_le_bytes(exact(bytes)).into(),
            Self::F16 => f16::from_le_bytes(exact(bytes)).into(),
            Self::Bf16 => bf16::from_le_bytes(exact(bytes)).into(),
            Self::F64 => f64::from_le_bytes(exact(bytes)),
            _ => self.read_integer(bytes) as f64,
        }
    }

    /// One integer of little-endian bytes; u64 beyond i64 wraps.
    pub(crate) fn read_integer(self, bytes: &[u8]) -> i64 {
        match self {
            Self::U8 => u8::from_le_bytes(exact(bytes)).into(),
            Self::Bool => i64::from(bytes != [0]),
            Self::I8 => i8::from_le_bytes(exact(bytes)).into(),
            Self::U16 => u16::from_le_bytes(exact(bytes)).into(),
            Self::I16 => i16::from_le_bytes(exact(bytes)).into(),
            Self::I32 => i32::from_le_bytes(exact(bytes)).into(),
            Self::U32 => u32::from_le_bytes(exact(bytes)).into(),
            Self::I64 | Self::U64 => i64::from_le_bytes(exact(bytes)),
            _ => self.read_float(bytes) as i64,
        }
    }

    /// The nearest number of the type: floats of 16 bits are rounded, integers wrap.
    pub(crate) fn round(self, value: f64) -> f64 {
        match self {
            Self::F32 => f64::from(value as f32),
            Self::F16 => f16::from_f64(value).into(),
            Self::Bf16 => bf16::from_f64(value).into(),
            _ => value,
        }
    }

    /// The integer of the type with the same low bits.
    pub(crate) fn wrap(self, value: i64) -> i64 {
        match self {
            Self::U8 => i64::from(value as u8),
            Self::I8 => i64::from(value as i8),
            Self::U16 => i64::from(value as u16),
            Self::I16 => i64::from(value as i16),
            Self::I32 => i64::from(value as i32),
            Self::U32 => i64::from(value as u32),
            Self::Bool => i64::from(value != 0),
            _ => value,
        }
    }

    /// Whether arithmetic in i32 must be wrapped to the type.
    pub(crate) fn is_narrow(self) -> bool {
        matches!(self, Self::U8 | Self::I8 | Self::U16 | Self::I16)
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller splits by Element::bytes")
}

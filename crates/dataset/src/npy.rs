//! The header of NPY files, versions 1 to 3 of `numpy.lib.format`: a magic number, and a Python dictionary of element
//! type, order and shape. Little-endian numbers in C order are read, `f4` and `i4` are written.

use std::io::{self, Read};

use thiserror::Error;

use crate::limits::{MAX_DIMENSIONS, MAX_NPY_HEADER_BYTES};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Where the data begins is a multiple of this.
const ALIGNMENT: usize = 64;
/// Magic, version and length of a header of version 1.
const PREFIX_BYTES: usize = 10;

/// Why an NPY file cannot be read.
#[derive(Debug, Error)]
pub enum NpyError {
    /// The system refused, or the file ends in its header.
    #[error("header: {0}")]
    Io(#[from] io::Error),
    /// Other first bytes than NumPy's.
    #[error("not an NPY file")]
    Magic,
    /// A version that does not exist.
    #[error("NPY version {0}")]
    Version(u8),
    /// A header longer than NumPy reads.
    #[error("header of {got} bytes, the limit is {MAX_NPY_HEADER_BYTES}")]
    HeaderLength {
        /// Its length.
        got: usize,
    },
    /// A header that is not the dictionary that NumPy writes.
    #[error("header has no valid {0}")]
    Header(&'static str),
    /// Elements that are not numbers, or big-endian ones.
    #[error("elements of type {0} are not read")]
    Type(String),
    /// Columns first.
    #[error("Fortran order is not read; numpy.ascontiguousarray turns it")]
    FortranOrder,
    /// An array without rows, or with rows without elements, or larger than a machine addresses.
    #[error("an array of shape {0:?} has no rows to read")]
    Shape(Vec<u64>),
}

/// Type of an element in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
}

impl Dtype {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "|b1" => Self::Bool,
            "|i1" => Self::I8,
            "<i2" => Self::I16,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            "|u1" => Self::U8,
            "<u2" => Self::U16,
            "<u4" => Self::U32,
            "<u8" => Self::U64,
            "<f2" => Self::F16,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            _ => return None,
        })
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl Header {
    /// Reads up to where the data begins.
    pub(crate) fn read(input: &mut impl Read) -> Result<Self, NpyError> {
        let mut start = [0; 8];
        input.read_exact(&mut start)?;
        if !start.starts_with(MAGIC) {
            return Err(NpyError::Magic);
        }
        let length = match start[6] {
            1 => u16::from_le_bytes(read_array(input)?).into(),
            2 | 3 => u32::from_le_bytes(read_array(input)?) as usize,
            version => return Err(NpyError::Version(version)),
        };
        if length > MAX_NPY_HEADER_BYTES {
            return Err(NpyError::HeaderLength { got: length });
        }
        let mut dictionary = vec![0; length];
        input.read_exact(&mut dictionary)?;
        Self::parse(std::str::from_utf8(&dictionary).map_err(|_| NpyError::Header("text"))?)
    }

    fn parse(dictionary: &str) -> Result<Self, NpyError> {
        let value = |key| {
            let (_, rest) = dictionary.split_once(&format!("'{key}':"))?;
            Some(rest.trim_start())
        };
        let descr = value("descr").ok_or(NpyError::Header("descr"))?;
        let Some((name, _)) = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) else {
            return Err(NpyError::Type("structured".to_owned()));
        };
        let dtype = Dtype::parse(name).ok_or_else(|| NpyError::Type(name.to_owned()))?;
        let shape = value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
        let (extents, _) = shape.ok_or(NpyError::Header("shape"))?;
        let extents = extents.split(',').map(str::trim).filter(|extent| !extent.is_empty());
        let shape: Result<Vec<u64>, _> = extents.map(str::parse).collect();
        let shape = shape.map_err(|_| NpyError::Header("shape"))?;
        if shape.len() > MAX_DIMENSIONS {
            return Err(NpyError::Shape(shape));
        }
        match value("fortran_order").ok_or(NpyError::Header("fortran_order"))? {
            // One dimension has the same order in both.
            order if order.starts_with("True") && shape.len() > 1 => Err(NpyError::FortranOrder),
            order if order.starts_with("True") || order.starts_with("False") => Ok(Self { dtype, shape }),
            _ => Err(NpyError::Header("fortran_order")),
        }
    }

    /// A header of `rows` rows that takes as many bytes whatever their number, so that it can be written again.
    pub(crate) fn encode(dtype: Dtype, rows: u64, row_shape: &[u32]) -> Vec<u8> {
        let descr = if dtype == Dtype::I32 { "<i4" } else { "<f4" };
        let shape: String = row_shape.iter().map(|extent| format!(" {extent},")).collect();
        let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows},{shape}), }}");
        let longest = dictionary.len() + 20 - rows.to_string().len();
        let length = (PREFIX_BYTES + longest + 1).next_multiple_of(ALIGNMENT) - PREFIX_BYTES;
        let mut header = MAGIC.to_vec();
        header.extend([1, 0]);
        header.extend((length as u16).to_le_bytes());
        header.extend(format!("{dictionary:<width$}\n", width = length - 1).into_bytes());
        header
    }
}

fn read_array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_headers_read_back_and_never_change_their_length() {
        for shape in [vec![], vec![384], vec![512, 384], vec![u32::MAX; 7]] {
            let lengths = [0, 1, 10_000, u64::MAX].map(|rows| {
                let bytes = Header::encode(Dtype::F32, rows, &shape);
                let header = Header::read(&mut &bytes[..]).unwrap();
                assert_eq!(header.shape[0], rows);
                assert!(
                    header.shape[1..].iter().eq(shape
                        .iter()
                        .map(|&extent| u64::from(extent))
                        .collect::<Vec<_>>()
                        .iter())
                );
                assert_eq!(bytes.len() % ALIGNMENT, 0);
                bytes.len()
            });
            assert!(lengths.iter().all(|&length| length == lengths[0]), "{lengths:?}");
        }
    }

    #[test]
    fn broken_headers_are_errors() {
        let with = |dictionary: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((dictionary.len() as u16).to_le_bytes());
            bytes.extend(dictionary.as_bytes());
            Header::read(&mut &bytes[..])
        };
        assert!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }").is_ok());
        assert!(matches!(with("{'descr': '>f4', 'fortran_order': False, 'shape': (3,)}"), Err(NpyError::Type(_))));
        assert!(matches!(with("{'descr': [('a', '<f4')], 'shape': (3,)}"), Err(NpyError::Type(_))));
        assert!(matches!(
            with("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}"),
            Err(NpyError::FortranOrder)
        ));
        assert!(matches!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}"), Err(NpyError::Header(_))));
        assert!(matches!(with("{'descr': '<f4', 'fortran_order': False, 'shape': (3"), Err(NpyError::Header(_))));
        assert!(matches!(with("{}"), Err(NpyError::Header(_))));
        assert!(matches!(Header::read(&mut &b"PK\x03\x04abcdefgh"[..]), Err(NpyError::Magic)));
        assert!(matches!(
            Header::read(&mut &b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]),
            Err(NpyError::HeaderLength { .. })
        ));
        assert!(matches!(Header::read(&mut &b"\x93NUM"[..]), Err(NpyError::Io(_))));
    }
}

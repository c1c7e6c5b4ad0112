//! Rows of one NumPy array: its first dimension. The header's word is checked against the length of the file before
//! anything is allocated.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use half::f16;

use super::{Format, RawRow, Rows};
use crate::limits::MAX_ROW_ELEMENTS;
use crate::npy::{Dtype, Header, NpyError};
use crate::{Array, DatasetError, Elements, Reason, Value};

const COLUMN: &str = "data";

pub(super) struct NpyRows {
    path: PathBuf,
    input: BufReader<File>,
    dtype: Dtype,
    row_shape: Vec<u32>,
    /// As the header promises.
    rows: u64,
    /// As the file has.
    whole_rows: u64,
    next: u64,
    row: Vec<u8>,
}

impl NpyRows {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io(path))?;
        let file_bytes = file.metadata().map_err(DatasetError::io(path))?.len();
        let mut input = BufReader::new(file);
        let npy = |source| DatasetError::Npy { path: path.to_owned(), source };
        let header = Header::read(&mut input).map_err(npy)?;
        let data_bytes = file_bytes.saturating_sub(input.stream_position().map_err(DatasetError::io(path))?);
        let (rows, row_shape, elements) = split(&header.shape).ok_or_else(|| npy(NpyError::Shape(header.shape)))?;
        if elements > MAX_ROW_ELEMENTS as u64 {
            return Err(DatasetError::Limit {
                what: "numbers of a row",
                got: elements,
                limit: MAX_ROW_ELEMENTS as u64,
            });
        }
        let row_bytes = elements * header.dtype.bytes() as u64;
        let whole_rows = (data_bytes / row_bytes).min(rows);
        let row = if whole_rows == 0 { Vec::new() } else { vec![0; row_bytes as usize] };
        Ok(Self { path: path.to_owned(), input, dtype: header.dtype, row_shape, rows, whole_rows, next: 0, row })
    }
}

/// Rows, shape of a row and elements of a row, if there are any.
fn split(shape: &[u64]) -> Option<(u64, Vec<u32>, u64)> {
    let (&rows, row_shape) = shape.split_first()?;
    let elements = row_shape.iter().try_fold(1u64, |count, &extent| count.checked_mul(extent))?;
    let row_shape: Result<Vec<u32>, _> = row_shape.iter().map(|&extent| extent.try_into()).collect();
    (elements > 0).then_some((rows, row_shape.ok()?, elements))
}

impl Rows for NpyRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        if self.next == self.rows {
            return Ok(None);
        }
        let place = format!("row {}", self.next);
        if self.next == self.whole_rows {
            let detail = format!("the header promises {} rows", self.rows);
            return Err(DatasetError::Broken { path: self.path.clone(), place, format: Format::Npy, detail });
        }
        self.input.read_exact(&mut self.row).map_err(DatasetError::io(&self.path))?;
        self.next += 1;
        let fields = elements(self.dtype, &self.row).map(|data| {
            let array = Array::new(self.row_shape.clone(), data).expect("a row has as many elements as its shape");
            vec![(COLUMN.to_owned(), Value::Numbers(array))]
        });
        Ok(Some(RawRow { place, fields }))
    }
}

fn elements(dtype: Dtype, bytes: &[u8]) -> Result<Elements, Reason> {
    Ok(match dtype {
        Dtype::Bool => Elements::I32(bytes.iter().map(|&byte| (byte != 0).into()).collect()),
        Dtype::U8 => Elements::I32(bytes.iter().map(|&byte| byte.into()).collect()),
        Dtype::I8 => Elements::I32(bytes.iter().map(|&byte| (byte as i8).into()).collect()),
        Dtype::I16 => Elements::I32(each(bytes, |bytes| i16::from_le_bytes(bytes).into())),
        Dtype::U16 => Elements::I32(each(bytes, |bytes| u16::from_le_bytes(bytes).into())),
        Dtype::I32 => Elements::I32(each(bytes, i32::from_le_bytes)),
        Dtype::U32 => Elements::I32(each_in_range(bytes, u32::from_le_bytes)?),
        Dtype::I64 => Elements::I32(each_in_range(bytes, i64::from_le_bytes)?),
        Dtype::U64 => Elements::I32(each_in_range(bytes, u64::from_le_bytes)?),
        Dtype::F16 => Elements::F32(each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::F32 => Elements::F32(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => {
            let floats = each(bytes, f64::from_le_bytes).into_iter().map(|float| {
                let single = float as f32;
                let fits = single.is_finite() || !float.is_finite();
                fits.then_some(single).ok_or_else(|| out_of_range(float, "a 32-bit float"))
            });
            Elements::F32(floats.collect::<Result<_, _>>()?)
        }
    })
}

fn each<T, const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| convert(*chunk)).collect()
}

fn each_in_range<T, const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Result<Vec<i32>, Reason>
where
    T: Copy + ToString + TryInto<i32>,
{
    let integers = bytes.as_chunks().0.iter().map(|chunk| {
        let integer = convert(*chunk);
        integer.try_into().map_err(|_| out_of_range(integer, "a 32-bit integer"))
    });
    integers.collect()
}

fn out_of_range(number: impl ToString, wanted: &'static str) -> Reason {
    Reason::OutOfRange { column: COLUMN.to_owned(), value: number.to_string(), wanted }
}

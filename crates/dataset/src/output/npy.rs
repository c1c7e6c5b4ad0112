//! One NumPy array; its header is written again when the number of rows is known.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Column, ColumnKind, Encoder, OutputValue, ResultRow};
use crate::array::element_count;
use crate::npy::{Dtype, Header};
use crate::{DatasetError, ElementType, Elements};

pub(super) struct NpyEncoder {
    file: BufWriter<File>,
    row_shape: Vec<u32>,
    elements: usize,
}

impl NpyEncoder {
    pub(super) fn new(mut file: File, columns: &[Column], part: &Path) -> Result<Self, DatasetError> {
        let refused =
            |column: &str, detail| DatasetError::Unwritable { format: "NPY", column: column.to_owned(), detail };
        let [Column { name, kind }] = columns else {
            return Err(refused("these columns", "it holds one array"));
        };
        let ColumnKind::Numbers { element_type: ElementType::F32, shape: Some(row_shape) } = kind else {
            return Err(refused(name, "it holds floats of one shape"));
        };
        let elements = element_count(row_shape).ok_or_else(|| refused(name, "it is too large"))?;
        let header = Header::encode(Dtype::F32, 0, row_shape);
        if file.stream_position().map_err(DatasetError::io(part))? == 0 {
            file.write_all(&header).map_err(DatasetError::io(part))?;
        }
        Ok(Self { file: BufWriter::new(file), row_shape: row_shape.clone(), elements })
    }
}

impl Encoder for NpyEncoder {
    fn write(&mut self, row: &ResultRow, columns: &[Column]) -> io::Result<()> {
        let value = row.values.as_ref().ok().and_then(|values| values.get(&columns[0].name));
        match value {
            Some(OutputValue::Numbers(array)) => match array.data() {
                Elements::F32(data) => data.iter().try_for_each(|number| self.file.write_all(&number.to_le_bytes())),
                Elements::I32(data) => data.iter().try_for_each(|number| self.file.write_all(&number.to_le_bytes())),
            },
            _ => (0..self.elements).try_for_each(|_| self.file.write_all(&f32::NAN.to_le_bytes())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn finish(mut self: Box<Self>, rows: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&Header::encode(Dtype::F32, rows, &self.row_shape))?;
        self.flush()
    }
}

/// Cuts a part behind its first `rows` whole rows and says how many it has.
pub(super) fn keep(file: &mut File, rows: u64) -> io::Result<u64> {
    let header = Header::read(file).map_err(io::Error::other)?;
    let start = file.stream_position()?;
    let elements: u64 = header.shape.iter().skip(1).product();
    let row_bytes = (elements * header.dtype.bytes() as u64).max(1);
    let kept = ((file.metadata()?.len() - start) / row_bytes).min(rows);
    if kept == rows {
        file.set_len(start + rows * row_bytes)?;
        file.seek(SeekFrom::End(0))?;
    }
    Ok(kept)
}

//! Parquet, row group by row group, through the format's own record reader: no Arrow.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::record::reader::RowIter;

use super::nested::{self, Node, Scalar};
use super::{Format, RawRow, Rows};
use crate::limits::MAX_COLUMNS;
use crate::{DatasetError, Value};

pub(super) struct ParquetRows {
    path: PathBuf,
    rows: Option<RowIter<'static>>,
    /// Rows of each row group.
    groups: Vec<u64>,
    /// Group and row in it of the row that comes next.
    group: usize,
    row: u64,
}

impl ParquetRows {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let broken = |detail| broken(path, "footer".to_owned(), detail);
        let file = File::open(path).map_err(DatasetError::io(path))?;
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(broken)?;
        let metadata = reader.metadata();
        let columns = metadata.file_metadata().schema_descr().num_columns();
        if columns > MAX_COLUMNS {
            return Err(DatasetError::Limit { what: "columns", got: columns as u64, limit: MAX_COLUMNS as u64 });
        }
        let groups = metadata.row_groups().iter().map(|group| group.num_rows().max(0) as u64).collect();
        let rows = guarded(|| Ok(RowIter::from_file_into(Box::new(reader)))).map_err(broken)?;
        Ok(Self { path: path.to_owned(), rows: Some(rows), groups, group: 0, row: 0 })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        while self.groups.get(self.group).is_some_and(|&rows| self.row >= rows) {
            (self.group, self.row) = (self.group + 1, 0);
        }
        let place = format!("row group {}, row {}", self.group, self.row);
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let row = guarded(|| rows.next().transpose()).map_err(|detail| {
            self.rows = None;
            broken(&self.path, place.clone(), detail)
        })?;
        self.row += 1;
        Ok(row.map(|row| {
            let fields = row.into_columns().into_iter().map(|(name, field)| (name, value(field)));
            RawRow { place, fields: Ok(fields.collect()) }
        }))
    }
}

/// The library asserts what a sound file has, so that a broken one can make it panic.
fn guarded<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the file contradicts itself".to_owned()),
    }
}

fn broken(path: &Path, place: String, detail: String) -> DatasetError {
    DatasetError::Broken { path: path.to_owned(), place, format: Format::Parquet, detail }
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => Value::Bool(truth),
        Field::Str(text) => Value::Text(text),
        Field::ListInternal(_) => nested::numbers(&field),
        Field::Bytes(_) => Value::Unusable("raw bytes"),
        Field::Group(_) => Value::Unusable("a struct"),
        Field::MapInternal(_) => Value::Unusable("a map"),
        Field::ULong(large) if i64::try_from(large).is_err() => Value::Float(large as f64),
        scalar => match scalar.scalar() {
            Some(Scalar::Integer(integer)) => Value::Integer(integer),
            Some(Scalar::Float(float)) => Value::Float(float),
            None => Value::Unusable("a date or a decimal"),
        },
    }
}

impl Node for Field {
    fn children(&self) -> Option<&[Self]> {
        match self {
            Field::ListInternal(list) => Some(list.elements()),
            _ => None,
        }
    }

    fn scalar(&self) -> Option<Scalar> {
        Some(match *self {
            Field::Byte(value) => Scalar::Integer(value.into()),
            Field::Short(value) => Scalar::Integer(value.into()),
            Field::Int(value) => Scalar::Integer(value.into()),
            Field::Long(value) => Scalar::Integer(value),
            Field::UByte(value) => Scalar::Integer(value.into()),
            Field::UShort(value) => Scalar::Integer(value.into()),
            Field::UInt(value) => Scalar::Integer(value.into()),
            Field::ULong(value) => Scalar::Integer(i64::try_from(value).ok()?),
            Field::Float16(value) => Scalar::Float(value.into()),
            Field::Float(value) => Scalar::Float(value.into()),
            Field::Double(value) => Scalar::Float(value),
            _ => return None,
        })
    }
}

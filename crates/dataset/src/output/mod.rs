//! Results in the order of the input, in a file whose ending says how: JSONL, CSV, NPY or Parquet.
//!
//! They are written beside the output, in a file that ends in `.part`, and renamed once all are there: whoever sees the
//! output sees all of it. All formats but Parquet, whose index comes last, can be continued from a part.

mod csv;
mod jsonl;
mod npy;
mod order;
mod parquet;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

pub use order::InOrder;

use crate::postprocess::Ranked;
use crate::{Array, DatasetError, ElementType};

/// A format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// One object a row: `row`, and the columns, or `null` in each of them and `error`.
    Jsonl,
    /// `row`, one column for each number, `error`; arrays without a fixed shape, and labels, as JSON in one column.
    Csv,
    /// One array; failed rows are NaN.
    Npy,
    /// `row`, a list of floats for each column, `error`; labels as JSON.
    Parquet,
}

/// A column of the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Arrays; of one shape, if that is known.
    Numbers {
        /// Their type.
        element_type: ElementType,
        /// Their shape, without the batch.
        shape: Option<Vec<u32>>,
    },
    /// Labels with scores.
    Labels,
}

/// The result of one row in one column.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// Numbers.
    Numbers(Array),
    /// Labels with scores, highest first.
    Labels(Vec<Ranked>),
}

/// The result of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Index of the row in the input.
    pub row: u64,
    /// Its values by column, or why there are none.
    pub values: Result<BTreeMap<String, OutputValue>, String>,
}

/// Writes results, the next row each time.
pub struct ResultWriter {
    path: PathBuf,
    part: PathBuf,
    columns: Vec<Column>,
    next_row: u64,
    encoder: Box<dyn Encoder + Send>,
}

/// Writes one format.
trait Encoder {
    /// One row; its values fit the columns.
    fn write(&mut self, row: &ResultRow, columns: &[Column]) -> std::io::Result<()>;
    /// Makes what was written durable and readable by [`ResultWriter::resume`].
    fn flush(&mut self) -> std::io::Result<()>;
    /// Completes the file.
    fn finish(self: Box<Self>, rows: u64) -> std::io::Result<()>;
}

impl OutputFormat {
    /// By the ending of a file.
    pub fn of(path: &Path) -> Option<Self> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "npy" => Some(Self::Npy),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl ResultWriter {
    /// Begins an output; a part that was left there is lost.
    pub fn create(path: &Path, columns: Vec<Column>) -> Result<Self, DatasetError> {
        format(path)?;
        let part = part(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&part);
        Self::start(path, part.clone(), columns, 0, file.map_err(DatasetError::io(&part))?)
    }

    /// Continues a part that was left, keeping its first `rows` rows.
    pub fn resume(path: &Path, columns: Vec<Column>, rows: u64) -> Result<Self, DatasetError> {
        let part = part(path);
        let mut file = OpenOptions::new().read(true).write(true).open(&part).map_err(DatasetError::io(&part))?;
        let kept = match OutputFormat::of(path) {
            Some(OutputFormat::Jsonl) => jsonl::keep(&mut file, rows),
            Some(OutputFormat::Csv) => csv::keep(&mut file, rows),
            Some(OutputFormat::Npy) => npy::keep(&mut file, rows),
            Some(OutputFormat::Parquet) | None => Ok(0),
        };
        match kept.map_err(DatasetError::io(&part))? {
            kept if kept == rows && rows > 0 => Self::start(path, part, columns, rows, file),
            kept => Err(DatasetError::CannotResume { path: part, rows: kept, wanted: rows }),
        }
    }

    fn start(path: &Path, part: PathBuf, columns: Vec<Column>, rows: u64, file: File) -> Result<Self, DatasetError> {
        let format = format(path)?;
        let io = DatasetError::io(&part);
        let encoder: Box<dyn Encoder + Send> = match format {
            OutputFormat::Jsonl => Box::new(jsonl::JsonlEncoder::new(file)),
            OutputFormat::Csv => Box::new(csv::CsvEncoder::new(file, &columns, rows == 0).map_err(io)?),
            OutputFormat::Npy => Box::new(npy::NpyEncoder::new(file, &columns, &part)?),
            OutputFormat::Parquet => Box::new(parquet::ParquetEncoder::new(file, &columns).map_err(io)?),
        };
        Ok(Self { path: path.to_owned(), part, columns, next_row: rows, encoder })
    }

    /// The row that is to be written next.
    pub fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Writes the next row.
    pub fn write(&mut self, row: &ResultRow) -> Result<(), DatasetError> {
        if row.row != self.next_row {
            return Err(DatasetError::OutOfOrder { expected: self.next_row, got: row.row });
        }
        if let Ok(values) = &row.values {
            for column in &self.columns {
                column.check(row.row, values.get(&column.name))?;
            }
        }
        self.encoder.write(row, &self.columns).map_err(DatasetError::io(&self.part))?;
        self.next_row += 1;
        Ok(())
    }

    /// Makes the rows so far durable.
    pub fn flush(&mut self) -> Result<(), DatasetError> {
        self.encoder.flush().map_err(DatasetError::io(&self.part))
    }

    /// Completes the output and gives it its name.
    pub fn finish(self) -> Result<(), DatasetError> {
        self.encoder.finish(self.next_row).map_err(DatasetError::io(&self.part))?;
        fs::rename(&self.part, &self.path).map_err(DatasetError::io(&self.path))
    }
}

impl Column {
    fn check(&self, row: u64, value: Option<&OutputValue>) -> Result<(), DatasetError> {
        let fits = match (&self.kind, value) {
            (ColumnKind::Labels, Some(OutputValue::Labels(_))) => true,
            (ColumnKind::Numbers { element_type, shape }, Some(OutputValue::Numbers(array))) => {
                array.data().element_type() == *element_type
                    && shape.as_ref().is_none_or(|shape| shape == array.shape())
            }
            _ => false,
        };
        let found = || match value {
            None => "nothing".to_owned(),
            Some(OutputValue::Labels(_)) => "labels".to_owned(),
            Some(OutputValue::Numbers(array)) => format!("{:?}{:?}", array.data().element_type(), array.shape()),
        };
        match fits {
            true => Ok(()),
            false => Err(DatasetError::WrongResult {
                row,
                column: self.name.clone(),
                expected: format!("{:?}", self.kind),
                found: found(),
            }),
        }
    }
}

fn format(path: &Path) -> Result<OutputFormat, DatasetError> {
    OutputFormat::of(path).ok_or_else(|| DatasetError::UnknownOutput { path: path.to_owned() })
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

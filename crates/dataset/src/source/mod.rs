//! Rows of a file or a folder, one after the other, never all in memory.

mod csv;
mod images;
mod jsonl;
mod lines;
mod nested;
mod npy;
mod parquet;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{DatasetError, Reason, Row, RowError, Value};

/// What a source is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180 with a header; commas, UTF-8.
    Csv,
    /// Apache Parquet, uncompressed or compressed by Snappy, gzip or Zstandard.
    Parquet,
    /// One array of NumPy; its first dimension are the rows, each in the column `data`.
    Npy,
    /// PNG, JPEG and WebP files of a folder and those below, by name; columns `image` and `name`.
    Images,
    /// Plain text, in the column `text`.
    Text,
}

/// How plain text falls into rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextRows {
    /// Blocks of lines between empty ones; the lines of a block are joined by blanks.
    #[default]
    Paragraphs,
    /// Every line that is not empty.
    Lines,
}

/// Streams the rows of a file or a folder. Text formats may be compressed by gzip: their first bytes tell.
pub struct Source {
    path: PathBuf,
    format: Format,
    next_index: u64,
    rows: Box<dyn Rows + Send>,
}

/// A format's reader.
trait Rows {
    /// The next row, or None behind the last. After an error there is no next row.
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError>;
}

/// A row that has no index yet.
struct RawRow {
    place: String,
    fields: Result<Vec<(String, Value)>, Reason>,
}

impl Source {
    /// Opens a file or folder as `format`, or as what its ending says; plain text by paragraphs.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self, DatasetError> {
        Self::open_with(path, format, TextRows::default())
    }

    /// As [`Source::open`], with plain text cut as `text_rows` says.
    pub fn open_with(path: &Path, format: Option<Format>, text_rows: TextRows) -> Result<Self, DatasetError> {
        let format =
            format.or_else(|| Format::of(path)).ok_or_else(|| DatasetError::UnknownFormat { path: path.to_owned() })?;
        let rows: Box<dyn Rows + Send> = match format {
            Format::Jsonl => Box::new(jsonl::JsonlRows::open(path)?),
            Format::Csv => Box::new(csv::CsvRows::open(path)?),
            Format::Parquet => Box::new(parquet::ParquetRows::open(path)?),
            Format::Npy => Box::new(npy::NpyRows::open(path)?),
            Format::Images => Box::new(images::ImageRows::open(path)?),
            Format::Text => Box::new(text::PlainRows::open(path, text_rows)?),
        };
        Ok(Self { path: path.to_owned(), format, next_index: 0, rows })
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is read as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next row, or why that row cannot be read, or None behind the last. An outer error ends the source: the rows
    /// that came before it are good, and none follows.
    pub fn next_row(&mut self) -> Result<Option<Result<Row, RowError>>, DatasetError> {
        let Some(RawRow { place, fields }) = self.rows.next()? else { return Ok(None) };
        let index = self.next_index;
        self.next_index += 1;
        Ok(Some(match fields {
            Ok(fields) => Ok(Row { index, place, fields }),
            Err(reason) => Err(RowError { index, place, reason }),
        }))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).field("format", &self.format).finish_non_exhaustive()
    }
}

impl Format {
    /// By the ending of a file, before `.gz` if it has that; a folder is one of images.
    pub fn of(path: &Path) -> Option<Self> {
        if path.is_dir() {
            return Some(Self::Images);
        }
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, compressed) = match name.strip_suffix(".gz") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        match (name.rsplit_once('.')?.1, compressed) {
            ("jsonl" | "ndjson", _) => Some(Self::Jsonl),
            ("csv", _) => Some(Self::Csv),
            ("txt", _) => Some(Self::Text),
            ("parquet", false) => Some(Self::Parquet),
            ("npy", false) => Some(Self::Npy),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonl => "JSONL",
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Npy => "NPY",
            Self::Images => "a folder of images",
            Self::Text => "plain text",
        })
    }
}

//! What goes wrong: with one row, or with a whole source, recipe or output.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Format, NpyError};

/// Why nothing more can be read, or nothing at all be prepared or written.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Neither its ending nor its kind says what the input is.
    #[error("{}: unknown format; known are jsonl, csv, txt (each also .gz), parquet, npy and folders of images", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The input is not of the format, or breaks off in a way that no later row can be found.
    #[error("{}, {place}: not {format}: {detail}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        place: String,
        /// What it was read as.
        format: Format,
        /// What the reader met.
        detail: String,
    },
    /// The header of an NPY file.
    #[error("{}: {source}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NpyError,
    },
    /// More than this crate takes.
    #[error("{what}: {got}, the limit is {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: u64,
        /// How much there may be.
        limit: u64,
    },
    /// Not a tokenizer.json.
    #[error("{}: not a tokenizer: {detail}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer library met.
        detail: String,
    },
    /// A recipe that no row can be prepared by.
    #[error("input {input}: {detail}")]
    Recipe {
        /// Input of the model.
        input: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The output's ending is not one that can be written.
    #[error("{}: unknown format; known are jsonl, csv, npy and parquet", path.display())]
    UnknownOutput {
        /// The file.
        path: PathBuf,
    },
    /// The format cannot hold such a column.
    #[error("{format} cannot hold {column}: {detail}")]
    Unwritable {
        /// The output's format.
        format: &'static str,
        /// The column.
        column: String,
        /// Why not.
        detail: &'static str,
    },
    /// A result without a column, of another type, or of another shape than the column was declared with.
    #[error("row {row}: column {column} has {found}, not {expected}")]
    WrongResult {
        /// The row of the result.
        row: u64,
        /// The column.
        column: String,
        /// What was declared.
        expected: String,
        /// What came.
        found: String,
    },
    /// A result that is not the next one.
    #[error("row {got} came where row {expected} was to be written")]
    OutOfOrder {
        /// The row that is due.
        expected: u64,
        /// The row that came.
        got: u64,
    },
    /// A partial output that has fewer rows than it is to be continued from.
    #[error("{}: holds {rows} whole rows, not {wanted}", path.display())]
    CannotResume {
        /// The partial output.
        path: PathBuf,
        /// Rows that it has.
        rows: u64,
        /// Rows that were to be kept.
        wanted: u64,
    },
    /// An array of a shape that an operation does not take.
    #[error("{what} has shape {found:?}, {expected} was expected")]
    Shape {
        /// The array.
        what: &'static str,
        /// Its shape.
        found: Vec<u32>,
        /// What it should have been.
        expected: &'static str,
    },
}

/// A row that was left out, and why; the rows after it follow.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("row {index} ({place}): {reason}")]
pub struct RowError {
    /// Index of the row, from 0.
    pub index: u64,
    /// Where a person finds it.
    pub place: String,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Reason {
    /// More than this crate takes, whatever the column.
    #[error("{what}: {got}, the limit is {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, at least.
        got: u64,
        /// How much there may be.
        limit: u64,
    },
    /// More than this crate takes in one column.
    #[error("column {column}: {what}: {got}, the limit is {limit}")]
    ColumnLimit {
        /// The column.
        column: String,
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        got: u64,
        /// How much there may be.
        limit: u64,
    },
    /// Bytes that are no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// A line that is not a JSON object.
    #[error("not a JSON object: {detail}")]
    NotJson {
        /// What the parser met.
        detail: String,
    },
    /// A record of CSV with more or fewer fields than the header.
    #[error("{got} fields, the header has {expected}")]
    FieldCount {
        /// Columns of the header.
        expected: usize,
        /// Fields of the record.
        got: usize,
    },
    /// A column that the recipe needs.
    #[error("no column {column}")]
    NoColumn {
        /// The column.
        column: String,
    },
    /// A value of another kind than the recipe needs.
    #[error("column {column} holds {found}, {wanted} was expected")]
    WrongKind {
        /// The column.
        column: String,
        /// What the recipe needs.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A number that the model's input cannot hold.
    #[error("column {column}: {value} is not {wanted}")]
    OutOfRange {
        /// The column.
        column: String,
        /// The number.
        value: String,
        /// What the input holds.
        wanted: &'static str,
    },
    /// NaN or an infinity, of which a model makes more of the same.
    #[error("input {input} is not finite")]
    NotFinite {
        /// Input of the model.
        input: String,
    },
    /// Numbers of another shape than the model's input.
    #[error("column {column} has shape {found:?}, the input {expected:?}")]
    Shape {
        /// The column.
        column: String,
        /// Shape of one row of the input.
        expected: Vec<u32>,
        /// Shape of the value.
        found: Vec<u32>,
    },
    /// A file that is not an image, or that cannot be read.
    #[error("column {column}: {}: {detail}", path.display())]
    Image {
        /// The column.
        column: String,
        /// The file.
        path: PathBuf,
        /// What the decoder met.
        detail: String,
    },
    /// A text that the tokenizer refused.
    #[error("column {column}: the tokenizer refused {text:?}: {detail}")]
    Tokenizer {
        /// The column.
        column: String,
        /// Beginning of the text.
        text: String,
        /// What the tokenizer met.
        detail: String,
    },
}

impl DatasetError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

//! One row of a source.

use std::path::PathBuf;

use crate::Array;

/// One row; its fields keep the order of the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From 0, counting rows that could not be read too.
    pub index: u64,
    /// Where a person finds it: line, file name, row group.
    pub place: String,
    /// Values by column.
    pub fields: Vec<(String, Value)>,
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An empty cell of CSV, `null` of JSON and Parquet.
    Null,
    /// Truth.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text; every cell of CSV, from which a recipe may read a number.
    Text(String),
    /// Numbers in a shape: a list of lists of JSON, a row of NPY.
    Numbers(Array),
    /// A file with an image.
    Image(PathBuf),
    /// Something that no model input is made of, by its name: an object, a list of texts, raw bytes. Rows may hold it in
    /// columns that no recipe asks for.
    Unusable(&'static str),
}

impl Row {
    /// The value of a column.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Numbers(_) => "numbers",
            Self::Image(_) => "an image",
            Self::Unusable(what) => what,
        }
    }
}

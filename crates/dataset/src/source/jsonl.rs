//! One JSON object a line. Empty lines are no rows.

use std::path::Path;

use serde_json::Value as Json;

use super::lines::Lines;
use super::nested::{self, Node, Scalar};
use super::{Format, RawRow, Rows};
use crate::limits::MAX_COLUMNS;
use crate::{DatasetError, Reason, Value};

pub(super) struct JsonlRows {
    lines: Lines,
}

impl JsonlRows {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        Ok(Self { lines: Lines::open(path, Format::Jsonl)? })
    }
}

impl Rows for JsonlRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        loop {
            let fields = match self.lines.next()? {
                None => return Ok(None),
                Some(Ok(line)) if line.trim_ascii().is_empty() => continue,
                Some(line) => line.and_then(fields),
            };
            return Ok(Some(RawRow { place: format!("line {}", self.lines.number()), fields }));
        }
    }
}

fn fields(line: &str) -> Result<Vec<(String, Value)>, Reason> {
    let object = match serde_json::from_str(line) {
        Ok(Json::Object(object)) => object,
        Ok(_) => return Err(Reason::NotJson { detail: "another value".to_owned() }),
        Err(error) => return Err(Reason::NotJson { detail: error.to_string() }),
    };
    if object.len() > MAX_COLUMNS {
        return Err(Reason::Limit { what: "columns", got: object.len() as u64, limit: MAX_COLUMNS as u64 });
    }
    Ok(object.into_iter().map(|(name, json)| (name, value(json))).collect())
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(float)) => Value::Float(float),
            (None, None) => Value::Unusable("a number beyond 64-bit floats"),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(_) => nested::numbers(&json),
        Json::Object(_) => Value::Unusable("an object"),
    }
}

impl Node for Json {
    fn children(&self) -> Option<&[Self]> {
        self.as_array().map(Vec::as_slice)
    }

    fn scalar(&self) -> Option<Scalar> {
        self.as_i64().map(Scalar::Integer).or_else(|| self.as_f64().map(Scalar::Float))
    }
}

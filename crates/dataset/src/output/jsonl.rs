//! One JSON object a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use serde_json::{Map, Value as Json, json};

use super::{Column, Encoder, OutputValue, ResultRow};
use crate::{Array, Elements};

pub(super) struct JsonlEncoder {
    file: BufWriter<File>,
}

impl JsonlEncoder {
    pub(super) fn new(file: File) -> Self {
        Self { file: BufWriter::new(file) }
    }
}

impl Encoder for JsonlEncoder {
    fn write(&mut self, row: &ResultRow, columns: &[Column]) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("row".to_owned(), row.row.into());
        for column in columns {
            let value = row.values.as_ref().ok().and_then(|values| values.get(&column.name));
            object.insert(column.name.clone(), value.map_or(Json::Null, value_json));
        }
        if let Err(reason) = &row.values {
            object.insert("error".to_owned(), reason.as_str().into());
        }
        serde_json::to_writer(&mut self.file, &object)?;
        self.file.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn finish(mut self: Box<Self>, _: u64) -> io::Result<()> {
        self.flush()
    }
}

/// Cuts a part behind its first `rows` whole lines and says how many it has.
pub(super) fn keep(file: &mut File, rows: u64) -> io::Result<u64> {
    let mut input = BufReader::new(&*file);
    let (mut kept, mut bytes) = (0, 0);
    let mut line = Vec::new();
    while kept < rows {
        line.clear();
        input.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        kept += 1;
        bytes += line.len() as u64;
    }
    if kept == rows {
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
    }
    Ok(kept)
}

pub(super) fn value_json(value: &OutputValue) -> Json {
    match value {
        OutputValue::Labels(labels) => {
            labels.iter().map(|ranked| json!({"label": ranked.label, "score": number(ranked.score)})).collect()
        }
        OutputValue::Numbers(array) => array_json(array),
    }
}

fn array_json(array: &Array) -> Json {
    if array.shape().is_empty() {
        return match array.data() {
            Elements::F32(data) => number(data[0]),
            Elements::I32(data) => data[0].into(),
        };
    }
    let rows = (0..array.shape()[0]).filter_map(|row| array.row(row));
    rows.map(|row| array_json(&row)).collect()
}

/// The shortest decimal that reads back as the same single; what is not a number is `null`.
fn number(number: f32) -> Json {
    number.to_string().parse::<f64>().ok().filter(|number| number.is_finite()).map_or(Json::Null, Json::from)
}

//! RFC 4180 with a header: `row`, the columns, `error`.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::jsonl::value_json;
use super::{Column, ColumnKind, Encoder, OutputValue, ResultRow};
use crate::Elements;
use crate::array::element_count;
use crate::limits::MAX_CSV_NUMBERS;

pub(super) struct CsvEncoder {
    file: BufWriter<File>,
}

impl CsvEncoder {
    pub(super) fn new(file: File, columns: &[Column], with_header: bool) -> io::Result<Self> {
        let mut file = BufWriter::new(file);
        if with_header {
            write!(file, "row")?;
            for column in columns {
                match column.numbers() {
                    None => write!(file, ",{}", quoted(&column.name))?,
                    Some(count) => {
                        (0..count).try_for_each(|at| write!(file, ",{}", quoted(&format!("{}{at}", column.name))))?;
                    }
                }
            }
            writeln!(file, ",error")?;
        }
        Ok(Self { file })
    }
}

impl Column {
    /// Numbers that get a CSV column each.
    fn numbers(&self) -> Option<usize> {
        match &self.kind {
            ColumnKind::Numbers { shape: Some(shape), .. } => {
                element_count(shape).filter(|&count| count <= MAX_CSV_NUMBERS)
            }
            _ => None,
        }
    }
}

impl Encoder for CsvEncoder {
    fn write(&mut self, row: &ResultRow, columns: &[Column]) -> io::Result<()> {
        write!(self.file, "{}", row.row)?;
        for column in columns {
            let value = row.values.as_ref().ok().and_then(|values| values.get(&column.name));
            match (column.numbers(), value) {
                (count, None) => (0..count.unwrap_or(1)).try_for_each(|_| write!(self.file, ","))?,
                (Some(_), Some(OutputValue::Numbers(array))) => match array.data() {
                    Elements::F32(data) => data.iter().try_for_each(|number| write!(self.file, ",{number}"))?,
                    Elements::I32(data) => data.iter().try_for_each(|number| write!(self.file, ",{number}"))?,
                },
                (_, Some(value)) => write!(self.file, ",{}", quoted(&value_json(value).to_string()))?,
            }
        }
        // No line breaks in a field: a part is cut by lines.
        let error = row.values.as_ref().err().map_or(String::new(), |reason| reason.replace(['\r', '\n'], " "));
        writeln!(self.file, ",{}", quoted(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn finish(mut self: Box<Self>, _: u64) -> io::Result<()> {
        self.flush()
    }
}

/// As JSONL's, behind the header.
pub(super) fn keep(file: &mut File, rows: u64) -> io::Result<u64> {
    Ok(super::jsonl::keep(file, rows + 1)?.saturating_sub(1))
}

fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

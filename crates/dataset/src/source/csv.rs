//! CSV with a header. Its records are parsed into a buffer that grows up to the limit of a line; a longer record is
//! passed over, and the next one follows.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use csv_core::{ReadRecordResult, Reader};

use super::{Format, RawRow, Rows, lines};
use crate::limits::{MAX_COLUMNS, MAX_LINE_BYTES};
use crate::{DatasetError, Reason, Value};

const FIRST_BUFFER_BYTES: usize = 4096;

pub(super) struct CsvRows {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    parser: Reader,
    /// Text of the fields of a record, one behind the other.
    text: Vec<u8>,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
    columns: Vec<String>,
}

/// What was read of a record.
struct Record {
    line: u64,
    bytes: u64,
    fields: usize,
}

impl CsvRows {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let mut rows = Self {
            path: path.to_owned(),
            input: lines::open(path)?,
            parser: Reader::new(),
            text: vec![0; FIRST_BUFFER_BYTES],
            ends: vec![0; 64],
            columns: Vec::new(),
        };
        if let Some(record) = rows.read()? {
            let header = rows.texts(&record).map_err(|reason| rows.broken(&record, reason.to_string()))?;
            rows.columns = header.into_iter().map(str::to_owned).collect();
            let mut names: Vec<_> = rows.columns.iter().collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(rows.broken(&record, format!("column {:?} twice", twice[0])));
            }
        }
        Ok(rows)
    }

    fn broken(&self, record: &Record, detail: String) -> DatasetError {
        let place = format!("line {}", record.line);
        DatasetError::Broken { path: self.path.clone(), place, format: Format::Csv, detail }
    }

    /// Reads one record into the buffers; what does not fit the limits is counted and dropped.
    fn read(&mut self) -> Result<Option<Record>, DatasetError> {
        let mut record = Record { line: self.parser.line(), bytes: 0, fields: 0 };
        let (mut text_length, mut ends_length) = (0, 0);
        loop {
            let input = self
                .input
                .fill_buf()
                .map_err(|error| lines::failure(&self.path, Format::Csv, format!("line {}", record.line), error))?;
            let (result, read, written, ended) =
                self.parser.read_record(input, &mut self.text[text_length..], &mut self.ends[ends_length..]);
            self.input.consume(read);
            record.bytes += written as u64;
            record.fields += ended;
            text_length += written;
            ends_length += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.text.len() < MAX_LINE_BYTES => {
                    self.text.resize((self.text.len() * 2).min(MAX_LINE_BYTES), 0);
                }
                // The record is refused by `texts`: its beginning may be overwritten.
                ReadRecordResult::OutputFull => {
                    record.bytes = record.bytes.max(MAX_LINE_BYTES as u64 + 1);
                    text_length = 0;
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_COLUMNS => {
                    self.ends.resize((self.ends.len() * 2).min(MAX_COLUMNS), 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    record.fields = record.fields.max(MAX_COLUMNS + 1);
                    ends_length = 0;
                }
                ReadRecordResult::Record => return Ok(Some(record)),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// The fields of the record that was read.
    fn texts(&self, record: &Record) -> Result<Vec<&str>, Reason> {
        if record.bytes > MAX_LINE_BYTES as u64 {
            return Err(Reason::Limit { what: "bytes of a record", got: record.bytes, limit: MAX_LINE_BYTES as u64 });
        }
        if record.fields > MAX_COLUMNS {
            return Err(Reason::Limit { what: "columns", got: record.fields as u64, limit: MAX_COLUMNS as u64 });
        }
        let mut start = 0;
        let fields = self.ends[..record.fields].iter().map(|&end| {
            let field = &self.text[start..end];
            start = end;
            std::str::from_utf8(field).map_err(|_| Reason::NotUtf8)
        });
        fields.collect()
    }

    fn fields(&self, record: &Record) -> Result<Vec<(String, Value)>, Reason> {
        let texts = self.texts(record)?;
        if texts.len() != self.columns.len() {
            return Err(Reason::FieldCount { expected: self.columns.len(), got: texts.len() });
        }
        let values = texts.into_iter().map(|text| match text {
            "" => Value::Null,
            text => Value::Text(text.to_owned()),
        });
        Ok(self.columns.iter().cloned().zip(values).collect())
    }
}

impl Rows for CsvRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        let Some(record) = self.read()? else { return Ok(None) };
        let fields = self.fields(&record);
        Ok(Some(RawRow { place: format!("line {}", record.line), fields }))
    }
}

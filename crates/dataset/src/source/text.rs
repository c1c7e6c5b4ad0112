//! Plain text, by paragraphs or by lines.

use std::path::Path;

use super::lines::Lines;
use super::{Format, RawRow, Rows, TextRows};
use crate::limits::MAX_LINE_BYTES;
use crate::{DatasetError, Reason, Value};

const COLUMN: &str = "text";

pub(super) struct PlainRows {
    lines: Lines,
    by: TextRows,
}

/// The lines of a paragraph so far.
struct Block {
    first: u64,
    last: u64,
    text: Result<String, Reason>,
}

impl PlainRows {
    pub(super) fn open(path: &Path, by: TextRows) -> Result<Self, DatasetError> {
        Ok(Self { lines: Lines::open(path, Format::Text)?, by })
    }
}

impl Rows for PlainRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        let mut block: Option<Block> = None;
        while let Some(line) = self.lines.next()? {
            let line = line.map(|line| line.trim().to_owned());
            let number = self.lines.number();
            if line.as_ref().is_ok_and(String::is_empty) {
                if block.is_some() {
                    break;
                }
                continue;
            }
            match &mut block {
                None => block = Some(Block { first: number, last: number, text: line }),
                Some(block) => block.add(number, line),
            }
            if self.by == TextRows::Lines {
                break;
            }
        }
        Ok(block.map(Block::into_row))
    }
}

impl Block {
    fn add(&mut self, number: u64, line: Result<String, Reason>) {
        self.last = number;
        match (&mut self.text, line) {
            (Err(_), _) => {}
            (text, Err(reason)) => *text = Err(reason),
            (Ok(text), Ok(line)) => {
                let length = text.len() + 1 + line.len();
                if length > MAX_LINE_BYTES {
                    let (got, limit) = (length as u64, MAX_LINE_BYTES as u64);
                    self.text = Err(Reason::Limit { what: "bytes of a paragraph", got, limit });
                } else {
                    text.push(' ');
                    text.push_str(&line);
                }
            }
        }
    }

    fn into_row(self) -> RawRow {
        let place = match self.first == self.last {
            true => format!("line {}", self.first),
            false => format!("lines {} to {}", self.first, self.last),
        };
        RawRow { place, fields: self.text.map(|text| vec![(COLUMN.to_owned(), Value::Text(text))]) }
    }
}

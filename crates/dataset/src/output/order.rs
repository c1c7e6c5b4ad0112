//! Results that come in any order, given on in the order of the input.

use std::collections::BTreeMap;

use crate::limits::MAX_ROWS_AHEAD;
use crate::{DatasetError, ResultRow, ResultWriter};

/// Holds results until all rows before them are written.
pub struct InOrder {
    writer: ResultWriter,
    held: BTreeMap<u64, ResultRow>,
}

impl InOrder {
    /// In front of a writer.
    pub fn new(writer: ResultWriter) -> Self {
        Self { writer, held: BTreeMap::new() }
    }

    /// The first row whose result is missing.
    pub fn next_row(&self) -> u64 {
        self.writer.next_row()
    }

    /// Results that wait for that row's.
    pub fn held_rows(&self) -> usize {
        self.held.len()
    }

    /// Takes a result and writes what has become due. A row that is written already is passed over; one more than
    /// [`MAX_ROWS_AHEAD`] ahead is refused.
    pub fn put(&mut self, result: ResultRow) -> Result<(), DatasetError> {
        if result.row < self.next_row() {
            return Ok(());
        }
        let got = result.row - self.next_row();
        if got > MAX_ROWS_AHEAD {
            return Err(DatasetError::Limit { what: "rows ahead of a missing result", got, limit: MAX_ROWS_AHEAD });
        }
        self.held.insert(result.row, result);
        while let Some(due) = self.held.remove(&self.writer.next_row()) {
            self.writer.write(&due)?;
        }
        Ok(())
    }

    /// Makes what is written durable.
    pub fn flush(&mut self) -> Result<(), DatasetError> {
        self.writer.flush()
    }

    /// Completes the output; refused while a row before a held one is missing.
    pub fn finish(self) -> Result<(), DatasetError> {
        match self.held.first_key_value() {
            Some((&got, _)) => Err(DatasetError::OutOfOrder { expected: self.next_row(), got }),
            None => self.writer.finish(),
        }
    }
}

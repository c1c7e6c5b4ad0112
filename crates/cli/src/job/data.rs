//! Samples from a CSV file: numbers separated by commas, the label last, optionally gzipped.

use std::{fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use serde::Deserialize;
use shoal_compute::Tensor;

/// Longest data file after unpacking, bytes: the text of a blob of the largest size, and a bound on what a few packed
/// kilobytes may become.
const MAX_TEXT_LEN: u64 = 1024 * 1024 * 1024;

/// What is wrong with the data.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum DataError {
    /// Not text.
    #[error("not UTF-8 text")]
    NotText,
    /// Too much of it.
    #[error("more than {limit} bytes after unpacking")]
    TooLong {
        /// Allowed, bytes.
        limit: u64,
    },
    /// No sample.
    #[error("no samples")]
    Empty,
    /// A line of the wrong length.
    #[error("line {line}: {got} columns, expected {features} features and a label")]
    Columns {
        /// Line, from 1.
        line: usize,
        /// Columns it has.
        got: usize,
        /// Features that the model takes.
        features: usize,
    },
    /// Not a number, or not a finite one.
    #[error("line {line}, column {column}: {value:?} is not a finite number")]
    Number {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is there.
        value: String,
    },
    /// A label that is not a class.
    #[error("line {line}: label {value:?} is not a whole number from 0{}", classes.map(|n| format!(" to {}", i64::from(n) - 1)).unwrap_or_default())]
    Label {
        /// Line, from 1.
        line: usize,
        /// What is there.
        value: String,
        /// Classes of the model.
        classes: Option<u32>,
    },
    /// `scale` is not a finite number.
    #[error("data.scale is {0}, which no number stays finite under")]
    Scale(f32),
    /// `held_out` that splits nothing off or leaves nothing.
    #[error(
        "data.held_out with every = {every} and offset = {offset} leaves {train} training and {held_out} held-out samples"
    )]
    Split {
        /// As given.
        every: usize,
        /// As given.
        offset: usize,
        /// Samples left for training.
        train: usize,
        /// Samples held out.
        held_out: usize,
    },
    /// More units than samples.
    #[error("{samples} training samples cannot be cut into {units} units")]
    FewerThanUnits {
        /// Training samples.
        samples: usize,
        /// Units of a round.
        units: usize,
    },
    /// More than one blob may hold.
    #[error("the samples take {len} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes.
        len: u64,
        /// Allowed, bytes.
        limit: u64,
    },
}

/// Why there is no text.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file cannot be read.
    Io(std::io::Error),
    /// It is not what it should be.
    Data(DataError),
}

/// Which samples are held out: those whose index modulo `every` is `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    every: usize,
    offset: usize,
}

/// What a file should hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataFile {
    pub(crate) header: bool,
    pub(crate) scale: f32,
    pub(crate) features: usize,
    pub(crate) classes: Option<u32>,
}

/// Samples, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    pub(crate) features: usize,
    x: Vec<f32>,
    y: Vec<i32>,
}

/// Reads a file, unpacking it if its name ends in `.gz`.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    let file = File::open(path).map_err(ReadError::Io)?;
    let mut bytes = Vec::new();
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let read = if packed {
        GzDecoder::new(file).take(MAX_TEXT_LEN + 1).read_to_end(&mut bytes)
    } else {
        file.take(MAX_TEXT_LEN + 1).read_to_end(&mut bytes)
    };
    if read.map_err(ReadError::Io)? as u64 > MAX_TEXT_LEN {
        return Err(ReadError::Data(DataError::TooLong { limit: MAX_TEXT_LEN }));
    }
    String::from_utf8(bytes).map_err(|_| ReadError::Data(DataError::NotText))
}

impl DataFile {
    /// Parses every line.
    pub(crate) fn parse(&self, text: &str) -> Result<Rows, DataError> {
        if !self.scale.is_finite() {
            return Err(DataError::Scale(self.scale));
        }
        let mut rows = Rows { features: self.features, x: Vec::new(), y: Vec::new() };
        let lines = text.lines().enumerate().skip(usize::from(self.header));
        for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            self.parse_line(index + 1, line, &mut rows)?;
        }
        if rows.y.is_empty() { Err(DataError::Empty) } else { Ok(rows) }
    }

    fn parse_line(&self, line: usize, text: &str, rows: &mut Rows) -> Result<(), DataError> {
        let got = text.split(',').count();
        if got != self.features + 1 {
            return Err(DataError::Columns { line, got, features: self.features });
        }
        let mut cells = text.split(',').map(str::trim);
        for (column, cell) in cells.by_ref().take(self.features).enumerate() {
            let number = cell.parse::<f32>().ok().map(|x| x * self.scale).filter(|x| x.is_finite());
            let wrong = || DataError::Number { line, column: column + 1, value: cell.to_owned() };
            rows.x.push(number.ok_or_else(wrong)?);
        }
        let cell = cells.next().expect("columns were counted");
        let label = cell.parse::<i32>().ok().filter(|label| *label >= 0);
        let label = label.filter(|label| self.classes.is_none_or(|classes| (*label as u32) < classes));
        let wrong = || DataError::Label { line, value: cell.to_owned(), classes: self.classes };
        rows.y.push(label.ok_or_else(wrong)?);
        Ok(())
    }
}

impl Rows {
    /// The chosen rows as samples `[n, …input]` and labels `[n]`.
    pub(crate) fn tensors(&self, chosen: &[usize], input: &[u32]) -> (Tensor, Tensor) {
        let n = u32::try_from(chosen.len()).expect("a blob of samples is bounded");
        let row = |index: &usize| self.x[index * self.features..(index + 1) * self.features].iter().copied();
        let x = chosen.iter().flat_map(row).collect();
        let y = chosen.iter().map(|index| self.y[*index]).collect();
        let shape: Vec<u32> = std::iter::once(n).chain(input.iter().copied()).collect();
        (Tensor::f32(shape, x), Tensor::i32([n], y))
    }
}

/// Indices of training and held-out rows.
pub(crate) fn split(rows: &Rows, split: Option<Split>) -> Result<(Vec<usize>, Option<Vec<usize>>), DataError> {
    let all = 0..rows.y.len();
    let Some(Split { every, offset }) = split else { return Ok((all.collect(), None)) };
    let is_held_out = |index: &usize| every > 0 && index % every == offset;
    let (held_out, train): (Vec<_>, Vec<_>) = all.partition(is_held_out);
    if held_out.is_empty() || train.is_empty() {
        return Err(DataError::Split { every, offset, train: train.len(), held_out: held_out.len() });
    }
    Ok((train, Some(held_out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: DataFile = DataFile { header: false, scale: 0.5, features: 2, classes: Some(3) };

    #[test]
    fn samples_are_scaled_and_labels_are_last() {
        let rows = FILE.parse("1,2,0\n\n 3 , 4.5e0 , 2\r\n").unwrap();
        assert_eq!(rows, Rows { features: 2, x: vec![0.5, 1.0, 1.5, 2.25], y: vec![0, 2] });
        let header = DataFile { header: true, ..FILE };
        assert_eq!(header.parse("a,b,label\n1,2,0\n3,4.5,2").unwrap(), rows);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        for (text, expected) in [
            ("", "no samples"),
            ("1,2,0\n1,2\n", "line 2: 2 columns, expected 2 features and a label"),
            ("1,x,0", "line 1, column 2: \"x\" is not a finite number"),
            ("1,nan,0", "line 1, column 2: \"nan\" is not a finite number"),
            ("1,1e39,0", "line 1, column 2: \"1e39\" is not a finite number"),
            ("1,2,3", "line 1: label \"3\" is not a whole number from 0 to 2"),
            ("1,2,-1", "line 1: label \"-1\" is not a whole number from 0 to 2"),
            ("1,2,0.5", "line 1: label \"0.5\" is not a whole number from 0 to 2"),
        ] {
            assert_eq!(FILE.parse(text).unwrap_err().to_string(), expected);
        }
        let scale = DataFile { scale: f32::INFINITY, ..FILE };
        assert_eq!(scale.parse("1,2,0"), Err(DataError::Scale(f32::INFINITY)));
    }

    #[test]
    fn held_out_rows_go_by_index() {
        let rows = Rows { features: 0, x: vec![], y: vec![0; 11] };
        let (train, held_out) = split(&rows, Some(Split { every: 5, offset: 4 })).unwrap();
        assert_eq!(held_out, Some(vec![4, 9]));
        assert_eq!(train, [0, 1, 2, 3, 5, 6, 7, 8, 10]);
        for (every, offset) in [(0, 0), (5, 5), (1, 0), (20, 15)] {
            assert!(split(&rows, Some(Split { every, offset })).is_err(), "{every} {offset}");
        }
    }
}

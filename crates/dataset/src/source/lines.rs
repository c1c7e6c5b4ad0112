//! Bytes of a text format, decompressed, and their lines: a line beyond the limit is passed over, not kept.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::limits::MAX_LINE_BYTES;
use crate::{DatasetError, Format, Reason};

const BUFFER_BYTES: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A text file, decompressed if it starts as gzip does.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, DatasetError> {
    let file = File::open(path).map_err(DatasetError::io(path))?;
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, file);
    if plain.fill_buf().map_err(DatasetError::io(path))?.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(plain))));
    }
    Ok(Box::new(plain))
}

/// What reading text met: the system's refusal, or gzip that is broken or cut off.
pub(super) fn failure(path: &Path, format: Format, place: String, error: io::Error) -> DatasetError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => {
            DatasetError::Broken { path: path.to_owned(), place, format, detail: format!("gzip: {error}") }
        }
        _ => DatasetError::Io { path: path.to_owned(), source: error },
    }
}

/// Lines of a file, numbered from 1.
pub(super) struct Lines {
    path: PathBuf,
    format: Format,
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path, format: Format) -> Result<Self, DatasetError> {
        Ok(Self { path: path.to_owned(), format, input: open(path)?, line: Vec::new(), number: 0 })
    }

    /// Number of the line that was read last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end, or why it cannot be had.
    pub(super) fn next(&mut self) -> Result<Option<Result<&str, Reason>>, DatasetError> {
        self.line.clear();
        let length = self
            .fill()
            .map_err(|error| failure(&self.path, self.format, format!("line {}", self.number + 1), error))?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length > MAX_LINE_BYTES as u64 {
            return Ok(Some(Err(Reason::Limit { what: "bytes of a line", got: length, limit: MAX_LINE_BYTES as u64 })));
        }
        let mut line = &*self.line;
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        Ok(Some(std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)))
    }

    /// Reads up to the end of a line and returns its length; keeps no more than the limit of it.
    fn fill(&mut self) -> io::Result<u64> {
        let kept = self.input.by_ref().take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut self.line)? as u64;
        if kept <= MAX_LINE_BYTES as u64 || self.line.last() == Some(&b'\n') {
            return Ok(kept);
        }
        self.line = Vec::new();
        Ok(kept + self.input.skip_until(b'\n')? as u64)
    }
}

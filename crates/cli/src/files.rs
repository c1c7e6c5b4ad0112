//! Files with names in their errors, and private ones.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::error::CliError;

pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::Io { path, source }
}

pub(crate) fn read_text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(io_error(path))
}

/// Writes a file that is either whole or not there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let unfinished = path.with_added_extension("part");
    fs::write(&unfinished, bytes).map_err(io_error(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io_error(path))
}

/// 32 secret bytes kept in hexadecimal in a file that only the owner can read; made at the first call.
pub(crate) fn secret(path: &Path) -> Result<[u8; 32], CliError> {
    if path.exists() {
        let text = read_text(path)?;
        let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        return bytes.ok_or_else(|| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "not 32 bytes in hexadecimal");
            CliError::Io { path: path.to_owned(), source }
        });
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| CliError::Random(error.to_string()))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(io_error(path))?;
    file.write_all(hex::encode(secret).as_bytes()).map_err(io_error(path))?;
    Ok(secret)
}

/// Where this user's worker keeps its key unless told otherwise.
pub(crate) fn default_worker_dir() -> PathBuf {
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).unwrap_or_default().join("shoal")
}

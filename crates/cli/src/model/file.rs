//! A model file, and the files beside it that its weights lie in.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use shoal_onnx::{Model, OnnxError, Summary};

use crate::{
    error::CliError,
    files::{io_error, read_text},
};

/// Labels of a file are a line each; no published set of classes has a hundredth of so many bytes.
const MAX_LABELS_BYTES: u64 = 64 << 20;

/// An ONNX file that was read.
pub(crate) struct ModelFile {
    path: PathBuf,
    bytes: Bytes,
    /// What is in it.
    pub(crate) summary: Summary,
}

impl ModelFile {
    pub(crate) fn open(path: &Path) -> Result<Self, CliError> {
        let bytes = Bytes::from(fs::read(path).map_err(io_error(path))?);
        let summary = Summary::read(bytes.clone()).map_err(|source| model_error(path, source))?;
        Ok(Self { path: path.to_owned(), bytes, summary })
    }

    /// The model with its weights, from files beside it or from those named here.
    pub(crate) fn model(&self, weights: &[PathBuf]) -> Result<Model, CliError> {
        let mut external = BTreeMap::new();
        for name in &self.summary.external_files {
            external.insert(name.clone(), self.external(name, weights)?);
        }
        Model::read_with(self.bytes.clone(), &external).map_err(|source| model_error(&self.path, source))
    }

    /// A file that the model names. Names that lead out of the model's folder are not followed: the model may be a
    /// stranger's.
    fn external(&self, name: &str, given: &[PathBuf]) -> Result<Bytes, CliError> {
        let wanted = Path::new(name);
        let named = given.iter().find(|path| path.file_name() == wanted.file_name());
        let path = match named {
            Some(path) => path.clone(),
            None if wanted.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) => {
                self.path.parent().unwrap_or(Path::new("")).join(wanted)
            }
            None => {
                return Err(CliError::Argument {
                    argument: "--weights",
                    value: name.to_owned(),
                    reason: "the model keeps weights there, outside its folder; name the file".to_owned(),
                });
            }
        };
        Ok(Bytes::from(fs::read(&path).map_err(io_error(&path))?))
    }
}

pub(crate) fn model_error(path: &Path, source: OnnxError) -> CliError {
    CliError::Model { path: path.to_owned(), source: Box::new(source) }
}

/// One label a line, in the order of the classes.
pub(crate) fn labels(path: &Path) -> Result<Vec<String>, CliError> {
    let bytes = fs::metadata(path).map_err(io_error(path))?.len();
    if bytes > MAX_LABELS_BYTES {
        return Err(CliError::Argument {
            argument: "--labels",
            value: path.display().to_string(),
            reason: format!("{bytes} bytes, at most {MAX_LABELS_BYTES} are read"),
        });
    }
    Ok(read_text(path)?.lines().map(|line| line.trim().to_owned()).collect())
}

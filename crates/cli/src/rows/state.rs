//! What is kept of a job beside its output, so that a command that is killed can be gone on with: the job's id, what it was
//! submitted for, and how many rows of the partial output are whole. Written whole or not at all, after the rows it counts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shoal_wire::ids::{BlobId, JobId};

use super::RowsError;
use crate::{
    error::CliError,
    files::{io_error, write_whole},
};

/// Version of the file.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// The job.
    pub(super) job: JobId,
    /// Hash of the job's document and of what becomes of its outputs.
    pub(super) document: BlobId,
    /// Whole rows of the partial output.
    pub(super) rows: u64,
}

impl State {
    pub(super) fn new(job: JobId, document: BlobId) -> Self {
        Self { version: VERSION, job, document, rows: 0 }
    }

    /// Where it is kept for an output.
    pub(super) fn path(output: &Path) -> PathBuf {
        output.with_added_extension("job")
    }

    /// What was kept for an output, if a job for it is not finished.
    pub(super) fn read(output: &Path) -> Result<Option<Self>, CliError> {
        let path = Self::path(output);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(io_error(&path))?;
        let damaged = |reason: String| RowsError::State { path: path.clone(), reason };
        let state: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        match state.version {
            VERSION => Ok(Some(state)),
            other => Err(damaged(format!("version {other} is not read, {VERSION} is")).into()),
        }
    }

    pub(super) fn write(&self, output: &Path) -> Result<(), CliError> {
        write_whole(&Self::path(output), &serde_json::to_vec(self).expect("plain data"))
    }

    /// Nothing is left to go on with.
    pub(super) fn remove(output: &Path) -> Result<(), CliError> {
        let path = Self::path(output);
        fs::remove_file(&path).map_err(io_error(&path))
    }
}

//! Job files: TOML with the model, the training and the data as a file, turned into a checked job document and blobs.
//!
//! Everything that can be wrong is found here, before anything is uploaded, and named with its line, field, value and
//! limit: the file's form, the model's shapes, each number, each row of the data.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shoal_compute::Tensors;
use shoal_graph::{GraphError, programs};
use shoal_wire::{
    ids::BlobId,
    job::{DataSpec, JobError, JobSpec, LayerSpec, ModelSpec, SchedulingSpec, TrainingSpec},
    limits::{MAX_BLOB_LEN, MAX_JOB_SPEC_LEN},
};

use super::data::{self, DataError, DataFile, Rows, Split};
use crate::{error::CliError, relay_api::RelayApi};

/// Why a job file cannot be submitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobFileError {
    /// The file or its data file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More than a job document may be.
    #[error("{}: {len} bytes, at most {limit} are allowed", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// Allowed.
        limit: u64,
    },
    /// Not TOML of this shape; the words name line, column and field.
    #[error("{}: {}", path.display(), reason.trim_end())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// The parser's words.
        reason: String,
    },
    /// A number out of range.
    #[error("{}: {source}", path.display())]
    Spec {
        /// Which file.
        path: PathBuf,
        /// Field, value and limit.
        source: JobError,
    },
    /// Layers that do not fit each other, or a tensor that is too large.
    #[error("{}: model: {source}", path.display())]
    Model {
        /// Which file.
        path: PathBuf,
        /// Shapes and limits.
        source: GraphError,
    },
    /// The data are wrong.
    #[error("{}: {source}", path.display())]
    Data {
        /// The data file.
        path: PathBuf,
        /// Line, column, value and limit.
        source: DataError,
    },
}

impl JobFileError {
    /// Stable name for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "file",
            Self::TooLong { .. } => "job_too_long",
            Self::Malformed { .. } => "job_malformed",
            Self::Spec { source: JobError::Malformed(_), .. } => "job_malformed",
            Self::Spec { .. } => "job_out_of_range",
            Self::Model { .. } => "model_invalid",
            Self::Data { .. } => "data_invalid",
        }
    }
}

/// A job file's contents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    name: String,
    model: ModelSpec,
    data: DataSection,
    training: TrainingSpec,
    #[serde(default)]
    scheduling: SchedulingSpec,
}

/// `[data]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataSection {
    /// CSV, a sample a line with its label in the last column; `.gz` is unpacked. Relative to the job file.
    file: PathBuf,
    /// Whether the first line names the columns.
    #[serde(default)]
    header: bool,
    /// Every feature is multiplied by this.
    #[serde(default = "unit_scale")]
    scale: f32,
    /// Which samples are held out.
    #[serde(default)]
    held_out: Option<Split>,
}

fn unit_scale() -> f32 {
    1.0
}

/// One blob of samples.
pub(crate) struct Samples {
    /// How many.
    pub(crate) samples: usize,
    blob: Vec<u8>,
}

/// A job that was checked; the data are still here.
pub(crate) struct Prepared {
    /// The document as it will be submitted.
    pub(crate) spec: JobSpec,
    /// Training samples.
    pub(crate) train: Samples,
    /// Held-out samples.
    pub(crate) held_out: Option<Samples>,
}

impl Prepared {
    /// Uploads the data; returns the document that names them.
    pub(crate) async fn upload(self, relay: &RelayApi) -> Result<JobSpec, CliError> {
        relay.upload(self.train.blob).await?;
        if let Some(held_out) = self.held_out {
            relay.upload(held_out.blob).await?;
        }
        Ok(self.spec)
    }
}

/// Reads and checks a job file and its data.
pub(crate) fn prepare(path: &Path) -> Result<Prepared, JobFileError> {
    let job = read(path)?;
    let at = |source| JobFileError::Spec { path: path.to_owned(), source };
    let mut spec = JobSpec {
        name: job.name,
        model: job.model,
        data: DataSpec { train: BlobId([0; 32]), held_out: None },
        training: job.training,
        scheduling: job.scheduling,
    };
    spec.check().map_err(at)?;
    let model = |source| JobFileError::Model { path: path.to_owned(), source };
    programs::training_step(&spec.model, spec.training.batch).map_err(model)?;
    if spec.training.gradient_units_per_round > 0 {
        programs::gradient(&spec.model, spec.training.gradient_batch).map_err(model)?;
    }

    let data_path = path.parent().unwrap_or(Path::new("")).join(&job.data.file);
    let wrong = |source| JobFileError::Data { path: data_path.clone(), source };
    let file = DataFile {
        header: job.data.header,
        scale: job.data.scale,
        features: spec.model.input.iter().map(|dim| *dim as usize).product(),
        classes: classes(&spec.model),
    };
    let text = data::read_text(&data_path).map_err(|source| match source {
        data::ReadError::Io(source) => JobFileError::Unreadable { path: data_path.clone(), source },
        data::ReadError::Data(source) => wrong(source),
    })?;
    let rows = file.parse(&text).map_err(wrong)?;
    let (train, held_out) = data::split(&rows, job.data.held_out).map_err(wrong)?;
    let train = samples(&rows, &train, &spec.model.input).map_err(wrong)?;
    let held_out = held_out.map(|lines| samples(&rows, &lines, &spec.model.input)).transpose().map_err(wrong)?;
    let units = spec.training.units_per_round as usize;
    if train.samples < units {
        return Err(wrong(DataError::FewerThanUnits { samples: train.samples, units }));
    }
    spec.data.train = BlobId::of(&train.blob);
    spec.data.held_out = held_out.as_ref().map(|data| BlobId::of(&data.blob));
    Ok(Prepared { spec, train, held_out })
}

fn read(path: &Path) -> Result<JobFile, JobFileError> {
    let unreadable = |source| JobFileError::Unreadable { path: path.to_owned(), source };
    let (len, limit) = (std::fs::metadata(path).map_err(unreadable)?.len(), MAX_JOB_SPEC_LEN as u64);
    if len > limit {
        return Err(JobFileError::TooLong { path: path.to_owned(), len, limit });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    toml::from_str(&text).map_err(|error| JobFileError::Malformed { path: path.to_owned(), reason: error.to_string() })
}

/// Classes that the model tells apart, where its last layer says so.
fn classes(model: &ModelSpec) -> Option<u32> {
    match model.layers.last() {
        Some(LayerSpec::Dense { units }) => Some(*units),
        _ => None,
    }
}

fn samples(rows: &Rows, lines: &[usize], input: &[u32]) -> Result<Samples, DataError> {
    let (samples, mut tensors) = (lines.len(), Tensors::new());
    // Before anything of this size is made: the blob is the numbers and a short header.
    let len = samples as u64 * (rows.features as u64 + 1) * 4;
    if len > MAX_BLOB_LEN {
        return Err(DataError::TooLarge { len, limit: MAX_BLOB_LEN });
    }
    let (x, y) = rows.tensors(lines, input);
    tensors.insert(programs::SAMPLES, x);
    tensors.insert(programs::LABELS, y);
    Ok(Samples { samples, blob: tensors.to_bytes() })
}

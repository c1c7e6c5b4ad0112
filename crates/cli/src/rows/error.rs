//! Why a model, a source and flags do not go together.

use std::path::PathBuf;

use shoal_dataset::RowError;
use shoal_wire::ids::JobId;

/// What is wrong, with the value and what would be right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    /// The model reads something that nothing in the source becomes.
    #[error("input {input} {shape} of the model: no column of {source_name} becomes it; there are {columns}")]
    NoColumn {
        /// Input of the model.
        input: String,
        /// Its shape.
        shape: String,
        /// The source.
        source_name: String,
        /// Columns of its first row.
        columns: String,
    },
    /// The source has no row that can be read.
    #[error("{source_name} has no row that can be read")]
    NoRows {
        /// The source.
        source_name: String,
    },
    /// A text model without a tokenizer.
    #[error("input {input} of the model takes token ids: name its tokenizer.json with --tokenizer; there is none at {}", path.display())]
    NoTokenizer {
        /// Input of the model.
        input: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// An image model of any size.
    #[error("input {input} {shape} of the model takes images of any size: give one with --image-size")]
    NoImageSize {
        /// Input of the model.
        input: String,
        /// Its shape.
        shape: String,
    },
    /// A flag with another number of values than there must be.
    #[error("{flag} has {got} values, {expected} are needed")]
    Values {
        /// The flag.
        flag: &'static str,
        /// Values given.
        got: usize,
        /// Values needed.
        expected: usize,
    },
    /// An output that the model does not have.
    #[error("the model has no output {name}; it has {known}")]
    NoOutput {
        /// Name given.
        name: String,
        /// Names there are.
        known: String,
    },
    /// An output whose rows cannot be told apart.
    #[error("output {name} has shape {shape:?}; {batch} rows must be its first dimension")]
    NotRows {
        /// The output.
        name: String,
        /// Its shape.
        shape: Vec<u32>,
        /// Rows of a run.
        batch: u32,
    },
    /// A step that an output of this shape does not allow.
    #[error("{flag} needs {needs}; output {name} has shape {shape:?}")]
    Step {
        /// The flag.
        flag: &'static str,
        /// What it needs.
        needs: &'static str,
        /// The output.
        name: String,
        /// Its shape, the rows first.
        shape: Vec<u32>,
    },
    /// A number of rows that the model does not take.
    #[error("--batch is {given}; the model's own is {model}")]
    Batch {
        /// As given.
        given: u32,
        /// As in the model.
        model: u32,
    },
    /// An input of a type that no recipe makes.
    #[error("input {input} of the model holds {element}; rows become 32-bit floats and integers")]
    Element {
        /// Input of the model.
        input: String,
        /// Its type.
        element: String,
    },
    /// The one row there is cannot be an input.
    #[error(transparent)]
    Row(Box<RowError>),
    /// More units than a job may have.
    #[error("the input gives {units} units, a job has at most {limit}: raise --rows-per-unit")]
    Units {
        /// Units so far.
        units: usize,
        /// Most allowed.
        limit: u32,
    },
    /// A blob that no tab could hold.
    #[error("{what} is {bytes} bytes, the limit is {limit}")]
    Blob {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// Most allowed.
        limit: u64,
    },
    /// A job that is not finished, and would be lost.
    #[error("job {job} for {} was not finished: go on with it by --resume, or delete {}", output.display(), state.display())]
    Unfinished {
        /// The job.
        job: JobId,
        /// The output.
        output: PathBuf,
        /// What is kept of it.
        state: PathBuf,
    },
    /// A job that was submitted for something else.
    #[error("job {job} was submitted for another input, model or flags: repeat them, or delete {}", state.display())]
    Changed {
        /// The job.
        job: JobId,
        /// What is kept of it.
        state: PathBuf,
    },
    /// What was kept of a job is damaged.
    #[error("{}: {reason}; delete it to begin anew", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The swarm's output of a shard is not what its graph makes.
    #[error("the relay's output of shard {shard} is refused: {reason}")]
    Output {
        /// The shard.
        shard: u32,
        /// What is wrong.
        reason: String,
    },
}

impl RowsError {
    /// Stable name for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoColumn { .. } => "column_missing",
            Self::NoRows { .. } => "input_empty",
            Self::NoTokenizer { .. } => "tokenizer_missing",
            Self::NoImageSize { .. } => "image_size_missing",
            Self::Values { .. } | Self::Batch { .. } | Self::Step { .. } => "argument",
            Self::NoOutput { .. } | Self::NotRows { .. } => "output_tensor",
            Self::Element { .. } => "input_type",
            Self::Row(_) => "row_invalid",
            Self::Units { .. } | Self::Blob { .. } => "input_too_large",
            Self::Unfinished { .. } => "job_unfinished",
            Self::Changed { .. } => "job_changed",
            Self::State { .. } => "job_state",
            Self::Output { .. } => "output_invalid",
        }
    }
}

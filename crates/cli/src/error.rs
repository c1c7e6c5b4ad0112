//! Everything that can go wrong, with a stable code for machines and an exit code for scripts.

use std::{path::PathBuf, process::ExitStatus};

use shoal_chain::ChainError;
use shoal_compute::ComputeError;
use shoal_dataset::DatasetError;
use shoal_node::{ConfigError, WorkerError};
use shoal_onnx::OnnxError;
use shoal_wire::api::{ApiError, JobState};

use crate::{
    job::{file::JobFileError, state_name},
    link::LinkError,
    rows::RowsError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A job file or its data are wrong.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// A model cannot be read or lowered.
    #[error("{}: {source}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Names, shapes and limits.
        source: Box<OnnxError>,
    },
    /// An input cannot be read, or an output be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A model, an input and flags do not go together.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A model does not run on its inputs.
    #[error("the model does not run: {0}")]
    Compute(#[from] ComputeError),
    /// A join link or secret is damaged.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The model has no integer form.
    #[error(transparent)]
    Quantize(#[from] shoal_quantize::QuantizeError),
    /// A value of the command line is wrong in a way only known now.
    #[error("{argument} {value:?}: {reason}")]
    Argument {
        /// Its flag.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The relay did not answer.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The client's words.
        reason: String,
    },
    /// The relay answered with something that is not its API.
    #[error("{url} answered {status} with something unknown: {reason}")]
    UnknownAnswer {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is wrong with the body.
        reason: String,
    },
    /// The relay refused.
    #[error("the relay refused ({status}): {}", error.message)]
    RelayRefused {
        /// HTTP status.
        status: u16,
        /// Its code and words.
        error: ApiError,
    },
    /// The job ended without its result.
    #[error("the job ended {}{}", state_name(*.state), failure.as_deref().map(|f| format!(": {f}")).unwrap_or_default())]
    JobEnded {
        /// How.
        state: JobState,
        /// Why, if it failed.
        failure: Option<String>,
    },
    /// The relay program is not there.
    #[error("no relay program at {}; build it with `cargo build -p shoal-relay` or name it with --relay-program", path.display())]
    NoRelayProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The relay ended by itself.
    #[error("the relay ended: {0}")]
    RelayEnded(ExitStatus),
    /// The relay runs and does not listen.
    #[error("the relay did not listen within {limit_s} s")]
    RelayNotReady {
        /// How long it was waited for.
        limit_s: u64,
    },
    /// The worker cannot start.
    #[error(transparent)]
    WorkerConfig(#[from] ConfigError),
    /// The worker ended by itself.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The relay has no chain.
    #[error("the relay has no chain configured; name one with --rpc-url")]
    NoChain,
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

impl CliError {
    /// Stable name for machines.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::Io { .. } => "file",
            Self::JobFile(error) => error.code(),
            Self::Model { source, .. } if matches!(**source, OnnxError::Unsupported { .. }) => "model_unsupported",
            Self::Model { .. } => "model_invalid",
            Self::Dataset(DatasetError::Io { .. }) => "file",
            Self::Dataset(_) => "data_invalid",
            Self::Rows(error) => error.code(),
            Self::Compute(_) => "data_invalid",
            Self::Link(_) => "link_malformed",
            Self::Quantize(_) => "model_not_quantised",
            Self::Argument { .. } => "argument",
            Self::Unreachable { .. } => "relay_unreachable",
            Self::UnknownAnswer { .. } => "relay_answer_unknown",
            Self::RelayRefused { error, .. } => &error.code,
            Self::JobEnded { .. } => "job_ended",
            Self::NoRelayProgram { .. } => "relay_program_missing",
            Self::RelayEnded(_) => "relay_ended",
            Self::RelayNotReady { .. } => "relay_not_ready",
            Self::WorkerConfig(_) => "worker_config",
            Self::Worker(_) => "worker_refused",
            Self::NoChain => "chain_absent",
            Self::Chain(_) => "chain",
            Self::Random(_) => "no_random_bytes",
        }
        .to_owned()
    }

    /// See the crate's documentation.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. }
            | Self::Dataset(DatasetError::Io { .. })
            | Self::NoRelayProgram { .. }
            | Self::RelayEnded(_)
            | Self::RelayNotReady { .. }
            | Self::Random(_) => 1,
            // What the relay gave out is not what its job makes.
            Self::Rows(RowsError::Output { .. }) => 4,
            Self::JobFile(_)
            | Self::Model { .. }
            | Self::Dataset(_)
            | Self::Rows(_)
            | Self::Compute(_)
            | Self::Link(_)
            | Self::Quantize(_)
            | Self::Argument { .. }
            | Self::WorkerConfig(_) => 3,
            Self::Unreachable { .. } | Self::UnknownAnswer { .. } | Self::RelayRefused { .. } => 4,
            Self::JobEnded { .. } => 5,
            Self::Worker(_) => 6,
            Self::NoChain | Self::Chain(_) => 7,
        }
    }
}

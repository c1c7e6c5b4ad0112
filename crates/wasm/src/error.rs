//! Failures as JavaScript sees them: an `Error` with a `code` that never changes.

use shoal_node::{ConfigError, WorkerError};
use wasm_bindgen::JsValue;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The configuration object has not the right shape.
    #[error("configuration: {0}")]
    ConfigShape(String),
    /// A field of it has a value that cannot work.
    #[error("configuration field {field}: {reason}")]
    Config {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot work as a whole.
    #[error(transparent)]
    ConfigUse(#[from] ConfigError),
    /// One worker runs once.
    #[error("this worker was started before")]
    StartedBefore,
    /// The worker ended by itself.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The browser gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

impl Failure {
    /// Stable name, part of the interface.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::ConfigShape(_) | Self::Config { .. } | Self::ConfigUse(_) => "config_malformed",
            Self::StartedBefore => "started_before",
            Self::Worker(WorkerError::Config(_)) => "config_malformed",
            Self::Worker(WorkerError::Refused { .. }) => "relay_refused",
            Self::Worker(WorkerError::WrongNetwork { .. }) => "wrong_network",
            Self::Random(_) => "no_random_bytes",
        }
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let error = js_sys::Error::new(&failure.to_string());
        let set = js_sys::Reflect::set(&error, &"code".into(), &failure.code().into());
        debug_assert_eq!(set, Ok(true), "an Error takes properties");
        error.into()
    }
}

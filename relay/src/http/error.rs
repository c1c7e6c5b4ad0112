//! Failures as `ApiError` bodies with stable codes.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use shoal_wire::{
    api::ApiError,
    ids::{BlobId, IdError, JobId},
    job::JobError,
};

use crate::{
    engine::EngineStopped,
    plan::PlanError,
    rewards::BookError,
    store::{StoreError, blobs::BlobError},
};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The job document is malformed or out of range.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The job cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A blob that the job names was not uploaded.
    #[error("{field} names blob {id}, which was not uploaded")]
    BlobMissing {
        /// Path of the field.
        field: String,
        /// The blob.
        id: BlobId,
    },
    /// As many jobs run as may.
    #[error("{running} jobs are running, allowed is {limit}")]
    TooManyJobs {
        /// Running now.
        running: usize,
        /// Allowed.
        limit: usize,
    },
    /// The body is longer than allowed, or could not be read.
    #[error("request body: {detail}")]
    Body {
        /// What the reader says.
        detail: String,
        /// Whether it was too long.
        too_large: bool,
    },
    /// Not the content type that is needed.
    #[error("content type is {found:?}, needed is {needed}")]
    ContentType {
        /// As sent.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// An identifier in the path or query is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A query that is not understood.
    #[error("query: {0}")]
    Query(String),
    /// No such job.
    #[error("no job {0}")]
    UnknownJob(JobId),
    /// No such blob.
    #[error("no blob {0}")]
    UnknownBlob(BlobId),
    /// The job has no averaged round yet.
    #[error("job {0} has no model yet: no round is averaged")]
    NoModel(JobId),
    /// The job is not running.
    #[error("job {0} is not running")]
    NotRunning(JobId),
    /// The job trains a model and has no outputs of shards.
    #[error("job {0} is no map job")]
    NotMap(JobId),
    /// No such page.
    #[error("nothing at {0}")]
    NoSuchPath(String),
    /// The operator's token is missing or wrong.
    #[error("this needs the operator's bearer token")]
    Unauthorized,
    /// The request came from another site's page.
    #[error("requests from {origin} are refused, this is {host}")]
    ForeignOrigin {
        /// Origin header.
        origin: String,
        /// Host header.
        host: String,
    },
    /// The host name is not this relay's: another site's name was pointed here.
    #[error("host {0:?} is not this relay")]
    ForeignHost(String),
    /// Too many at once; try again.
    #[error("{what}: {limit} at once are allowed")]
    Busy {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// The relay does not listen yet or stops.
    #[error("the relay is starting or stopping")]
    NotReady,
    /// The store failed.
    #[error("the relay's store failed")]
    Store(#[from] StoreError),
    /// The blob folder failed.
    #[error("the relay's blob folder failed")]
    Blob(#[source] BlobError),
    /// The book failed.
    #[error("the relay's book failed")]
    Book(#[from] BookError),
}

impl From<EngineStopped> for Failure {
    fn from(_: EngineStopped) -> Self {
        Self::NotReady
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::TooLarge { .. } => Self::Body { detail: error.to_string(), too_large: true },
            other => Self::Blob(other),
        }
    }
}

impl Failure {
    /// Status and stable code.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Job(JobError::Malformed(_)) => (StatusCode::BAD_REQUEST, "job_malformed"),
            Self::Job(JobError::OutOfRange { .. } | JobError::ItemOutOfRange { .. } | JobError::Length { .. }) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "job_out_of_range")
            }
            Self::Plan(
                PlanError::Model(_) | PlanError::Parameters(_) | PlanError::NoLogits { .. } | PlanError::Map { .. },
            ) => (StatusCode::UNPROCESSABLE_ENTITY, "model_invalid"),
            Self::Plan(PlanError::UnitTooLarge { .. } | PlanError::OutputTooLarge { .. } | PlanError::Unit(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unit_too_large")
            }
            Self::Plan(_) => (StatusCode::UNPROCESSABLE_ENTITY, "data_invalid"),
            Self::BlobMissing { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "blob_missing"),
            Self::TooManyJobs { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_jobs"),
            Self::Body { too_large: true, .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Body { .. } => (StatusCode::BAD_REQUEST, "body_unreadable"),
            Self::ContentType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type"),
            Self::Id(_) => (StatusCode::BAD_REQUEST, "id_malformed"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query_malformed"),
            Self::UnknownJob(_) => (StatusCode::NOT_FOUND, "job_unknown"),
            Self::UnknownBlob(_) => (StatusCode::NOT_FOUND, "blob_unknown"),
            Self::NoModel(_) => (StatusCode::NOT_FOUND, "model_absent"),
            Self::NotRunning(_) => (StatusCode::CONFLICT, "job_not_running"),
            Self::NotMap(_) => (StatusCode::CONFLICT, "job_not_map"),
            Self::NoSuchPath(_) => (StatusCode::NOT_FOUND, "path_unknown"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::ForeignOrigin { .. } => (StatusCode::FORBIDDEN, "foreign_origin"),
            Self::ForeignHost(_) => (StatusCode::FORBIDDEN, "foreign_host"),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::Store(_) | Self::Blob(_) | Self::Book(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            // What exactly failed is the operator's business.
            tracing::error!(error = ?self, "request failed");
        }
        (status, Json(ApiError { code: code.to_owned(), message: self.to_string() })).into_response()
    }
}

//! Jobs: submit, list, look, cancel; their models and receipts.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::IntoResponse,
};
use serde::Serialize;
use shoal_mesh::limits::MAX_ACTIVE_JOBS;
use shoal_wire::{
    api::{ApiError, JobCreated, JobStatus},
    ids::{BlobId, JobId, LeaseId, NodeId, UnitId},
    job::{JobDocument, JobSpec},
};

use super::{App, Failure, blobs::body_failure, map, status::job_status};
use crate::{
    context::Context,
    engine::Command,
    plan::{job_id, plan_job},
    store::{JobRow, NewJob, Shard},
};

/// Submit a job
///
/// The body is the job document. It is checked whole, with its data, before the answer; work begins at once.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = JobDocument,
    responses((status = 200, body = JobCreated), (status = 400, body = ApiError), (status = 422, body = ApiError)))]
pub(super) async fn submit_job(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<JobCreated>, Failure> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if found.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(Failure::ContentType { found: found.to_owned(), needed: "application/json" });
    }
    let document = body.map_err(|rejection| body_failure(&rejection))?.to_vec();
    let spec = JobDocument::from_json(&document)?;
    let _turn = app.submitting.lock().await;
    let context = &app.context;
    let running = context.public_store.running_jobs().await?.len();
    if running >= MAX_ACTIVE_JOBS {
        return Err(Failure::TooManyJobs { running, limit: MAX_ACTIVE_JOBS });
    }
    let new = match spec {
        JobDocument::Training(spec) => plan(context, document, spec).await?,
        JobDocument::Map(spec) => map::plan(context, document, spec).await?,
    };
    let id = new.id;
    context.public_store.insert_job(&new).await?;
    tracing::info!(job = %id, name = new.name, rounds = new.rounds, units = new.units.len(), "job submitted");
    app.engine.send(Command::StartRound { job: id }).await?;
    Ok(Json(JobCreated { id }))
}

/// Plans a job and stores its blobs.
async fn plan(context: &Arc<Context>, document: Vec<u8>, spec: JobSpec) -> Result<NewJob, Failure> {
    let train = named_blob(context, "data.train", spec.data.train).await?;
    let held_out = match spec.data.held_out {
        Some(id) => Some(named_blob(context, "data.held_out", id).await?),
        None => None,
    };
    let ordinal = context.public_store.count_documents(&document).await?;
    let (id, blobs) = (job_id(&document, ordinal), context.blobs.clone());
    let planned = tokio::task::spawn_blocking(move || {
        let planned = plan_job(id, spec, &train, held_out.as_deref())?;
        for bytes in planned.graphs.blobs().chain([planned.parameters.as_slice()]) {
            blobs.put_blocking(bytes)?;
        }
        for (bytes, _) in &planned.shards {
            blobs.put_blocking(bytes)?;
        }
        Ok::<_, Failure>(planned)
    });
    let planned = planned.await.expect("planning does not panic")?;
    Ok(NewJob {
        id,
        document,
        ordinal,
        name: planned.spec.name,
        rounds: planned.spec.training.rounds,
        parameters: BlobId::of(&planned.parameters),
        shards: planned
            .shards
            .iter()
            .map(|(bytes, samples)| Shard { blob: BlobId::of(bytes), samples: *samples })
            .collect(),
        units: planned.units,
    })
}

/// The bytes of a blob that the document names in that field.
pub(super) async fn named_blob(context: &Context, field: &str, id: BlobId) -> Result<Vec<u8>, Failure> {
    context.blobs.get(id).await?.ok_or_else(|| Failure::BlobMissing { field: field.to_owned(), id })
}

/// List jobs
///
/// Oldest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", responses((status = 200, body = Vec<JobStatus>)))]
pub(super) async fn list_jobs(State(app): State<App>) -> Result<Json<Vec<JobStatus>>, Failure> {
    let mut jobs = Vec::new();
    for row in app.context.public_store.jobs().await? {
        jobs.push(job_status(&app.context, row).await?);
    }
    Ok(Json(jobs))
}

/// Look at a job
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobStatus), (status = 404, body = ApiError)))]
pub(super) async fn get_job(State(app): State<App>, Path(id): Path<String>) -> Result<Json<JobStatus>, Failure> {
    let row = known(&app, &id).await?;
    Ok(Json(job_status(&app.context, row).await?))
}

/// Cancel a job
///
/// What was accepted stays accepted and paid.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobStatus), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn cancel_job(State(app): State<App>, Path(id): Path<String>) -> Result<Json<JobStatus>, Failure> {
    let job = known(&app, &id).await?.id;
    if !app.engine.cancel_job(job).await?? {
        return Err(Failure::NotRunning(job));
    }
    Ok(Json(job_status(&app.context, known(&app, &id).await?).await?))
}

/// Fetch the model
///
/// Parameters after the last averaged round, safetensors.
#[utoipa::path(get, path = "/v1/jobs/{id}/model", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ApiError)))]
pub(super) async fn get_model(State(app): State<App>, Path(id): Path<String>) -> Result<impl IntoResponse, Failure> {
    let row = known(&app, &id).await?;
    let is_map = matches!(crate::engine::parse(&row)?, JobDocument::Map(_));
    if row.rounds_done == 0 || is_map {
        return Err(Failure::NoModel(row.id));
    }
    let bytes = app.context.blobs.get(row.parameters).await?.ok_or(Failure::UnknownBlob(row.parameters))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes))
}

/// One receipt; `envelope` proves the rest.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ReceiptBody {
    #[schema(value_type = String)]
    unit: UnitId,
    #[schema(value_type = String)]
    lease: LeaseId,
    #[schema(value_type = String)]
    worker: NodeId,
    /// Where it is paid, `0x…`, if an address was bound when the unit was accepted.
    payout: Option<String>,
    reference_ops: u64,
    /// The signed acceptance envelope with the verdict in it, hexadecimal.
    envelope: String,
}

/// List a job's receipts
///
/// In order of acceptance.
#[utoipa::path(get, path = "/v1/jobs/{id}/receipts", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Vec<ReceiptBody>), (status = 404, body = ApiError)))]
pub(super) async fn get_receipts(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Vec<ReceiptBody>>, Failure> {
    let row = known(&app, &id).await?;
    let receipts = app.context.public_store.job_receipts(&row.id).await?;
    let body = receipts.into_iter().map(|row| ReceiptBody {
        unit: row.receipt.unit,
        lease: row.receipt.lease,
        worker: row.receipt.worker,
        payout: row.receipt.payout.map(|address| format!("0x{}", hex::encode(address))),
        reference_ops: row.receipt.reference_ops,
        envelope: hex::encode(row.receipt.envelope),
    });
    Ok(Json(body.collect()))
}

/// The job of a path.
pub(super) async fn known(app: &App, id: &str) -> Result<JobRow, Failure> {
    let id: JobId = id.parse()?;
    app.context.public_store.job(&id).await?.ok_or(Failure::UnknownJob(id))
}

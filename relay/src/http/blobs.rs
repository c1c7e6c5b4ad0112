//! Blobs over HTTP: upload by the operator, download by anybody who knows the hash.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest as _, Path, Request, State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::IntoResponse,
};
use shoal_wire::{
    api::{ApiError, BlobCreated},
    ids::BlobId,
};

use super::{App, Failure, MAX_UPLOADS};

/// Upload a blob
///
/// The body is the blob itself, at most 256 MiB. Uploading a known blob again changes nothing.
#[utoipa::path(put, path = "/v1/blobs", tag = "blobs", request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = BlobCreated), (status = 413, body = ApiError), (status = 401, body = ApiError)))]
pub(super) async fn put_blob(State(app): State<App>, request: Request) -> Result<Json<BlobCreated>, Failure> {
    let busy = Failure::Busy { what: "uploads", limit: MAX_UPLOADS };
    let _permit = app.uploads.try_acquire().map_err(|_| busy)?;
    // Read only once there is room: the permit bounds the memory of all uploads.
    let bytes = Bytes::from_request(request, &app).await;
    let bytes = bytes.map_err(|rejection| body_failure(&rejection))?;
    let size = bytes.len() as u64;
    let id = app.context.blobs.put(bytes.into()).await?;
    tracing::info!(blob = %id, size, "blob uploaded");
    Ok(Json(BlobCreated { id, size }))
}

/// Fetch a blob
#[utoipa::path(get, path = "/v1/blobs/{id}", tag = "blobs", params(("id" = String, Path, description = "BLAKE3 hash, 64 hexadecimal digits")),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ApiError)))]
pub(super) async fn get_blob(State(app): State<App>, Path(id): Path<String>) -> Result<impl IntoResponse, Failure> {
    let id: BlobId = id.parse()?;
    let bytes = app.context.blobs.get(id).await?.ok_or(Failure::UnknownBlob(id))?;
    // Content never changes under its hash.
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes))
}

pub(super) fn body_failure(rejection: &BytesRejection) -> Failure {
    let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
    Failure::Body { detail: rejection.body_text(), too_large }
}

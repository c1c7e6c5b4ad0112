//! Blobs over HTTP: upload by the operator, download by anybody who knows the hash; in a private swarm by the operator alone.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{FromRequest as _, Path, Request, State, rejection::BytesRejection},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use shoal_wire::{
    api::{ApiError, BlobCreated},
    ids::BlobId,
};

use super::{App, Failure, MAX_DOWNLOADS, MAX_UPLOADS, range};

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
///
/// The whole, or with `Range` one part of it; HEAD gives the headers alone. Bytes never change under their hash, so a CDN
/// may fetch from here and keep them for ever, and pages of every origin may read them. A relay of a private swarm gives
/// them to its operator alone.
#[utoipa::path(get, path = "/v1/blobs/{id}", tag = "blobs",
    params(("id" = String, Path, description = "BLAKE3 hash, 64 hexadecimal digits"),
        ("range" = Option<String>, Header, description = "One range of bytes; several are answered with the whole"),
        ("if-none-match" = Option<String>, Header, description = "Entity tag: the hash in quotes")),
    responses((status = 200, content_type = "application/octet-stream", description = "The whole blob"),
        (status = 206, content_type = "application/octet-stream", description = "The part that was asked for"),
        (status = 304, description = "The client has it"), (status = 401, body = ApiError), (status = 404, body = ApiError),
        (status = 416, description = "The blob has no such part")))]
pub(super) async fn get_blob(
    State(app): State<App>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let id: BlobId = id.parse()?;
    let blobs = &app.context.public_blobs;
    let len = blobs.len(id).await?.ok_or(Failure::UnknownBlob(id))?;
    let tag = range::tag(&id);
    let wanted = range::wanted(&method, &headers, &tag, len);
    let body = match wanted.bytes(len).filter(|_| method == Method::GET) {
        Some(bytes) => {
            let busy = Failure::Busy { what: "downloads", limit: MAX_DOWNLOADS };
            let _permit = app.downloads.try_acquire().map_err(|_| busy)?;
            Body::from_stream(blobs.read(id, bytes).await?.ok_or(Failure::UnknownBlob(id))?)
        }
        None => Body::empty(),
    };
    Ok(range::answer(&tag, len, &wanted, body, app.private))
}

pub(super) fn body_failure(rejection: &BytesRejection) -> Failure {
    let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
    Failure::Body { detail: rejection.body_text(), too_large }
}

//! What a volunteer or a monitor asks.

use axum::{Json, extract::State, http::header, response::IntoResponse};
use shoal_wire::api::{ApiError, ConnectionRow, JoinInfo, WorkerRow};

use super::{App, Failure, status::connected};

/// How to join
#[utoipa::path(get, path = "/v1/join", tag = "volunteers",
    responses((status = 200, body = JoinInfo), (status = 503, body = ApiError)))]
pub(super) async fn join(State(app): State<App>) -> Result<Json<JoinInfo>, Failure> {
    app.context.join_info().map(Json).ok_or(Failure::NotReady)
}

/// List workers
///
/// Everyone who ever joined, most verified operations first.
#[utoipa::path(get, path = "/v1/workers", tag = "volunteers", responses((status = 200, body = Vec<WorkerRow>)))]
pub(super) async fn workers(State(app): State<App>) -> Result<Json<Vec<WorkerRow>>, Failure> {
    let rows = app.context.public_store.worker_rows(None).await?;
    Ok(Json(connected(&app.context, rows)))
}

/// List connections
///
/// Everyone connected now, from where, and how well; the oldest first. For the operator alone: network addresses are nobody
/// else's business.
#[utoipa::path(get, path = "/v1/connections", tag = "operator",
    responses((status = 200, body = Vec<ConnectionRow>), (status = 401, body = ApiError)))]
pub(super) async fn connections(State(app): State<App>) -> Json<Vec<ConnectionRow>> {
    Json(app.context.connections.rows(|node| app.context.is_connected(node)))
}

pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.context.metrics.text())
}

/// Answers once everything listens.
pub(super) async fn healthz(State(app): State<App>) -> Result<&'static str, Failure> {
    app.context.join_info().map(|_| "ok\n").ok_or(Failure::NotReady)
}

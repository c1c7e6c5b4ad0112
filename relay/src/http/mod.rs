//! The HTTP side: the API with its generated OpenAPI document, metrics, and the volunteer page.
//!
//! Reading is open, but for who is connected from where and for the blobs of a private swarm. These, uploading, submitting and cancelling are the operator's: over loopback alone, or with the bearer
//! token where HTTP is bound elsewhere ([`guard`]). Every failure answers with an `ApiError`.

mod blobs;
mod error;
mod events;
mod guard;
mod info;
mod jobs;
mod listener;
mod map;
mod range;
mod rewards;
mod status;
mod web;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use shoal_wire::limits::{MAX_BLOB_LEN, MAX_JOB_SPEC_LEN};
use tokio::sync::{Mutex, watch};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use error::Failure;
pub use guard::Guard;

use crate::{config::Config, context::Context, engine::EngineHandle, rewards::Book};

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub(crate) context: Arc<Context>,
    pub(crate) engine: EngineHandle,
    pub(crate) book: Arc<Mutex<Book>>,
    /// Submissions are planned one after another: planning holds a whole data set in memory.
    pub(crate) submitting: Arc<Mutex<()>>,
    /// Uploads at once.
    pub(crate) uploads: Arc<tokio::sync::Semaphore>,
    /// Requests for a blob's bytes that wait for the disk.
    pub(crate) downloads: Arc<tokio::sync::Semaphore>,
    /// Event streams at once.
    pub(crate) watchers: Arc<tokio::sync::Semaphore>,
    /// Whether blobs are the operator's alone.
    pub(crate) private: bool,
    /// Changes when the relay stops: event streams end then.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Uploads held in memory at once, of up to [`MAX_BLOB_LEN`] each.
const MAX_UPLOADS: usize = 4;

/// Requests for blobs' bytes that wait until the blob is hashed, at the first time, and opened. Sending is not counted: a
/// slow client holds no more than a chunk.
const MAX_DOWNLOADS: usize = 64;

/// Event streams open at once: consumers and consoles, not volunteers.
const MAX_WATCHERS: usize = 1000;

impl App {
    /// The state of a running relay.
    pub fn new(
        context: Arc<Context>,
        engine: EngineHandle,
        book: Arc<Mutex<Book>>,
        private: bool,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let submitting = Arc::default();
        let uploads = Arc::new(tokio::sync::Semaphore::new(MAX_UPLOADS));
        let downloads = Arc::new(tokio::sync::Semaphore::new(MAX_DOWNLOADS));
        let watchers = Arc::new(tokio::sync::Semaphore::new(MAX_WATCHERS));
        Self { context, engine, book, submitting, uploads, downloads, watchers, private, stop }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Shoal relay",
        description = "Submit jobs, watch them, fetch models; join as a volunteer; claim rewards."
    ),
    components(schemas(shoal_wire::api::ApiError))
)]
struct ApiDoc;

/// The whole service. The volunteer page may connect to the WebSockets among `addresses` and to the sources of blobs.
pub fn router(app: App, guard: Guard, config: &Config, addresses: &[String]) -> Router {
    let guarded = middleware::from_fn_with_state(Arc::new(guard.clone()), guard::operator_only);
    let operator = OpenApiRouter::new()
        .routes(routes!(blobs::put_blob))
        .layer(DefaultBodyLimit::max(usize::try_from(MAX_BLOB_LEN).expect("64-bit addresses")))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(jobs::submit_job))
                .routes(routes!(jobs::cancel_job))
                .layer(DefaultBodyLimit::max(MAX_JOB_SPEC_LEN)),
        )
        .routes(routes!(info::connections))
        .layer(guarded.clone());
    // HTTP asks for no join secret.
    let outputs = OpenApiRouter::new().routes(routes!(map::get_outputs));
    let outputs = if app.private { outputs.layer(guarded.clone()) } else { outputs };
    let downloads = OpenApiRouter::new().routes(routes!(blobs::get_blob));
    let downloads = if app.private { downloads.layer(guarded) } else { downloads.layer(range::cors()) };
    let (api, document) = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(operator)
        .merge(downloads)
        .merge(outputs)
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::get_job))
        .routes(routes!(jobs::get_model))
        .routes(routes!(jobs::get_receipts))
        .routes(routes!(events::job_events))
        .routes(routes!(info::join))
        .routes(routes!(info::workers))
        .routes(routes!(rewards::get_rewards))
        .split_for_parts();
    let document = document.to_pretty_json().expect("the document is plain data");
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    let api = api
        .route("/openapi.json", get(move || async move { (json, document) }))
        .route("/metrics", get(info::metrics))
        .route("/healthz", get(info::healthz))
        .with_state(app);
    web::with_page(api, config.web_dir.as_deref())
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::known_host))
        .layer(middleware::from_fn_with_state(web::Policy::new(addresses, &config.blob_sources), web::security_headers))
}

/// Serves until `stop` changes; requests in progress are finished.
///
/// # Errors
/// A socket that fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    axum::serve(listener::BoundedListener::new(listener), router)
        .with_graceful_shutdown(async move {
            // An error means that whoever could change it is gone.
            let _ = stop.changed().await;
        })
        .await
}

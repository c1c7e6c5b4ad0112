//! The volunteer page as static files, and the headers that keep any page here from doing anything else.

use std::path::Path;

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tower_http::services::ServeDir;

use super::Failure;

/// Scripts, styles, workers and WebAssembly from this origin alone; no frames, no forms, no plug-ins, no other hosts. Data
/// channels are outside this policy.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files of the folder where no API route matches; a named error where there is no file.
pub(super) fn with_page(api: Router, web_dir: Option<&Path>) -> Router {
    match web_dir {
        Some(folder) => {
            let missing = axum::routing::any(missing);
            api.fallback_service(ServeDir::new(folder).append_index_html_on_directories(true).fallback(missing))
        }
        None => api.fallback(missing),
    }
}

async fn missing(uri: Uri) -> Failure {
    Failure::NoSuchPath(uri.path().to_owned())
}

pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

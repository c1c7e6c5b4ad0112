//! The volunteer page as static files, and the headers that keep any page here from doing anything else.

use std::path::Path;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use shoal_transport::websocket;
use tower_http::services::ServeDir;

use super::Failure;
use crate::config::SourceTemplate;

/// Scripts, styles, workers and WebAssembly from this origin alone; no frames, no forms, no plug-ins, no other hosts but the
/// relay's WebSockets and the sources of blobs that it names. Data channels are outside this policy.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; connect-src 'self'";

/// The content security policy of a relay.
#[derive(Clone)]
pub(super) struct Policy(HeaderValue);

impl Policy {
    /// Allows the WebSockets among these multiaddresses, and these sources. Those at IPv6 literals are left out: the
    /// policy's grammar has no place for them.
    pub(super) fn new(addresses: &[String], sources: &[SourceTemplate]) -> Self {
        let urls = addresses.iter().filter_map(|text| websocket::url(&text.parse().ok()?).ok());
        let urls = urls.chain(sources.iter().map(|source| source.origin().to_owned()));
        let mut origins: Vec<String> = urls.filter(|url| !url.contains('[')).collect();
        origins.sort();
        origins.dedup();
        let origins: String = origins.iter().map(|url| format!(" {}", url.trim_end_matches('/'))).collect();
        let policy = format!("{CONTENT_SECURITY_POLICY}{origins}");
        Self(policy.try_into().expect("URLs and our own words are ASCII"))
    }
}

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

pub(super) async fn security_headers(State(policy): State<Policy>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.0);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        // A route may know better.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_relays_websockets_and_sources_and_nothing_else() {
        let addresses = [
            "/ip4/127.0.0.1/tcp/7041",
            "/ip4/127.0.0.1/tcp/7042/ws",
            "/ip6/::1/tcp/7042/ws",
            "/dns/relay.example/tcp/443/tls/ws",
            "/ip4/127.0.0.1/udp/7042/quic-v1",
        ];
        let sources = ["https://cdn.example/{id}", "https://cdn.example/b/{id}", "https://[2001:db8::1]/{id}"];
        let sources = SourceTemplate::parse_all(&sources.map(str::to_owned), false).unwrap();
        let Policy(policy) = Policy::new(&addresses.map(str::to_owned), &sources);
        let policy = policy.to_str().unwrap();
        let (_, sources) = policy.split_once("connect-src ").unwrap();
        assert_eq!(sources, "'self' https://cdn.example ws://127.0.0.1:7042 wss://relay.example:443");
    }
}

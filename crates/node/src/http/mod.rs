//! Byte ranges by HTTPS, for blobs that a CDN or a model hub holds too.
//!
//! Nothing here is trusted: every group is verified against the blob's id. A request carries no credentials, no cookies
//! and no referrer; what the server learns is this machine's address and what it fetches.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(not(target_arch = "wasm32"))]
mod reach;

use std::ops::Range;

use bytes::Bytes;
use futures::{future::LocalBoxFuture, stream::LocalBoxStream};
#[cfg(not(target_arch = "wasm32"))]
pub use native::NativeHttp;
#[cfg(not(target_arch = "wasm32"))]
pub use reach::Reach;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use reach::is_public;
use shoal_wire::limits::MAX_BLOB_SOURCE_LEN;

/// Why an HTTP request gave no bytes, or not all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// Not 206: the server has no such file, or does not serve ranges.
    #[error("status {0}")]
    Status(u16),
    /// It led to something that is not HTTPS, or out of reach.
    #[error("led away from https, or out of reach")]
    LedAway,
    /// On this machine or its networks.
    #[error("not on the public Internet")]
    OutOfReach,
    /// The answer ended early.
    #[error("answer broke: {0}")]
    Broken(String),
}

/// A body as it arrives.
pub type HttpBody = LocalBoxStream<'static, Result<Bytes, HttpError>>;

/// Fetches byte ranges.
pub trait HttpClient {
    /// The bytes of `range` of what `url` names, by `Range` and `206 Partial Content`. Dropping the body ends the request.
    fn get<'a>(&'a self, url: &'a str, range: Range<u64>) -> LocalBoxFuture<'a, Result<HttpBody, HttpError>>;
}

/// Whether a URL may be a source: `https` without user, password or fragment. With `loopback`, for
/// relays on this machine, `http` to an address of it may too; no other relay may make a volunteer's machine talk to itself.
pub(crate) fn is_source_url(url: &str, loopback: bool) -> bool {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['#', '\\']);
    let secure = url.strip_prefix("https://");
    let Some(rest) = secure.or_else(|| url.strip_prefix("http://").filter(|_| loopback)) else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let local = ["127.0.0.1:", "[::1]:", "localhost:"].iter().any(|host| authority.starts_with(host));
    plain
        && url.len() <= MAX_BLOB_SOURCE_LEN
        && !authority.is_empty()
        && !authority.contains('@')
        && (secure.is_some() || local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_is_a_source() {
        assert!(is_source_url("https://cdn.example/v1/blobs/00?x=y@z", false));
        for url in [
            "http://cdn.example/a",
            "http://127.0.0.1:80/a",
            "https://",
            "https:///a",
            "https://user@cdn.example/a",
            "https://user:secret@cdn.example/a",
            "https://cdn.example\\@evil/a",
            "https://cdn.example/a b",
            "https://cdn.example/a\r\nHost: b",
            "https://cdn.example/a#b",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_source_url(url, false), "{url}");
        }
        assert!(is_source_url("http://127.0.0.1:80/a", true) && is_source_url("http://[::1]:80/a", true));
        assert!(!is_source_url("http://cdn.example/a", true) && !is_source_url("http://127.0.0.1:1@evil/a", true));
        assert!(!is_source_url(&format!("https://a/{}", "b".repeat(MAX_BLOB_SOURCE_LEN)), false));
    }
}

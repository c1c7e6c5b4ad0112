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
pub(crate) use reach::is_near;

/// Why an HTTP request gave no bytes, or not all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// No answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// What was named is not a URL.
    #[error("not a URL")]
    Malformed,
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

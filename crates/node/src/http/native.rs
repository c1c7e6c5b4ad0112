//! HTTPS by reqwest and rustls.

use std::{ops::Range, time::Duration};

use futures::{
    StreamExt as _, TryStreamExt as _,
    future::{FutureExt as _, LocalBoxFuture},
};
use reqwest::{Client, StatusCode, Url, header, redirect::Policy};

use super::{
    HttpBody, HttpClient, HttpError,
    reach::{Reach, resolver},
};

/// Model hubs lead to their CDN by one or two redirects.
const MAX_REDIRECTS: usize = 4;

/// To a connection, its handshakes included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTPS client without cookies, referrers or names.
#[derive(Clone, Debug)]
pub struct NativeHttp {
    client: Client,
    reach: Reach,
}

impl NativeHttp {
    /// A client with this system's certificates.
    ///
    /// # Errors
    /// A system whose certificates cannot be read.
    pub fn new(reach: Reach) -> Result<Self, HttpError> {
        let policy = Policy::custom(move |attempt| {
            let url = attempt.url();
            if attempt.previous().len() > MAX_REDIRECTS || url.scheme() != "https" || !reach.allows(url) {
                return attempt.stop();
            }
            attempt.follow()
        });
        let client = Client::builder()
            .redirect(policy)
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(resolver(reach))
            .build()
            .map_err(|error| HttpError::NoAnswer(error.to_string()))?;
        Ok(Self { client, reach })
    }
}

impl HttpClient for NativeHttp {
    fn get<'a>(&'a self, url: &'a str, range: Range<u64>) -> LocalBoxFuture<'a, Result<HttpBody, HttpError>> {
        async move {
            let url: Url = url.parse().map_err(|_| HttpError::OutOfReach)?;
            if !self.reach.allows(&url) {
                return Err(HttpError::OutOfReach);
            }
            let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
            let request = self.client.get(url).header(header::RANGE, bytes).header(header::ACCEPT_ENCODING, "identity");
            let answer = request.send().await.map_err(|error| HttpError::NoAnswer(error.without_url().to_string()))?;
            if answer.status().is_redirection() {
                return Err(HttpError::LedAway);
            }
            if answer.status() != StatusCode::PARTIAL_CONTENT {
                return Err(HttpError::Status(answer.status().as_u16()));
            }
            let body = answer.bytes_stream().map_err(|error| HttpError::Broken(error.without_url().to_string()));
            Ok(body.boxed_local())
        }
        .boxed_local()
    }
}

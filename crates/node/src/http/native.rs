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
        let mut client = Client::builder()
            .redirect(policy)
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(resolver(reach));
        if reach == Reach::Public {
            // A proxy resolves names itself, and it may be on this network.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| HttpError::NoAnswer(error.to_string()))?;
        Ok(Self { client, reach })
    }
}

impl HttpClient for NativeHttp {
    fn get<'a>(&'a self, url: &'a str, range: Range<u64>) -> LocalBoxFuture<'a, Result<HttpBody, HttpError>> {
        async move {
            let url: Url = url.parse().map_err(|_| HttpError::Malformed)?;
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

#[cfg(test)]
mod tests {
    use std::{
        env,
        net::TcpListener,
        process::Command,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;

    /// In the environment of a child: the reach of its client.
    const REACH: &str = "SHOAL_TEST_REACH";

    async fn failure(reach: Reach, url: &str) -> HttpError {
        NativeHttp::new(reach).unwrap().get(url, 0..1).await.err().unwrap()
    }

    #[tokio::test]
    async fn what_is_not_a_url_is_not_called_out_of_reach() {
        assert_eq!(failure(Reach::Public, "https://").await, HttpError::Malformed);
        assert_eq!(failure(Reach::Public, "https://127.0.0.1/").await, HttpError::OutOfReach);
    }

    /// A process cannot change its own environment soundly, so this test is its own child.
    #[tokio::test]
    async fn a_client_for_the_public_asks_no_proxy_to_resolve_names() {
        if let Ok(reach) = env::var(REACH) {
            let reach = if reach == "public" { Reach::Public } else { Reach::Anywhere };
            // A name that never resolves: only a proxy is asked for it.
            assert!(matches!(failure(reach, "https://source.invalid/").await, HttpError::NoAnswer(_)));
            return;
        }
        let asked = |reach: &str| {
            let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = proxy.local_addr().unwrap();
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            // It hangs up at once, and ends with this process.
            thread::spawn(move || {
                for _client in proxy.incoming() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["--exact", "http::native::tests::a_client_for_the_public_asks_no_proxy_to_resolve_names"]);
            child.env(REACH, reach).env("HTTPS_PROXY", format!("http://{address}")).env_remove("NO_PROXY");
            let output = child.env_remove("no_proxy").env_remove("https_proxy").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            asked.load(Ordering::SeqCst)
        };
        assert!(asked("anywhere") > 0, "the proxy of the system is used");
        assert_eq!(asked("public"), 0);
    }
}

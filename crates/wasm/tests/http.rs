//! `fetch` in a real browser's dedicated worker against a real server of another origin, `http-server.mjs`.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(target_arch = "wasm32")]

use futures::{StreamExt as _, TryStreamExt as _};
use js_sys::{JSON, Promise};
use serde::Deserialize;
use shoal_node::{HttpClient as _, HttpError};
use shoal_wasm::FetchHttp;
use wasm_bindgen::{JsCast as _, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{RequestCredentials, RequestInit, Response};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(url: &str, init: &RequestInit) -> Promise;
}

/// A request as the server saw it.
#[derive(Debug, Deserialize)]
struct Seen {
    method: String,
    path: String,
    headers: std::collections::HashMap<String, String>,
    /// Whether the answer has ended or the connection is gone.
    over: bool,
}

fn url(path: &str) -> String {
    format!("{}{path}", option_env!("SHOAL_TEST_HTTP").expect("`cargo xtask test wasm` starts the server"))
}

async fn plain_fetch(path: &str, init: &RequestInit) -> Response {
    JsFuture::from(global_fetch(&url(path), init)).await.unwrap().unchecked_into()
}

async fn seen(path: &str) -> Vec<Seen> {
    let response = plain_fetch("/seen", &RequestInit::new()).await;
    let text = JsFuture::from(response.text().unwrap()).await.unwrap().as_string().unwrap();
    let all: Vec<Seen> = serde_wasm_bindgen::from_value(JSON::parse(&text).unwrap()).unwrap();
    all.into_iter().filter(|seen| seen.path == path).collect()
}

async fn fetched(path: &str) -> Result<Vec<u8>, HttpError> {
    let body = FetchHttp.get(&url(path), 100..200_300).await?;
    body.try_fold(Vec::new(), async |bytes, chunk| Ok([bytes, chunk.to_vec()].concat())).await
}

async fn failure(path: &str) -> HttpError {
    fetched(path).await.unwrap_err()
}

#[wasm_bindgen_test]
async fn a_range_arrives_and_the_server_learns_nothing_else() {
    // A visitor whom the server knows already.
    let init = RequestInit::new();
    init.set_credentials(RequestCredentials::Include);
    plain_fetch("/cookie", &init).await;
    plain_fetch("/cookie", &init).await;
    assert!(seen("/cookie").await.last().unwrap().headers.contains_key("cookie"), "the cookie would be sent");

    let bytes = fetched("/bytes").await.unwrap();
    assert!(bytes == (100..200_300_u32).map(|i| (i.wrapping_mul(31) ^ (i >> 8)) as u8).collect::<Vec<_>>());
    let seen = seen("/bytes").await;
    let [request] = &*seen else { panic!("one request and no preflight: {seen:?}") };
    assert_eq!((&*request.method, &*request.headers["range"]), ("GET", "bytes=100-200299"));
    assert_eq!(request.headers["accept-encoding"], "identity");
    for told in ["cookie", "authorization", "referer"] {
        assert!(!request.headers.contains_key(told), "{told}: {request:?}");
    }
}

#[wasm_bindgen_test]
async fn what_is_no_range_is_refused() {
    assert_eq!(failure("/whole").await, HttpError::Status(200));
    assert_eq!(failure("/missing").await, HttpError::Status(404));
    assert!(matches!(failure("/unshared").await, HttpError::NoAnswer(_)), "a server that shares with nobody");
    assert_eq!(failure("/away").await, HttpError::LedAway);
    let nobody = FetchHttp.get("http://127.0.0.1:1/", 0..1).await;
    assert!(matches!(nobody.map(|_| ()), Err(HttpError::NoAnswer(_))));
}

#[wasm_bindgen_test]
async fn an_answer_that_ends_early_breaks() {
    let mut body = FetchHttp.get(&url("/short"), 0..100_000).await.unwrap();
    let (mut len, mut last) = (0, Ok(()));
    while let Some(chunk) = body.next().await {
        last = chunk.map(|chunk| len += chunk.len());
    }
    assert!(len < 100_000 && matches!(last, Err(HttpError::Broken(_))), "{len} bytes, then {last:?}");
}

#[wasm_bindgen_test]
async fn who_is_no_longer_wanted_is_no_longer_asked() {
    let mut body = FetchHttp.get(&url("/endless"), 0..1).await.unwrap();
    for _ in 0..10 {
        body.next().await.unwrap().unwrap();
    }
    assert!(!seen("/endless").await[0].over);
    drop(body);
    while !seen("/endless").await[0].over {}

    let silent = url("/silent");
    let mut request = FetchHttp.get(&silent, 0..1);
    while seen("/silent").await.is_empty() {
        assert!(futures::poll!(&mut request).is_pending());
    }
    assert!(!seen("/silent").await[0].over);
    drop(request);
    while !seen("/silent").await[0].over {}
}

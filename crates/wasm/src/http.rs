//! Byte ranges by the browser's `fetch`, for the HTTPS sources of blobs.
//!
//! A request carries no credentials and no referrer and is not cached: the worker's cache keeps what was verified. A
//! single `Range` needs no preflight; the server must allow the origin (CORS). Redirects are the browser's: it shows
//! the last address only, which must be HTTPS, and on a page of HTTPS lets none lead elsewhere on the way. Where the
//! page has a Content-Security-Policy, that bounds all of it.

use std::ops::Range;

use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::{FutureExt as _, LocalBoxFuture},
    stream,
};
use js_sys::{Promise, Uint8Array};
use shoal_node::{HttpBody, HttpClient, HttpError};
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, ReadableStreamReadResult, ReferrerPolicy, Request,
    RequestCache, RequestCredentials, RequestInit, Response,
};

/// 206 Partial Content.
const PARTIAL_CONTENT: u16 = 206;

#[wasm_bindgen]
extern "C" {
    /// Of workers and pages alike.
    #[wasm_bindgen(js_name = fetch)]
    fn global_fetch(request: &Request) -> Promise;
}

/// The browser's own HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchHttp;

impl HttpClient for FetchHttp {
    fn get<'a>(&'a self, url: &'a str, range: Range<u64>) -> LocalBoxFuture<'a, Result<HttpBody, HttpError>> {
        request(url, range).boxed_local()
    }
}

async fn request(url: &str, range: Range<u64>) -> Result<HttpBody, HttpError> {
    let no_answer = |thrown: JsValue| HttpError::NoAnswer(words(&thrown));
    let ongoing = Ongoing(AbortController::new().map_err(no_answer)?);
    let headers = Headers::new().map_err(no_answer)?;
    let bytes = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
    headers.set("Range", &bytes).map_err(no_answer)?;
    let init = RequestInit::new();
    init.set_headers(&headers);
    init.set_credentials(RequestCredentials::Omit);
    init.set_referrer_policy(ReferrerPolicy::NoReferrer);
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(&ongoing.0.signal()));
    let request = Request::new_with_str_and_init(url, &init).map_err(no_answer)?;
    let response: Response = JsFuture::from(global_fetch(&request)).await.map_err(no_answer)?.unchecked_into();
    if response.redirected() && !response.url().starts_with("https://") {
        return Err(HttpError::LedAway);
    }
    if response.status() != PARTIAL_CONTENT {
        return Err(HttpError::Status(response.status()));
    }
    let body = response.body().ok_or_else(|| HttpError::Broken("no body".to_owned()))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    Ok(stream::unfold(Some((reader, ongoing)), next).boxed_local())
}

type Reading = (ReadableStreamDefaultReader, Ongoing);

async fn next(reading: Option<Reading>) -> Option<(Result<Bytes, HttpError>, Option<Reading>)> {
    let (reader, ongoing) = reading?;
    let result: ReadableStreamReadResult = match JsFuture::from(reader.read()).await {
        Ok(result) => result.unchecked_into(),
        Err(thrown) => return Some((Err(HttpError::Broken(words(&thrown))), None)),
    };
    if result.get_done().unwrap_or(true) {
        return None;
    }
    let chunk = Uint8Array::unchecked_from_js(result.get_value()).to_vec();
    Some((Ok(chunk.into()), Some((reader, ongoing))))
}

/// A request that ends when nobody wants it any more.
struct Ongoing(AbortController);

impl Drop for Ongoing {
    fn drop(&mut self) {
        // After the end of the body this does nothing.
        self.0.abort();
    }
}

fn words(thrown: &JsValue) -> String {
    thrown.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{thrown:?}"), |error| error.message().into())
}

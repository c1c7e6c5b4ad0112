//! Ranges of immutable bytes over HTTP (RFC 9110, 13 and 14), as a CDN or a worker asks for them.
//!
//! The hash is the entity tag, so what a CDN holds never becomes stale. One range is answered with that part, several or
//! none that is understood with the whole, as the RFC leaves open.

use std::ops::Range;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use http_range_header::{EndPosition, StartPosition};
use shoal_wire::ids::BlobId;
use tower_http::cors::{Any, CorsLayer};

/// What a request wants of a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The client has it.
    Unchanged,
    /// A range that does not exist.
    Beyond,
}

impl Wanted {
    /// The bytes that answer it, of a blob of this length; `None` if there are none to send.
    pub(super) fn bytes(&self, len: u64) -> Option<Range<u64>> {
        match self {
            Self::Whole => Some(0..len),
            Self::Part(part) => Some(part.clone()),
            Self::Unchanged | Self::Beyond => None,
        }
    }
}

/// Entity tag of a blob.
pub(super) fn tag(id: &BlobId) -> String {
    format!("\"{id}\"")
}

/// What a request wants of a blob of this length.
pub(super) fn wanted(method: &Method, request: &HeaderMap, tag: &str, len: u64) -> Wanted {
    let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(known) = text(header::IF_NONE_MATCH)
        && known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
    {
        return Wanted::Unchanged;
    }
    // Ranges are defined for GET alone.
    let Some(range) = text(header::RANGE).filter(|_| method == Method::GET) else { return Wanted::Whole };
    if request.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(tag) {
        return Wanted::Whole;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Wanted::Whole };
    let [range] = parsed.ranges[..] else { return Wanted::Whole };
    let start = match range.start {
        StartPosition::Index(first) => first,
        // A part of an empty blob cannot be named.
        StartPosition::FromLast(_) if len == 0 => return Wanted::Whole,
        // What is longer than the blob is all of it.
        StartPosition::FromLast(suffix) => len.saturating_sub(suffix),
    };
    let end = match range.end {
        EndPosition::Index(last) => last.saturating_add(1).min(len),
        EndPosition::LastByte => len,
    };
    if start < end { Wanted::Part(start..end) } else { Wanted::Beyond }
}

/// The answer to a request for a blob of this length; `body` has the bytes, and to HEAD none. What is `private` may
/// be read by its asker alone and kept nowhere.
pub(super) fn answer(tag: &str, len: u64, wanted: &Wanted, body: Body, private: bool) -> Response {
    let mut response = match wanted {
        Wanted::Whole => ([(header::CONTENT_LENGTH, len)], body).into_response(),
        Wanted::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Part(part) => {
            let place = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            let headers =
                [(header::CONTENT_RANGE, place), (header::CONTENT_LENGTH, (part.end - part.start).to_string())];
            (StatusCode::PARTIAL_CONTENT, headers, body).into_response()
        }
        Wanted::Beyond => {
            let place = [(header::CONTENT_RANGE, format!("bytes */{len}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, place).into_response();
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.parse().expect("hexadecimal digits are ASCII"));
    // Content never changes under its hash, and a page may embed what it may read.
    let (cache, embedding) =
        if private { ("no-store", "same-origin") } else { ("public, max-age=31536000, immutable", "cross-origin") };
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, cache),
        (HeaderName::from_static("cross-origin-resource-policy"), embedding),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Pages of every origin may read blobs: whoever knows the hash may, and no cookie or other right of the visitor counts.
pub(super) fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH])
        .expose_headers([header::CONTENT_RANGE, header::CONTENT_LENGTH, header::ACCEPT_RANGES, header::ETAG])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"ab\"";

    fn asked(pairs: &[(HeaderName, &str)], len: u64) -> Wanted {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        wanted(&Method::GET, &headers, TAG, len)
    }

    #[test]
    fn one_range_is_a_part_and_what_is_not_understood_is_the_whole() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-5", Wanted::Part(2..6)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-10", Wanted::Part(0..10)),
            ("bytes=-11", Wanted::Part(0..10)),
            ("bytes=-0", Wanted::Whole),
            ("bytes=9-4000000000", Wanted::Part(9..10)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=18446744073709551615-", Wanted::Beyond),
            ("bytes=5-2", Wanted::Beyond),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=0-1,0-1", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, range)], 10), wanted, "{range}");
        }
        assert_eq!(asked(&[(header::RANGE, "bytes=0-")], 0), Wanted::Beyond, "an empty blob has no ranges");
        assert_eq!(asked(&[(header::RANGE, "bytes=-1")], 0), Wanted::Whole, "but its end is all of it");
        assert_eq!(asked(&[], 10), Wanted::Whole);
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (value, wanted) in [
            (TAG, Wanted::Unchanged),
            ("W/\"ab\"", Wanted::Unchanged),
            ("\"cd\", \"ab\"", Wanted::Unchanged),
            ("*", Wanted::Unchanged),
            ("\"cd\"", Wanted::Whole),
        ] {
            assert_eq!(asked(&[(header::IF_NONE_MATCH, value)], 10), wanted, "{value}");
        }
        let range = (header::RANGE, "bytes=0-0");
        assert_eq!(asked(&[range.clone(), (header::IF_RANGE, TAG)], 10), Wanted::Part(0..1));
        assert_eq!(asked(&[range.clone(), (header::IF_RANGE, "\"cd\"")], 10), Wanted::Whole);
        assert_eq!(asked(&[range, (header::IF_RANGE, "Tue, 01 Jan 2030 00:00:00 GMT")], 10), Wanted::Whole);
    }
}

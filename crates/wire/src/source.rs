//! Which URLs may be sources of blobs: one rule, by which relays check what they name and workers what they hear.

use crate::limits::MAX_BLOB_SOURCE_LEN;

/// Hosts of sources on this machine, as they must stand in a URL. Browsers and native workers read no other spelling the same.
const THIS_MACHINE: [&str; 3] = ["127.0.0.1:", "[::1]:", "localhost:"];

/// Whether a URL may be a source: `https` without user, password or fragment. With `loopback`, for relays on this machine,
/// `http` to a port of it may too; no other relay may make a volunteer's machine talk to itself.
pub fn is_source_url(url: &str, loopback: bool) -> bool {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['#', '\\']);
    let secure = url.strip_prefix("https://");
    let Some(rest) = secure.or_else(|| url.strip_prefix("http://").filter(|_| loopback)) else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    plain
        && url.len() <= MAX_BLOB_SOURCE_LEN
        && !authority.is_empty()
        && !authority.contains('@')
        && (secure.is_some() || THIS_MACHINE.iter().any(|host| authority.starts_with(host)))
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

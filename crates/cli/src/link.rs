//! Join links: `http://relay/#join=<base64url of {"secret": "<base64url of 32 bytes>"}>`. The fragment never leaves the
//! browser; `worker-js` reads the same form.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use shoal_wire::commitment::JOIN_SECRET_LEN;

/// A link or secret that cannot be used. Secrets are not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// Not an HTTP URL.
    #[error("{0:?} is no join link: it starts with neither http:// nor https://")]
    NotHttp(String),
    /// The part after `#join=` is damaged.
    #[error("the join link is damaged after #join=: {0}")]
    Damaged(&'static str),
    /// A secret of the wrong form.
    #[error("a join secret is 32 bytes in base64url or hexadecimal")]
    Secret,
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JoinLink {
    /// URL of the relay's HTTP side.
    pub(crate) url: String,
    /// Secret of a private swarm.
    pub(crate) secret: Option<[u8; JOIN_SECRET_LEN]>,
}

#[derive(Serialize, Deserialize)]
struct Fragment {
    secret: String,
}

impl JoinLink {
    /// Reads a link, or a plain URL of a relay.
    pub(crate) fn parse(text: &str) -> Result<Self, LinkError> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(LinkError::NotHttp(text.chars().take(80).collect()));
        }
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let join = fragment.split('&').find_map(|part| part.strip_prefix("join="));
        let secret = join.map(parse_fragment).transpose()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), secret })
    }

    /// The link as text.
    pub(crate) fn encode(&self) -> String {
        let url = &self.url;
        let Some(secret) = self.secret else { return format!("{url}/") };
        let fragment = Fragment { secret: URL_SAFE_NO_PAD.encode(secret) };
        let json = serde_json::to_string(&fragment).expect("plain data");
        format!("{url}/#join={}", URL_SAFE_NO_PAD.encode(json))
    }
}

fn parse_fragment(encoded: &str) -> Result<[u8; JOIN_SECRET_LEN], LinkError> {
    let encoded = encoded.trim_end_matches('=');
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| LinkError::Damaged("not base64url"))?;
    let fragment: Fragment = serde_json::from_slice(&json).map_err(|_| LinkError::Damaged("not what a link holds"))?;
    parse_secret(&fragment.secret).map_err(|_| LinkError::Damaged("the secret has not 32 bytes"))
}

/// A secret as people pass it on.
pub(crate) fn parse_secret(text: &str) -> Result<[u8; JOIN_SECRET_LEN], LinkError> {
    let text = text.trim();
    let bytes = if text.len() == 2 * JOIN_SECRET_LEN {
        hex::decode(text).ok()
    } else {
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
    };
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(LinkError::Secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned: links in people's hands must keep working, and the page's script reads them too.
    #[test]
    fn pinned_link() {
        let link = JoinLink { url: "http://127.0.0.1:7040".into(), secret: Some([7; 32]) };
        let text = link.encode();
        assert_eq!(
            text,
            "http://127.0.0.1:7040/#join=eyJzZWNyZXQiOiJCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjIn0"
        );
        assert_eq!(JoinLink::parse(&text), Ok(link));
    }

    #[test]
    fn a_link_without_a_secret_is_a_url() {
        let link = JoinLink { url: "http://relay.example:7040".into(), secret: None };
        assert_eq!(JoinLink::parse("http://relay.example:7040/"), Ok(link.clone()));
        assert_eq!(JoinLink::parse(&link.encode()), Ok(link));
    }

    #[test]
    fn damaged_links_are_named() {
        assert!(matches!(JoinLink::parse("127.0.0.1:7040"), Err(LinkError::NotHttp(_))));
        for bad in ["!!", "e30", "eyJzZWNyZXQiOiJCd2MifQ"] {
            let error = JoinLink::parse(&format!("http://a/#join={bad}")).unwrap_err();
            assert!(matches!(error, LinkError::Damaged(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn secrets_are_read_in_both_forms() {
        assert_eq!(parse_secret(&"07".repeat(32)), Ok([7; 32]));
        assert_eq!(parse_secret("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"), Ok([7; 32]));
        assert_eq!(parse_secret("Bwc"), Err(LinkError::Secret));
        assert_eq!(parse_secret(&"zz".repeat(32)), Err(LinkError::Secret));
    }
}

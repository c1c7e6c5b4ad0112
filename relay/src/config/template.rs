//! URL templates of blob sources: what an operator may name, checked before any worker hears of it.
//!
//! A template is a URL with `{id}` where the blob's hash goes. It must be what workers take, HTTPS without credentials,
//! and what the page's policy can say. What stands behind it is not looked at: workers trust a source in nothing.

use std::{fmt, net::IpAddr};

use shoal_wire::{
    ids::BlobId,
    limits::{MAX_BLOB_SOURCE_LEN, MAX_BLOB_SOURCES},
    source::is_source_url,
};
use url::{Host, Url};

/// Where the hash goes.
const PLACE: &str = "{id}";

/// A URL for each blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTemplate {
    text: String,
    origin: String,
    loopback: bool,
}

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// More than a header may name.
    #[error("blob_sources names {count} templates, allowed is {MAX_BLOB_SOURCES} at most")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Not usable as it is.
    #[error("blob_sources has {template:?}: {fault}")]
    Unusable {
        /// Which.
        template: String,
        /// Why.
        fault: TemplateFault,
    },
}

/// What is wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// No place for the hash, several, or one in the host.
    #[error("{PLACE} must stand in the path or the query, once")]
    Place,
    /// Not a URL.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    /// A character that URLs spell otherwise, or that browsers read differently.
    #[error("only printable ASCII, without spaces and backslashes, is allowed")]
    Character,
    /// Plain HTTP or something else.
    #[error(
        "only https is allowed, and http to a port of 127.0.0.1, [::1] or localhost where the whole relay is on loopback"
    )]
    Scheme,
    /// User or password.
    #[error("credentials would be told to every worker; none are allowed")]
    Credentials,
    /// A fragment is never sent.
    #[error("a fragment is not allowed")]
    Fragment,
    /// A host that the page's policy cannot name.
    #[error("the host must be an address, or a name of letters, digits, hyphens and dots")]
    Host,
    /// This machine, said to others.
    #[error("names this machine, which is allowed only where the whole relay is on loopback")]
    Loopback,
    /// Longer than a header may name.
    #[error("{len} bytes with a hash in place, allowed is {MAX_BLOB_SOURCE_LEN} at most")]
    TooLong {
        /// Length, bytes.
        len: usize,
    },
}

impl SourceTemplate {
    /// Checks a list of templates. `on_loopback` says that the relay is reached on this machine alone, so that sources on
    /// it are no stranger's business.
    ///
    /// # Errors
    /// Too many, or one that is not usable; names it and the limit.
    pub fn parse_all(texts: &[String], on_loopback: bool) -> Result<Vec<Self>, TemplateError> {
        if texts.len() > MAX_BLOB_SOURCES {
            return Err(TemplateError::TooMany { count: texts.len() });
        }
        let parse = |text: &String| {
            Self::parse(text, on_loopback).map_err(|fault| TemplateError::Unusable { template: text.clone(), fault })
        };
        texts.iter().map(parse).collect()
    }

    fn parse(text: &str, on_loopback: bool) -> Result<Self, TemplateFault> {
        let sample = BlobId([0; 32]).to_string();
        let filled = text.replace(PLACE, &sample);
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
            return Err(TemplateFault::Character);
        }
        if filled.len() > MAX_BLOB_SOURCE_LEN {
            return Err(TemplateFault::TooLong { len: filled.len() });
        }
        let url = Url::parse(&filled)?;
        let secure = text.starts_with("https://");
        if !secure && !text.starts_with("http://") {
            return Err(TemplateFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TemplateFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(TemplateFault::Fragment);
        }
        let placed = url.path().contains(&sample) || url.query().is_some_and(|query| query.contains(&sample));
        if !placed || text.matches(PLACE).count() != 1 {
            return Err(TemplateFault::Place);
        }
        let loopback = is_loopback(&url.host().ok_or(TemplateFault::Host)?)?;
        match (secure, loopback) {
            (false, false) => return Err(TemplateFault::Scheme),
            (_, true) if !on_loopback => return Err(TemplateFault::Loopback),
            _ => {}
        }
        if !is_source_url(&filled, on_loopback) {
            return Err(TemplateFault::Scheme);
        }
        Ok(Self { text: text.to_owned(), origin: url.origin().ascii_serialization(), loopback })
    }

    /// The URL of a blob.
    pub fn url(&self, id: &BlobId) -> String {
        self.text.replace(PLACE, &id.to_string())
    }

    /// Scheme, host and port, as a content security policy names them.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it names this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl fmt::Display for SourceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(host: &Host<&str>) -> Result<bool, TemplateFault> {
    let this_machine = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match host {
        Host::Ipv4(ip) => Ok(this_machine((*ip).into())),
        Host::Ipv6(ip) => Ok(this_machine(ip.to_canonical())),
        Host::Domain(name) => {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
            let name = name.trim_end_matches('.');
            if plain && !name.is_empty() {
                Ok(name == "localhost" || name.ends_with(".localhost"))
            } else {
                Err(TemplateFault::Host)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, on_loopback: bool) -> Result<SourceTemplate, TemplateFault> {
        SourceTemplate::parse(text, on_loopback)
    }

    #[test]
    fn a_template_gives_a_blobs_url_and_its_origin() {
        let id = BlobId([0xab; 32]);
        let cases = [
            ("https://cdn.example/v1/blobs/{id}", "https://cdn.example", format!("https://cdn.example/v1/blobs/{id}")),
            ("https://cdn.example:443/{id}", "https://cdn.example", format!("https://cdn.example:443/{id}")),
            (
                "https://a.example:8443/b?c={id}&d",
                "https://a.example:8443",
                format!("https://a.example:8443/b?c={id}&d"),
            ),
            ("https://[2001:db8::1]/{id}.bin", "https://[2001:db8::1]", format!("https://[2001:db8::1]/{id}.bin")),
        ];
        for (text, origin, url) in cases {
            let template = one(text, false).unwrap();
            assert_eq!((template.origin(), template.url(&id)), (origin, url));
        }
    }

    #[test]
    fn whatever_a_worker_would_not_take_is_refused() {
        let long = format!("https://cdn.example/{}{{id}}", "x".repeat(MAX_BLOB_SOURCE_LEN - 83));
        for (text, fault) in [
            ("https://cdn.example/blobs", TemplateFault::Place),
            ("https://cdn.example/{id}/{id}", TemplateFault::Place),
            ("https://{id}.example/", TemplateFault::Place),
            ("cdn.example/{id}", TemplateFault::Url(url::ParseError::RelativeUrlWithoutBase)),
            ("https:///{id}", TemplateFault::Place),
            ("https://:443/{id}", TemplateFault::Url(url::ParseError::EmptyHost)),
            ("http://cdn.example/{id}", TemplateFault::Scheme),
            ("HTTPS://cdn.example/{id}", TemplateFault::Scheme),
            ("ftp://cdn.example/{id}", TemplateFault::Scheme),
            ("https://user@cdn.example/{id}", TemplateFault::Credentials),
            ("https://user:secret@cdn.example/{id}", TemplateFault::Credentials),
            ("https://cdn.example/{id}#a", TemplateFault::Fragment),
            ("https://cdn.example/{id} b", TemplateFault::Character),
            ("https://cdn.example\\b/{id}", TemplateFault::Character),
            ("https://cdn.example;script-src/{id}", TemplateFault::Host),
            ("https://*/{id}", TemplateFault::Host),
            ("https://localhost/{id}", TemplateFault::Loopback),
            ("https://cdn.localhost./{id}", TemplateFault::Loopback),
            ("https://127.0.0.1:8443/{id}", TemplateFault::Loopback),
            ("https://[::ffff:127.0.0.1]/{id}", TemplateFault::Loopback),
            ("http://127.0.0.1:80/{id}", TemplateFault::Loopback),
            (&long, TemplateFault::TooLong { len: MAX_BLOB_SOURCE_LEN + 1 }),
        ] {
            assert_eq!(one(text, false), Err(fault), "{text}");
        }
        assert!(one(&long.replacen('x', "", 1), false).is_ok());
    }

    #[test]
    fn a_relay_on_loopback_may_name_its_own_machine() {
        for text in ["http://127.0.0.1:8080/{id}", "http://localhost:8080/{id}", "https://localhost/{id}"] {
            assert!(one(text, true).unwrap().is_loopback(), "{text}");
        }
        assert_eq!(one("http://127.0.0.1/{id}", true), Err(TemplateFault::Scheme));
        assert_eq!(one("http://cdn.example:80/{id}", true), Err(TemplateFault::Scheme));
        assert!(!one("https://cdn.example/{id}", true).unwrap().is_loopback());
    }

    #[test]
    fn more_than_a_header_names_are_refused() {
        let texts = |count| vec!["https://cdn.example/{id}".to_owned(); count];
        assert_eq!(SourceTemplate::parse_all(&texts(MAX_BLOB_SOURCES), false).unwrap().len(), MAX_BLOB_SOURCES);
        let error = SourceTemplate::parse_all(&texts(MAX_BLOB_SOURCES + 1), false).unwrap_err();
        assert_eq!(error.to_string(), "blob_sources names 5 templates, allowed is 4 at most");
    }
}

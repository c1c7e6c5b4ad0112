//! Who may do what. Three rules:
//!
//! 1. Operator routes need the bearer token, unless HTTP listens on loopback only: whoever can connect there owns the
//!    machine's session already.
//! 2. Operator routes refuse requests that another site's page made, recognised by their `Origin`: a browser on this
//!    machine must not be turned into the operator.
//! 3. On loopback every request must name a loopback host: else a name that its owner pointed at 127.0.0.1 would make
//!    rule 2 blind.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::Failure;

/// What decides about a request.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Token that operator routes ask for; `None` on loopback.
    token: Option<String>,
}

impl Guard {
    /// For a server bound to this address.
    pub fn new(bound: IpAddr, token: String) -> Self {
        Self { token: (!bound.is_loopback()).then_some(token) }
    }

    fn is_loopback(&self) -> bool {
        self.token.is_none()
    }
}

pub(super) async fn operator_only(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match check_operator(&guard, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

pub(super) async fn known_host(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let host = text(request.headers(), header::HOST);
    if guard.is_loopback() && !is_loopback_host(&host) {
        return Failure::ForeignHost(host).into_response();
    }
    next.run(request).await
}

fn check_operator(guard: &Guard, headers: &HeaderMap) -> Result<(), Failure> {
    let (origin, host) = (text(headers, header::ORIGIN), text(headers, header::HOST));
    if !origin.is_empty() && origin.split_once("://").map(|(_, rest)| rest) != Some(host.as_str()) {
        return Err(Failure::ForeignOrigin { origin, host });
    }
    let Some(token) = &guard.token else { return Ok(()) };
    let given = text(headers, header::AUTHORIZATION);
    let given = given.strip_prefix("Bearer ").unwrap_or_default();
    // Hashes compare in constant time, and lengths do not show.
    if blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()) { Ok(()) } else { Err(Failure::Unauthorized) }
}

fn is_loopback_host(host: &str) -> bool {
    // A request without a host cannot come from a browser.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.is_empty() || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn loopback_hosts_are_told_from_others() {
        for host in ["localhost:7040", "127.0.0.1:1", "[::1]:7040", "127.0.0.9", ""] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["evil.example:7040", "192.168.1.2", "127.0.0.1.evil.example", "[2001:db8::1]:1"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn a_token_is_needed_off_loopback() {
        let guard = Guard::new("0.0.0.0".parse().unwrap(), "secret".to_owned());
        let check = |value: &str| check_operator(&guard, &headers(&[(header::AUTHORIZATION, value)]));
        check("Bearer secret").unwrap();
        for wrong in ["Bearer secre", "secret", "Bearer ", "bearer secret"] {
            assert!(matches!(check(wrong), Err(Failure::Unauthorized)), "{wrong}");
        }
        let local = Guard::new("127.0.0.1".parse().unwrap(), "secret".to_owned());
        check_operator(&local, &HeaderMap::new()).unwrap();
    }

    #[test]
    fn another_sites_page_is_refused() {
        let guard = Guard::new("127.0.0.1".parse().unwrap(), String::new());
        let check = |origin: &str| {
            check_operator(&guard, &headers(&[(header::ORIGIN, origin), (header::HOST, "localhost:7040")]))
        };
        check("http://localhost:7040").unwrap();
        for foreign in ["http://evil.example", "http://localhost:8000", "null"] {
            assert!(matches!(check(foreign), Err(Failure::ForeignOrigin { .. })), "{foreign}");
        }
    }
}

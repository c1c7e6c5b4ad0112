//! The URL that an address stands for.

use libp2p::{Multiaddr, multiaddr::Protocol};

/// An address that names no WebSocket that a browser could open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no WebSocket address")]
pub struct UrlError(pub Multiaddr);

/// The `ws:` or `wss:` URL of `/ip4|ip6|dns|dns4|dns6/…/tcp/…`, then `/ws`, `/tls/ws` or `/wss`; `/p2p/…` may follow.
///
/// # Errors
/// Any other address.
pub fn url(address: &Multiaddr) -> Result<String, UrlError> {
    parse(address).ok_or_else(|| UrlError(address.clone()))
}

fn parse(address: &Multiaddr) -> Option<String> {
    let mut protocols = address.iter();
    let host = match protocols.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) if is_host_name(&name) => name.into_owned(),
        _ => return None,
    };
    let Protocol::Tcp(port) = protocols.next()? else { return None };
    let (scheme, path) = match protocols.next()? {
        Protocol::Ws(path) => ("ws", path),
        Protocol::Wss(path) => ("wss", path),
        Protocol::Tls => match protocols.next()? {
            Protocol::Ws(path) => ("wss", path),
            _ => return None,
        },
        _ => return None,
    };
    match protocols.next() {
        None | Some(Protocol::P2p(_)) if protocols.next().is_none() => {}
        _ => return None,
    }
    Some(format!("{scheme}://{host}:{port}{path}"))
}

/// Letters, digits, hyphens and dots: what cannot be taken for another part of a URL.
fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls() {
        let peer = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
        for (address, expected) in [
            ("/ip4/127.0.0.1/tcp/7042/ws".to_owned(), "ws://127.0.0.1:7042/"),
            (format!("/ip4/127.0.0.1/tcp/7042/ws/p2p/{peer}"), "ws://127.0.0.1:7042/"),
            ("/ip6/::1/tcp/7042/ws".to_owned(), "ws://[::1]:7042/"),
            (format!("/dns/relay.example/tcp/443/tls/ws/p2p/{peer}"), "wss://relay.example:443/"),
            ("/dns4/relay.example/tcp/443/wss".to_owned(), "wss://relay.example:443/"),
        ] {
            assert_eq!(url(&address.parse().unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in [
            "/ip4/127.0.0.1/tcp/7042",
            "/ip4/127.0.0.1/udp/7042/quic-v1",
            "/ip4/127.0.0.1/tcp/7042/tls",
            "/ip4/127.0.0.1/tcp/7042/tls/wss",
            "/dnsaddr/relay.example/tcp/7042/ws",
            "/dns/user@relay.example/tcp/7042/ws",
            "/dns4/a:1/tcp/7042/ws",
            "/ip4/127.0.0.1/tcp/7042/ws/p2p-circuit",
            "/ip4/127.0.0.1/tcp/7042/ws/tcp/1",
        ] {
            let address: Multiaddr = address.parse().unwrap();
            assert_eq!(url(&address), Err(UrlError(address.clone())));
        }
    }
}

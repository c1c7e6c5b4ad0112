//! The ways to a peer, as its addresses tell them apart.

use std::str::FromStr;

use libp2p::{Multiaddr, multiaddr::Protocol};

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// webrtc-direct over UDP.
    WebRtc,
    /// WebSocket over TCP, with TLS or without.
    WebSocket,
    /// QUIC over UDP.
    Quic,
    /// TCP itself.
    Tcp,
}

/// A word that names no way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of webrtc, websocket, quic, tcp")]
pub struct UnknownKind(pub String);

impl Kind {
    /// The way that an address describes.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        let mut kind = None;
        for protocol in address {
            match protocol {
                Protocol::Tcp(_) => kind = Some(Self::Tcp),
                Protocol::Ws(_) | Protocol::Wss(_) => kind = Some(Self::WebSocket),
                Protocol::QuicV1 => kind = Some(Self::Quic),
                Protocol::WebRTCDirect => kind = Some(Self::WebRtc),
                _ => {}
            }
        }
        kind
    }

    /// One stable word, as events and stored preferences spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebRtc => "webrtc",
            Self::WebSocket => "websocket",
            Self::Quic => "quic",
            Self::Tcp => "tcp",
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let all = [Self::WebRtc, Self::WebSocket, Self::Quic, Self::Tcp];
        all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_kind() {
        let hash = "uEiCeI_NAr1bMQaSr0YcFpJ05zzcvTcFB36PLDo4dkWEGlA";
        for (address, kind) in [
            ("/ip4/127.0.0.1/tcp/1".to_owned(), Some(Kind::Tcp)),
            ("/ip4/127.0.0.1/tcp/1/ws".to_owned(), Some(Kind::WebSocket)),
            ("/dns/relay.example/tcp/443/tls/ws".to_owned(), Some(Kind::WebSocket)),
            ("/ip6/::1/tcp/443/wss".to_owned(), Some(Kind::WebSocket)),
            ("/ip4/127.0.0.1/udp/1/quic-v1".to_owned(), Some(Kind::Quic)),
            (format!("/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/{hash}"), Some(Kind::WebRtc)),
            ("/ip4/127.0.0.1/udp/1".to_owned(), None),
        ] {
            assert_eq!(Kind::of(&address.parse().unwrap()), kind, "{address}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for kind in [Kind::WebRtc, Kind::WebSocket, Kind::Quic, Kind::Tcp] {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("smoke".parse::<Kind>(), Err(UnknownKind("smoke".to_owned())));
    }
}

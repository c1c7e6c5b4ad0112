//! The multiaddr of a listener: `/ip4/…/udp/…/webrtc-direct/certhash/…[/p2p/…]`.

use std::net::{IpAddr, SocketAddr};

use libp2p::PeerId;
use libp2p::multiaddr::{Multiaddr, Protocol};

use super::fingerprint::Fingerprint;

/// Where a listener is, and which certificate and identity to expect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddress {
    /// IP address and UDP port.
    pub socket: SocketAddr,
    /// Fingerprint of the certificate.
    pub fingerprint: Fingerprint,
    /// The peer id, where the address names one.
    pub peer: Option<PeerId>,
}

impl ListenerAddress {
    /// Reads an address to dial; `None` if it is not one of this transport, complete and without a relay.
    pub fn from_multiaddr(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let ip = ip(&parts.next()?)?;
        let Protocol::Udp(port @ 1..) = parts.next()? else { return None };
        let Protocol::WebRTCDirect = parts.next()? else { return None };
        let Protocol::Certhash(hash) = parts.next()? else { return None };
        let fingerprint = Fingerprint::from_multihash(&hash)?;
        let peer = match parts.next() {
            Some(Protocol::P2p(peer)) => Some(peer),
            Some(_) => return None,
            None => None,
        };
        parts.next().is_none().then_some(Self { socket: SocketAddr::new(ip, port), fingerprint, peer })
    }

    /// The address as others dial it.
    pub fn to_multiaddr(&self) -> Multiaddr {
        let mut address = bind_address(self.socket).with(Protocol::Certhash(self.fingerprint.to_multihash()));
        if let Some(peer) = self.peer {
            address.push(Protocol::P2p(peer));
        }
        address
    }
}

/// The address that asks for a listener on `socket`: no certificate hash yet. Port 0 takes a free one.
pub fn bind_address(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Udp(socket.port())).with(Protocol::WebRTCDirect)
}

/// Reads an address to listen on: `/ip4/…/udp/…/webrtc-direct`.
pub fn parse_bind_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = ip(&parts.next()?)?;
    let Protocol::Udp(port) = parts.next()? else { return None };
    let Protocol::WebRTCDirect = parts.next()? else { return None };
    parts.next().is_none().then_some(SocketAddr::new(ip, port))
}

fn ip(protocol: &Protocol<'_>) -> Option<IpAddr> {
    match protocol {
        Protocol::Ip4(ip) => Some((*ip).into()),
        Protocol::Ip6(ip) => Some((*ip).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialled_address_round_trips() {
        let address = ListenerAddress {
            socket: "[2001:db8::1]:9090".parse().unwrap(),
            fingerprint: Fingerprint::new([7; 32]),
            peer: Some(PeerId::random()),
        };
        let text = address.to_multiaddr().to_string();
        assert!(text.starts_with("/ip6/2001:db8::1/udp/9090/webrtc-direct/certhash/uEi"), "{text}");
        assert_eq!(ListenerAddress::from_multiaddr(&text.parse().unwrap()), Some(address));
    }

    #[test]
    fn other_addresses_are_not_ours() {
        let hash = bind_address("1.2.3.4:1".parse().unwrap())
            .with(Protocol::Certhash(Fingerprint::new([7; 32]).to_multihash()));
        for text in [
            "/ip4/1.2.3.4/udp/1/webrtc-direct".to_owned(),
            "/ip4/1.2.3.4/tcp/1".to_owned(),
            "/dns4/example.org/udp/1/webrtc-direct".to_owned(),
            format!("{hash}/p2p-circuit"),
            hash.to_string().replace("udp/1", "udp/0"),
        ] {
            assert_eq!(ListenerAddress::from_multiaddr(&text.parse().unwrap()), None, "{text}");
        }
        assert_eq!(parse_bind_address(&hash), None);
        assert!(parse_bind_address(&"/ip4/0.0.0.0/udp/0/webrtc-direct".parse().unwrap()).is_some());
    }
}

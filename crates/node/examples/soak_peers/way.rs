//! The ways to the relay, each by itself: which one is taken is the seed's choice, not a race's.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::StreamMuxerBox,
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
    multiaddr::Protocol,
    quic,
};
use shoal_node::{BoxedTransport, tcp_transport};
use shoal_transport::{
    race::Kind,
    webrtc::{
        credentials::Version,
        native::{Certificate, Config, Transport},
    },
    websocket,
};

/// A kind of connection; webrtc-direct has two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    WebRtc(Version),
    WebSocket,
    Tcp,
    Quic,
}

/// A relay takes eight first contacts a second from one address, and a handshake has at most two.
const WEBRTC_PACE: Duration = Duration::from_millis(250);

/// The others have no such limit; dials a little apart keep handshakes from queueing on a small machine.
const PACE: Duration = Duration::from_millis(20);

impl Way {
    pub(crate) const ALL: [Self; 6] = [
        Self::WebRtc(Version::V2),
        Self::WebRtc(Version::V1),
        Self::WebRtc(Version::V2),
        Self::WebSocket,
        Self::Tcp,
        Self::Quic,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebRtc(Version::V1) => "webrtc v1",
            Self::WebRtc(Version::V2) => "webrtc v2",
            Self::WebSocket => "websocket",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::WebRtc(_) => Kind::WebRtc,
            Self::WebSocket => Kind::WebSocket,
            Self::Tcp => Kind::Tcp,
            Self::Quic => Kind::Quic,
        }
    }

    /// How long the next dial waits after one by this way.
    pub(crate) fn pace(self) -> Duration {
        if matches!(self, Self::WebRtc(_)) { WEBRTC_PACE } else { PACE }
    }

    /// The relay's address for this way.
    pub(crate) fn address(self, relay: &[Multiaddr]) -> Result<Multiaddr, String> {
        let found = relay.iter().find(|address| Kind::of(address) == Some(self.kind()));
        found.cloned().ok_or_else(|| format!("the relay has no address for {}", self.name()))
    }

    pub(crate) fn transport(self, identity: &Keypair) -> Result<BoxedTransport, String> {
        Ok(match self {
            Self::WebRtc(version) => {
                let certificate = Certificate::generate().map_err(|error| error.to_string())?;
                let config = Config { identity: identity.clone(), certificate };
                let dialler = Transport::new(config).dialling(version);
                dialler.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
            }
            Self::WebSocket => websocket::native::transport(identity, None),
            Self::Tcp => tcp_transport(identity),
            Self::Quic => quic::tokio::Transport::new(quic::Config::new(identity))
                .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
                .boxed(),
        })
    }

    /// Begins a handshake and gives it up after so long, if it has not ended before.
    pub(crate) async fn cut(self, identity: &Keypair, address: Multiaddr, after: Duration) -> Result<(), String> {
        let mut transport = self.transport(identity)?;
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dial = transport.dial(address, options).map_err(|error| error.to_string())?;
        match tokio::time::timeout(after, dial).await {
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok::<(PeerId, _), _>(_)) | Err(_) => Ok(()),
        }
    }

    /// Where a plain socket connects to, for ways over TCP.
    pub(crate) fn tcp_socket(self, address: &Multiaddr) -> Option<std::net::SocketAddr> {
        let mut parts = address.iter();
        match (parts.next(), parts.next()) {
            (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => Some((ip, port).into()),
            _ => None,
        }
    }
}

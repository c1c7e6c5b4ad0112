//! Where the node listens, and by what.

use std::net::SocketAddr;

use anyhow::Context as _;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm,
    core::transport::ListenerId,
    multiaddr::Protocol,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use shoal_transport::websocket::native::Tls;

use crate::config::{Config, ListenAddr};

/// Sockets to bind.
pub struct Listening {
    sockets: Vec<(Transport, SocketAddr)>,
    pub(super) tls: Option<Tls>,
}

#[derive(Clone, Copy)]
enum Transport {
    Tcp,
    Quic,
    WebRtc,
    WebSocket,
    SecureWebSocket,
}

impl Listening {
    /// What the settings ask for; reads the TLS certificate where there is one.
    ///
    /// # Errors
    /// A certificate or key that cannot be read or used.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let all = [
            (Transport::Tcp, config.tcp_addr),
            (Transport::Quic, config.quic_addr),
            (Transport::WebRtc, config.webrtc_addr),
            (Transport::WebSocket, config.ws_addr),
            (Transport::SecureWebSocket, config.wss_addr),
        ];
        let bound = |(transport, addr)| match addr {
            ListenAddr::On(socket) => Some((transport, socket)),
            ListenAddr::Off => None,
        };
        let tls = match (&config.tls_cert_file, &config.tls_key_file) {
            (Some(chain), Some(key)) => {
                let read =
                    |path: &std::path::Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
                let tls = Tls::from_pem(&read(chain)?, &read(key)?);
                Some(tls.with_context(|| format!("using {} and {}", chain.display(), key.display()))?)
            }
            _ => None,
        };
        Ok(Self { sockets: all.into_iter().filter_map(bound).collect(), tls })
    }

    pub(super) fn multiaddrs(&self) -> impl Iterator<Item = Multiaddr> {
        self.sockets.iter().map(|(transport, socket)| transport.multiaddr(*socket))
    }
}

impl Transport {
    fn multiaddr(self, socket: SocketAddr) -> Multiaddr {
        let ip = Multiaddr::from(socket.ip());
        let (tcp, udp) = (Protocol::Tcp(socket.port()), Protocol::Udp(socket.port()));
        let root = || Protocol::Ws("/".into());
        match self {
            Self::Tcp => ip.with(tcp),
            Self::Quic => ip.with(udp).with(Protocol::QuicV1),
            Self::WebRtc => ip.with(udp).with(Protocol::WebRTCDirect),
            Self::WebSocket => ip.with(tcp).with(root()),
            Self::SecureWebSocket => ip.with(tcp).with(Protocol::Tls).with(root()),
        }
    }
}

/// Each listener reports at least one address; those of further interfaces follow at once.
pub(super) async fn wait_for_addresses<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    mut listeners: Vec<ListenerId>,
) -> anyhow::Result<Vec<Multiaddr>> {
    let mut addresses = Vec::new();
    while !listeners.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                listeners.retain(|id| *id != listener_id);
                addresses.push(address);
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } | SwarmEvent::ListenerError { error, .. } => {
                return Err(error).context("listening");
            }
            _ => {}
        }
    }
    while let Some(event) = futures::FutureExt::now_or_never(swarm.select_next_some()) {
        if let SwarmEvent::NewListenAddr { address, .. } = event {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

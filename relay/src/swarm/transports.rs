//! The relay's transports, each connection of which is counted.

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, quic, yamux,
};
use shoal_transport::{
    tcp,
    telemetry::Telemetry,
    webrtc::native::{self, Certificate},
    websocket::{self, native::Tls},
};

/// TCP, QUIC, webrtc-direct and WebSocket as one transport.
pub(super) fn transports(
    key: &Keypair,
    certificate: Certificate,
    tls: Option<Tls>,
    telemetry: &Telemetry,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::transport()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default());
    let quic = quic::tokio::Transport::new(quic::Config::new(key));
    let watching = telemetry.clone();
    let webrtc = native::Transport::new(native::Config { identity: key.clone(), certificate })
        .map(move |(peer, muxer), endpoint| (peer, watching.watch(peer, &endpoint, Some(muxer.path()), muxer)));
    let websocket = telemetry.watching(websocket::native::transport(key, tls));
    Ok(telemetry
        .watching(tcp)
        .or_transport(telemetry.watching(quic))
        .map(|either, _| either.into_inner())
        .or_transport(webrtc)
        .map(|either, _| either.into_inner())
        .or_transport(websocket)
        .map(|either, _| either.into_inner())
        .boxed())
}

//! webrtc-direct: how a browser tab reaches a relay that nobody signed a certificate for, without a signalling server.
//!
//! A browser invents the listener's session description from its multiaddr, and hides its own ICE password in the username
//! fragment it invents; the listener learns everything else from the first packet. Wire-compatible with js-libp2p and
//! go-libp2p. `docs/transport.md` tells the handshake step by step.

pub mod address;
pub mod credentials;
pub mod fingerprint;
pub mod frame;
pub mod limits;
pub mod sdp;

mod noise;
mod stream_core;

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;

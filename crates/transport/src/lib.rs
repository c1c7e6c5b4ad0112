//! libp2p transports between browser tabs and relays: webrtc-direct, WebSocket where UDP is blocked, and their race.

pub mod blob;
pub mod framed;
pub mod peer;
pub mod race;
pub mod streams;
#[cfg(not(target_arch = "wasm32"))]
pub mod tcp;
pub mod telemetry;
pub mod webrtc;
pub mod websocket;

//! libp2p transports between browser tabs and relays: webrtc-direct, WebSocket where UDP is blocked, TCP for native nodes,
//! and their race; telemetry of their connections; and the transfer of blobs over their streams.

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

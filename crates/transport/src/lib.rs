//! libp2p transports between browser tabs and relays: webrtc-direct.

pub mod blob;
pub mod framed;
pub mod peer;
pub mod webrtc;

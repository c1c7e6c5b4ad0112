//! libp2p transports between browser tabs and relays: webrtc-direct v2.

pub mod blob;
pub mod framed;
pub mod peer;
pub mod webrtc;

//! How long the second way waits for the first, with the reasons.

use std::time::Duration;

/// Head start in a tab. A webrtc-direct handshake takes about seven round trips (ICE, DTLS, SCTP, Noise) and a fresh
/// certificate: close to a second at 100 ms of round trip, and 0.2 s at least. RFC 8305, section 5, allows up to 2 s; less
/// than this would let the WebSocket win on far networks that are fine. Whoever's UDP is blocked waits this long once, for
/// the winner is remembered.
pub const TAB_HEAD_START: Duration = Duration::from_millis(1500);

/// Head start of a native node: RFC 8305's recommended connection attempt delay. QUIC needs two round trips.
pub const NATIVE_HEAD_START: Duration = Duration::from_millis(250);

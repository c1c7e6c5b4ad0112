//! What each connection carried and how its path behaves: bytes, round trips, retransmissions.
//!
//! A transport hands its finished connections through [`Telemetry::watch`], which counts what their streams read and write,
//! for all transports alike. The swarm's owner then tells [`Telemetry`] which of them were established, what a ping took,
//! and when they ended; operators and pages ask it for [`Connection`]s and [`Totals`]. Time is an argument everywhere.
//!
//! Bytes are those of the streams: neither Noise, Yamux, SCTP nor packet headers are in them, so both ends of a connection at
//! rest count the same. A figure that a transport does not know is `None`: retransmissions and the path's own round trip
//! exist for webrtc-direct on the native side alone, because libp2p hides QUIC's and nobody asks TCP's socket.

mod connections;
mod muxer;
mod path;

pub use connections::{Connection, End, Telemetry, Totals};
pub use muxer::{CountedMuxer, CountedStream};
pub use path::PathFigures;

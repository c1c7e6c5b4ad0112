//! The native side: a webrtc-direct listener for relays, on str0m, and the same protocol's dialler.
//!
//! [`session`] and [`router`] are free of I/O; [`driver`], [`listener`] and [`transport`] are the tokio shell around them.
//! Media, TURN and signalling are left out: there is none in webrtc-direct.

mod certificate;
mod connection;
mod driver;
mod error;
mod gate;
mod listener;
mod router;
mod send_window;
mod session;
#[cfg(test)]
mod session_loss_tests;
mod session_stream;
#[cfg(test)]
mod session_tests;
mod transport;
mod udp;

pub use certificate::{Certificate, CertificateError};
pub use connection::{Muxer, Substream};
pub use error::{CloseReason, Error, SessionError};
pub use transport::{Config, Transport};

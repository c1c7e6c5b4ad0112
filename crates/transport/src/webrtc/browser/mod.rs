//! The browser side: dials webrtc-direct listeners from a dedicated worker, where no peer connection can exist.
//!
//! The page (or an extension's offscreen document) owns the peer connections and hands over their data channels, each in
//! the task that created it; it knows nothing of libp2p. Both talk over one `MessagePort`, see [`port`]. Where a browser
//! cannot transfer data channels, their messages come through a `MessagePort` each. Listening is left out: nobody can
//! reach a tab.

mod channel;
mod connection;
mod error;
mod page;
mod port;
mod stream;
mod transport;

pub use connection::Muxer;
pub use error::{CloseReason, Error};
pub use stream::Substream;
pub use transport::{Transport, Versions};

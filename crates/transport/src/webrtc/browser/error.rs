//! What goes wrong on the browser's side.

use std::net::SocketAddr;

use libp2p::{PeerId, noise};

use crate::webrtc::credentials::CredentialError;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The page reports its end, in the browser's words.
    #[error("the browser: {0}")]
    Page(String),
    /// More arrived than the application read.
    #[error("{bytes} bytes are unread, more than a connection may hold")]
    Unread {
        /// Unread bytes over all streams.
        bytes: usize,
    },
}

/// What a dial fails with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection ended during the handshake.
    #[error("connection to {remote} over: {reason}")]
    Closed {
        /// The listener.
        remote: SocketAddr,
        /// Why it ended.
        reason: CloseReason,
    },
    /// The browser's offer cannot be used.
    #[error("the browser's offer: {0}")]
    Offer(#[from] CredentialError),
    /// The handshake was not complete in time.
    #[error("the handshake with {remote} took too long")]
    HandshakeTimeout {
        /// The listener.
        remote: SocketAddr,
    },
    /// The listener did not prove its identity.
    #[error("noise handshake with {remote}: {source}")]
    Noise {
        /// The listener.
        remote: SocketAddr,
        /// What the handshake failed with.
        source: Box<noise::Error>,
    },
    /// The listener has another identity than the address names.
    #[error("expected peer {expected}, found {found}")]
    PeerId {
        /// Named by the address.
        expected: Box<PeerId>,
        /// Proven by the handshake.
        found: Box<PeerId>,
    },
}

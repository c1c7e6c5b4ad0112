//! What goes wrong on the native side.

use std::io;
use std::net::SocketAddr;

use libp2p::noise;

use super::certificate::CertificateError;
use crate::webrtc::credentials::CredentialError;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// Nothing was heard of the peer for too long.
    #[error("nothing heard of the peer for too long")]
    Idle,
    /// The handshake was not complete in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// More arrived than the application read.
    #[error("{bytes} bytes are unread, more than a connection may hold")]
    Unread {
        /// Unread bytes over all streams.
        bytes: usize,
    },
    /// DTLS ended without a certificate of the peer.
    #[error("the peer showed no usable certificate")]
    NoFingerprint,
    /// ICE, DTLS or SCTP failed, in the words of the implementation.
    #[error("webrtc: {0}")]
    WebRtc(String),
}

/// Why a connection could not even start.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// An address is no ICE candidate.
    #[error("address cannot be used: {0}")]
    Candidate(#[from] str0m::error::IceError),
    /// DTLS or SCTP did not start.
    #[error("webrtc: {0}")]
    WebRtc(#[from] str0m::RtcError),
    /// The local password does not fit version 2, or there is no randomness for one of version 1.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
}

/// What listening, dialling or accepting fails with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error("UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// No certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The connection could not start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The connection ended during the handshake.
    #[error("connection to {remote} over: {reason}")]
    Closed {
        /// The other end.
        remote: SocketAddr,
        /// Why it ended.
        reason: CloseReason,
    },
    /// The peer did not prove its identity.
    #[error("noise handshake with {remote}: {source}")]
    Noise {
        /// The other end.
        remote: SocketAddr,
        /// What the handshake failed with.
        source: Box<noise::Error>,
    },
    /// The listener has another identity than the address dialled names.
    #[error("expected peer {expected}, found {found}")]
    PeerId {
        /// Named by the address.
        expected: Box<libp2p::PeerId>,
        /// Proven by the handshake.
        found: Box<libp2p::PeerId>,
    },
}

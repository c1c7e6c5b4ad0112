//! Why a worker does not start, and why it ends by itself.

use libp2p::{Multiaddr, PeerId};
use shoal_transport::{blob::RateError, peer::NotEd25519};
use shoal_wire::proto::RefusalCode;

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A text that no relay would take.
    #[error("{field} has {len} bytes, at most {limit} are allowed")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Its length, bytes.
        len: usize,
        /// Allowed, bytes.
        limit: usize,
    },
    /// No relay to connect to.
    #[error("no relay address")]
    NoAddress,
    /// An address that does not say who answers there.
    #[error("relay address {0} does not end in /p2p/<peer id>")]
    NoPeerId(Multiaddr),
    /// Addresses of different relays.
    #[error("relay addresses name two relays: {} and {}", .0[0], .0[1])]
    TwoRelays(Box<[PeerId; 2]>),
    /// A relay that cannot sign for Shoal.
    #[error(transparent)]
    Relay(NotEd25519),
    /// A limit on transfers that is too low to work with.
    #[error("{field}: {source}")]
    Rate {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        source: RateError,
    },
}

/// Why a worker ended without being stopped. Lost connections are not here: those are dialled again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// It cannot start.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The relay will not have it, and asking again would not change that.
    #[error("the relay refuses this worker: {code:?}: {detail}")]
    Refused {
        /// The relay's code.
        code: RefusalCode,
        /// The relay's words.
        detail: String,
    },
    /// The relay belongs to another network.
    #[error("the relay is of network {relay:?}, this worker of {own:?}")]
    WrongNetwork {
        /// The relay's.
        relay: String,
        /// Ours.
        own: String,
    },
}

/// Why a visit failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// No connection.
    #[error("the relay cannot be reached: {0}")]
    Unreachable(String),
    /// No word from the relay after the hello.
    #[error("the relay does not welcome this worker in time")]
    NoWelcome,
    /// The relay will not have this worker.
    #[error(transparent)]
    Refused(WorkerError),
    /// The connection or the session ended.
    #[error("the session is lost: {0}")]
    Lost(String),
    /// A blob that did not arrive.
    #[error("{0}")]
    Blob(String),
    /// The worker's handle stopped it.
    #[error("stopped")]
    Stopped,
}

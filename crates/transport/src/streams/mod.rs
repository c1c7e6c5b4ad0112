//! Streams by protocol name, for protocols that are written as tasks: open one to a peer, accept those of peers.
//!
//! A libp2p [`Behaviour`] with no events of its own and a [`Control`] that tasks clone. A stream that a peer opens is handed
//! over **within its negotiation**: while nobody takes it, it counts as being negotiated, and at the swarm's bound of those
//! (`Config::with_max_negotiating_inbound_streams`) the connection's muxer is not asked for more. So a busy node makes its
//! peers wait, and drops nothing that is taken within [`HANDOVER_TIMEOUT`].
//!
//! Dialling is left out: who opens streams knows whether a connection stands, and opening without one fails at once.

mod behaviour;
mod control;
mod handler;
mod registry;
mod upgrade;

use std::time::Duration;

pub use behaviour::Behaviour;
pub use control::{AlreadyAccepted, Control, IncomingStreams, OpenError};

/// Streams of one protocol handed over and not yet taken, over all peers. More wait at their connections, whose own bounds
/// hold them, so this only has to keep a task that takes them busy.
pub const MAX_HANDED_OVER: usize = 16;

/// How long a stream may wait to be taken: a tab computes its longest unit without a turn for the network in less.
pub const HANDOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a peer may take to agree to a protocol. A peer that makes us wait for its attention keeps us that long.
pub const OPEN_TIMEOUT: Duration = HANDOVER_TIMEOUT;

/// Streams being opened at once on one connection; further callers wait. Each costs a data channel and some bytes.
pub const MAX_OPENING: usize = 32;

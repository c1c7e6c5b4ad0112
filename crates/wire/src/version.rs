//! Versions that peers negotiate. A number here is never reused.

/// Version of the session protocol, sent in `Hello.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum ProtocolVersion {
    /// Leases, commit and reveal, acceptances; blobs by bao slices under credit.
    V1 = 1,
}

impl ProtocolVersion {
    /// The newest version this build speaks.
    pub const CURRENT: Self = Self::V1;

    /// The version with that number, if this build speaks it.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// libp2p protocol name of the worker's session with a relay.
pub const WORK_PROTOCOL: &str = "/shoal/work/1";

/// libp2p protocol name of a blob transfer.
pub const BLOB_PROTOCOL: &str = "/shoal/blob/1";

/// libp2p identify protocol version.
pub const IDENTIFY_PROTOCOL: &str = "/shoal/1";

/// Network name of a swarm that was not given one.
pub const DEFAULT_NETWORK: &str = "shoal-local";

//! Who does what, as the seed decides: the same seed casts the same peers.

use std::str::FromStr;

use crate::way::Way;

/// What a peer does with its connection until it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Has a session and nothing else.
    Idle,
    /// Has begun several blobs and grants no more credit.
    NoCredit,
    /// Has granted much credit and reads nothing of what comes.
    Deaf,
    /// Fetches a blob at 4 KiB/s, as a worker with a limit does.
    Trickle,
    /// Gives its handshake up halfway.
    Cut,
    /// Connects a socket, sends the beginning of something, and is silent.
    Stalled,
}

/// Four connections of ten are ordinary sessions, the others each one kind of trouble.
const CAST: [Act; 10] = [
    Act::Idle,
    Act::Idle,
    Act::Idle,
    Act::Idle,
    Act::NoCredit,
    Act::NoCredit,
    Act::Deaf,
    Act::Trickle,
    Act::Cut,
    Act::Stalled,
];

impl Act {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::NoCredit => "no-credit",
            Self::Deaf => "deaf",
            Self::Trickle => "trickle",
            Self::Cut => "cut",
            Self::Stalled => "stalled",
        }
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        CAST.into_iter().find(|act| act.name() == name).ok_or_else(|| format!("no act {name:?}"))
    }
}

/// One peer's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Its node key.
    pub(crate) key: [u8; 32],
    pub(crate) way: Way,
    pub(crate) act: Act,
    /// For whatever else it decides.
    pub(crate) dice: u8,
}

impl Part {
    /// The part of the peer with this number.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"shoal soak peer").update(&seed.to_le_bytes()).update(&number.to_le_bytes());
        let mut drawn = [0; 35];
        hasher.finalize_xof().fill(&mut drawn);
        let [way, act, dice, key @ ..] = drawn;
        let (way, act) = (Way::ALL[usize::from(way) % Way::ALL.len()], CAST[usize::from(act) % CAST.len()]);
        Self { key, way, act, dice }
    }
}

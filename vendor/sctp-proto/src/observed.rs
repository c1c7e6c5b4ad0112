//! What the associations of this thread saw of their path since somebody last asked. Whoever owns an association through a
//! crate that hides it calls into it synchronously, so what is taken right after a call is of that association.

use core::cell::Cell;
use core::time::Duration;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// DATA chunks sent once more, for a timeout or for gap reports.
    pub retransmitted_chunks: u64,
    /// The last round trip measured on a chunk that was sent once.
    pub round_trip: Option<Duration>,
    /// Bytes that were written and not sent for the first time yet, when packets were gathered last.
    pub unsent_bytes: Option<usize>,
}

std::thread_local! {
    static OBSERVED: Cell<Observed> = const {
        Cell::new(Observed {
            retransmitted_chunks: 0,
            round_trip: None,
            unsent_bytes: None,
        })
    };
}

/// What was seen on this thread since the last call.
pub fn take_observed() -> Observed {
    OBSERVED.take()
}

pub(crate) fn retransmitted(chunks: usize) {
    let mut observed = OBSERVED.get();
    observed.retransmitted_chunks += chunks as u64;
    OBSERVED.set(observed);
}

pub(crate) fn gathered(unsent_bytes: usize) {
    OBSERVED.set(Observed {
        unsent_bytes: Some(unsent_bytes),
        ..OBSERVED.get()
    });
}

pub(crate) fn measured(round_trip: Duration) {
    OBSERVED.set(Observed {
        round_trip: Some(round_trip),
        ..OBSERVED.get()
    });
}

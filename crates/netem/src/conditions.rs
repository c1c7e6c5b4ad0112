//! What a path is like, and what happened on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::limits::DEFAULT_QUEUE_BYTES;

/// What each direction of a path does to what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Time on the way, one direction: half the round trip.
    pub delay: Duration,
    /// Packets lost out of a thousand, each for itself.
    pub loss_per_mille: u32,
    /// Bytes on the way and waiting; a datagram beyond that is dropped, a stream waits.
    pub queue_bytes: usize,
    /// Bytes a second, or as fast as it goes.
    pub rate: Option<u64>,
}

impl Conditions {
    /// A path of that round trip and loss, as fast as it goes.
    pub fn new(round_trip: Duration, loss_per_mille: u32) -> Self {
        Self { delay: round_trip / 2, loss_per_mille, queue_bytes: DEFAULT_QUEUE_BYTES, rate: None }
    }

    pub(crate) fn time_to_send(&self, len: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(len as f64 / rate.max(1) as f64))
    }
}

/// Packets of a proxy, both directions together.
#[derive(Debug, Default)]
pub struct Counts {
    carried: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
}

impl Counts {
    /// Taken to be delivered.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Lost by the seed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Dropped because a queue was full.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, fate: crate::Fate) {
        let counter = match fate {
            crate::Fate::Carried => &self.carried,
            crate::Fate::Lost => &self.lost,
            crate::Fate::Overflowed => &self.overflowed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

//! What a transport itself knows of its path.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Written by the task that drives a connection, read by whoever looks. Relaxed, because each figure stands for itself.
#[derive(Debug)]
pub struct PathFigures {
    /// [`UNKNOWN`] before the first.
    round_trip_us: AtomicU64,
    retransmissions: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

/// Each measurement counts an eighth, as in TCP and SCTP (RFC 6298).
const SMOOTHING: u64 = 8;

impl Default for PathFigures {
    fn default() -> Self {
        Self { round_trip_us: AtomicU64::new(UNKNOWN), retransmissions: AtomicU64::new(0) }
    }
}

impl PathFigures {
    /// A packet was acknowledged after this time.
    pub fn measured(&self, round_trip: Duration) {
        let new = u64::try_from(round_trip.as_micros()).unwrap_or(UNKNOWN - 1);
        let smoothed = match self.round_trip_us.load(Ordering::Relaxed) {
            UNKNOWN => new,
            old => (old * (SMOOTHING - 1)).saturating_add(new) / SMOOTHING,
        };
        self.round_trip_us.store(smoothed, Ordering::Relaxed);
    }

    /// So many pieces of data were sent once more.
    pub fn retransmitted(&self, count: u64) {
        self.retransmissions.fetch_add(count, Ordering::Relaxed);
    }

    /// The smoothed round trip; `None` before the first acknowledgement.
    pub fn round_trip(&self) -> Option<Duration> {
        match self.round_trip_us.load(Ordering::Relaxed) {
            UNKNOWN => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// Pieces of data sent once more since the connection began.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_follows_what_is_measured() {
        let figures = PathFigures::default();
        assert_eq!(figures.round_trip(), None);
        figures.measured(Duration::from_millis(80));
        assert_eq!(figures.round_trip(), Some(Duration::from_millis(80)));
        figures.measured(Duration::from_millis(160));
        assert_eq!(figures.round_trip(), Some(Duration::from_millis(90)));
        (0..100).for_each(|_| figures.measured(Duration::from_millis(160)));
        assert!(figures.round_trip().is_some_and(|found| found > Duration::from_millis(159)));
    }
}

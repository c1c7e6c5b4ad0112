//! How much a receiver lets its sender have in flight.
//!
//! Too little, and a long path stands still between two grants; too much, and on a slow line whatever else wants to
//! arrive waits behind it. So the window follows the rate: it doubles while half of it comes within [`SHORT`], and is
//! halved while that takes longer than [`LONG`]. A pure value: time is an argument. Left out: the path's round trip,
//! which a receiver does not see.

use std::time::Duration;

use shoal_wire::limits::{INITIAL_BLOB_CREDIT, MAX_BLOB_CHUNK, MAX_BLOB_CREDIT, MAX_BLOB_STREAMS_PER_PEER};
use web_time::Instant;

use crate::webrtc::limits::{MAX_UNREAD_PER_CONNECTION, MAX_UNREAD_PER_STREAM};

/// Half of a window that comes sooner than this may have waited for its grant: round trips within a continent are shorter.
const SHORT: Duration = Duration::from_millis(50);

/// Half of a window that takes longer than this is a queue: round trips between continents are shorter.
const LONG: Duration = Duration::from_millis(200);

/// Smallest window, bytes: a transfer must be able to pipeline.
const MIN_WINDOW: u64 = 4 * MAX_BLOB_CHUNK as u64;

/// Largest window, bytes: 100 Mbit/s at 20 ms over one stream, and over several what a connection may hold unread.
const MAX_WINDOW: u64 = 512 * 1024;

const _: () = assert!(MIN_WINDOW <= INITIAL_BLOB_CREDIT && INITIAL_BLOB_CREDIT <= MAX_WINDOW);
const _: () = assert!(MAX_WINDOW <= MAX_BLOB_CREDIT && MAX_WINDOW as usize <= MAX_UNREAD_PER_STREAM);
const _: () = assert!(MAX_BLOB_STREAMS_PER_PEER * MAX_WINDOW as usize <= MAX_UNREAD_PER_CONNECTION);

/// The credit of one stream.
#[derive(Debug)]
pub(super) struct Credit {
    window: u64,
    limit: u64,
    /// Granted and not yet sent by the other end.
    outstanding: u64,
    granted_at: Instant,
}

impl Credit {
    /// The whole first window is granted with the request. `limit` is the most that may be in flight, bytes.
    pub(super) fn new(now: Instant, limit: u64) -> Self {
        let limit = limit.clamp(1, MAX_WINDOW);
        let window = INITIAL_BLOB_CREDIT.min(limit);
        Self { window, limit, outstanding: window, granted_at: now }
    }

    /// Granted and not yet sent by the other end, bytes.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// `len` bytes came. Returns `false` if they were not granted.
    pub(super) fn take(&mut self, len: u64) -> bool {
        let left = self.outstanding.checked_sub(len);
        self.outstanding = left.unwrap_or(self.outstanding);
        left.is_some()
    }

    /// What may be granted now that everything that came is verified; 0 until half of the window came. The caller
    /// tells with [`Self::granted`] when it has done so.
    pub(super) fn due(&mut self, now: Instant) -> u64 {
        let free = self.window.saturating_sub(self.outstanding);
        if free * 2 < self.window {
            return 0;
        }
        let took = now.saturating_duration_since(self.granted_at);
        if took < SHORT {
            self.window = (self.window * 2).min(self.limit);
        } else if took > LONG {
            self.window = (self.window / 2).max(MIN_WINDOW.min(self.limit));
        }
        self.window.saturating_sub(self.outstanding)
    }

    /// `bytes` were granted.
    pub(super) fn granted(&mut self, now: Instant, bytes: u64) {
        self.outstanding += bytes;
        self.granted_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window after ten seconds of a sender behind a line of `rate` bytes/s and a round trip of `round_trip`.
    fn settled(rate: f64, round_trip: Duration) -> u64 {
        let start = Instant::now();
        let mut credit = Credit::new(start, u64::MAX);
        // Grants on their way to the sender, and what it may send.
        let mut grants = vec![];
        let (mut sendable, mut now) = (credit.outstanding() as f64, start);
        let tick = Duration::from_millis(1);
        while now < start + Duration::from_secs(10) {
            now += tick;
            grants.retain(|(at, bytes)| {
                let arrived = now >= *at;
                sendable += if arrived { *bytes as f64 } else { 0.0 };
                !arrived
            });
            let sent = (rate * tick.as_secs_f64()).min(sendable).floor();
            sendable -= sent;
            assert!(credit.take(sent as u64));
            match credit.due(now) {
                0 => {}
                due => {
                    credit.granted(now, due);
                    grants.push((now + round_trip, due));
                }
            }
            assert!(credit.outstanding() <= MAX_WINDOW);
        }
        credit.window
    }

    #[test]
    fn the_window_follows_the_rate() {
        let (near, far) = (Duration::from_millis(20), Duration::from_millis(150));
        assert_eq!(settled(12.5e6, near), MAX_WINDOW, "100 Mbit/s");
        assert_eq!(settled(125e3, near), MIN_WINDOW, "1 Mbit/s");
        assert_eq!(settled(125e3, far), MIN_WINDOW, "1 Mbit/s, far");
        assert_eq!(settled(12.5e6, far), MAX_WINDOW, "100 Mbit/s, far");
    }

    #[test]
    fn a_limit_is_kept() {
        let now = Instant::now();
        let mut credit = Credit::new(now, 1_000);
        assert_eq!(credit.outstanding(), 1_000);
        assert!(!credit.take(1_001) && credit.take(600));
        assert_eq!(credit.due(now), 600);
        credit.granted(now, 600);
        assert_eq!(credit.outstanding(), 1_000);
    }

    #[test]
    fn nothing_is_due_before_half_of_the_window_came() {
        let now = Instant::now();
        let mut credit = Credit::new(now, u64::MAX);
        assert!(credit.take(INITIAL_BLOB_CREDIT / 2 - 1));
        assert_eq!(credit.due(now), 0);
        assert!(credit.take(1));
        assert!(credit.due(now) > 0);
    }
}

//! How much a receiver lets its sender have in flight.
//!
//! Too little, and a long path stands still between two grants; too much, and on a slow line whatever else wants to
//! arrive waits behind it. So the window follows what the path carries in a few round trips: it doubles while half of it
//! comes sooner than the sender could hear of a grant, and is halved when that half takes as long as a queue. A pure value:
//! time is an argument.

use std::time::Duration;

use shoal_wire::limits::{INITIAL_BLOB_CREDIT, MAX_BLOB_CHUNK, MAX_BLOB_CREDIT, MAX_BLOB_STREAMS_PER_PEER};
use web_time::Instant;

use crate::webrtc::limits::{MAX_UNREAD_PER_CONNECTION, MAX_UNREAD_PER_STREAM};

/// Half of a window below the first one that comes sooner than this is too little for whatever the round trip is.
const SHORT: Duration = Duration::from_millis(50);

/// Round trip from which a path may need more than the first window. On a shorter one more only fills the sockets on the
/// way, and each burst that one of them drops costs a retransmission timeout: a tab's upload over loopback loses half its rate.
const FAR: Duration = Duration::from_millis(10);

/// Half of a window that takes longer than this, or than two round trips, is a queue.
const LONG: Duration = Duration::from_millis(200);

/// Longest round trip believed: an answer that takes longer waited for the sender, not for the path.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(500);

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
    round_trip: Duration,
}

impl Credit {
    /// The whole first window is granted with the request. `limit` is the most that may be in flight, and `burst` the most
    /// that may be now, bytes.
    pub(super) fn new(now: Instant, limit: u64, burst: u64) -> Self {
        let limit = limit.clamp(1, MAX_WINDOW);
        let outstanding = INITIAL_BLOB_CREDIT.min(limit).min(burst).max(1);
        Self { window: INITIAL_BLOB_CREDIT, limit, outstanding, granted_at: now, round_trip: Duration::ZERO }
    }

    /// The answer to the request came.
    pub(super) fn answered(&mut self, now: Instant) {
        self.round_trip = now.saturating_duration_since(self.granted_at).min(MAX_ROUND_TRIP);
        self.granted_at = now;
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

    /// What may be granted now that everything that came is verified; 0 until half of the window came. Who gets more
    /// grants it, and then calls [`Self::granted`]. A window never exceeds `burst`, which may change from call to call.
    pub(super) fn due(&mut self, now: Instant, burst: u64) -> u64 {
        let limit = self.limit.min(burst).max(1);
        let window = self.window.min(limit);
        if window.saturating_sub(self.outstanding) * 2 < window {
            return 0;
        }
        let took = now.saturating_duration_since(self.granted_at);
        let next = if took < self.waiting() {
            self.window * 2
        } else if took > LONG.max(self.round_trip * 2) {
            self.window / 2
        } else {
            self.window
        };
        let next = next.clamp(MIN_WINDOW, MAX_WINDOW);
        match next.min(limit).saturating_sub(self.outstanding) {
            // Less may be in flight than is. The window shrinks with the next grant, once for all that came until then.
            0 => 0,
            due => {
                self.window = next;
                due
            }
        }
    }

    /// Half of a window that comes sooner may have waited for its grant.
    fn waiting(&self) -> Duration {
        let round_trip = self.round_trip * 3 / 4;
        if self.window < INITIAL_BLOB_CREDIT {
            SHORT.max(round_trip)
        } else if self.round_trip >= FAR {
            round_trip
        } else {
            Duration::ZERO
        }
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

    const ROUND_TRIPS_MS: [u64; 6] = [1, 20, 150, 220, 350, 600];

    /// A sender behind a line of `rate` bytes/s and a round trip of `round_trip`: the window after twenty seconds, and how
    /// many bytes came in a second of the last ten.
    fn settled(rate: f64, round_trip: Duration) -> (u64, f64) {
        let start = Instant::now();
        let mut credit = Credit::new(start, u64::MAX, u64::MAX);
        // Grants on their way to the sender, and what it may send.
        let mut grants = vec![];
        let (mut sendable, mut now, mut came) = (credit.outstanding() as f64, start + round_trip, 0.0);
        credit.answered(now);
        let tick = Duration::from_millis(1);
        let half = now + Duration::from_secs(10);
        while now < half + Duration::from_secs(10) {
            now += tick;
            grants.retain(|(at, bytes)| {
                let arrived = now >= *at;
                sendable += if arrived { *bytes as f64 } else { 0.0 };
                !arrived
            });
            let sent = (rate * tick.as_secs_f64()).min(sendable).floor();
            sendable -= sent;
            came += if now > half { sent } else { 0.0 };
            assert!(credit.take(sent as u64));
            match credit.due(now, u64::MAX) {
                0 => {}
                due => {
                    credit.granted(now, due);
                    grants.push((now + round_trip, due));
                }
            }
            assert!(credit.outstanding() <= MAX_WINDOW);
        }
        (credit.window, came / 10.0)
    }

    #[test]
    fn a_line_is_used_at_any_round_trip() {
        for rate in [125e3_f64, 1.25e6, 12.5e6] {
            for round_trip in ROUND_TRIPS_MS.map(Duration::from_millis) {
                let most = rate.min(MAX_WINDOW as f64 / round_trip.as_secs_f64());
                let (window, came) = settled(rate, round_trip);
                // A grant leaves when half of the window has come, so a full window is in flight for part of the time only.
                assert!(came > 0.66 * most, "{rate} bytes/s, {round_trip:?}: {came}, window {window}");
            }
        }
    }

    #[test]
    fn a_slow_line_has_a_short_queue() {
        for round_trip in ROUND_TRIPS_MS.map(Duration::from_millis) {
            assert_eq!(settled(125e3, round_trip).0, MIN_WINDOW, "{round_trip:?}");
        }
    }

    #[test]
    fn a_pause_halves_the_window_once() {
        let start = Instant::now();
        let mut credit = Credit::new(start, u64::MAX, u64::MAX);
        credit.window = MAX_WINDOW;
        credit.granted(start, MAX_WINDOW - INITIAL_BLOB_CREDIT);
        let later = start + 2 * LONG;
        let mut granted = 0;
        while granted == 0 {
            assert!(credit.take(16 * 1024));
            granted = credit.due(later, u64::MAX);
        }
        assert_eq!(credit.window, MAX_WINDOW / 2);
        assert_eq!(credit.outstanding() + granted, MAX_WINDOW / 2);
    }

    #[test]
    fn limits_are_kept_and_may_change() {
        let now = Instant::now();
        let mut credit = Credit::new(now, 1_000, u64::MAX);
        assert_eq!(credit.outstanding(), 1_000);
        assert!(!credit.take(1_001) && credit.take(600));
        assert_eq!(credit.due(now, u64::MAX), 600);
        credit.granted(now, 600);
        assert_eq!(credit.outstanding(), 1_000);

        let mut credit = Credit::new(now, u64::MAX, 10_000);
        assert!(credit.take(10_000));
        assert_eq!(credit.due(now, 500), 500, "lowered");
        credit.granted(now, 500);
        assert!(credit.take(500));
        assert!(credit.due(now, u64::MAX) > INITIAL_BLOB_CREDIT / 2, "lifted");
    }

    #[test]
    fn nothing_is_due_before_half_of_the_window_came() {
        let now = Instant::now();
        let mut credit = Credit::new(now, u64::MAX, u64::MAX);
        assert!(credit.take(INITIAL_BLOB_CREDIT / 2 - 1));
        assert_eq!(credit.due(now, u64::MAX), 0);
        assert!(credit.take(1));
        assert!(credit.due(now, u64::MAX) > 0);
    }
}

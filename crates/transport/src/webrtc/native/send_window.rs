//! How much may be in flight, by the shortest round trip seen.
//!
//! SCTP's own congestion window grows until something is lost, and on a fast path what is lost is a burst that overflows
//! the receiver's socket. So no more is written than the path can have use for: a fixed rate times the shortest time
//! between writing a byte and its acknowledgement.

use std::time::{Duration, Instant};

use crate::webrtc::limits::{MAX_SEND_WINDOW, MIN_SEND_WINDOW, SEND_WINDOW_PER_MS};

/// Watches one connection's writes and acknowledgements.
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    written: u64,
    /// The byte count whose acknowledgement is awaited, and when it was written.
    probe: Option<(u64, Instant)>,
    shortest: Option<Duration>,
}

impl SendWindow {
    /// `len` bytes were written.
    pub(super) fn wrote(&mut self, now: Instant, len: usize) {
        self.written += len as u64;
        self.probe.get_or_insert((self.written, now));
    }

    /// Whether [`Self::observe`] would learn something.
    pub(super) fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// `in_flight` bytes are written and not acknowledged.
    pub(super) fn observe(&mut self, now: Instant, in_flight: usize) {
        let acknowledged = self.written.saturating_sub(in_flight as u64);
        if let Some((_, since)) = self.probe.take_if(|(awaited, _)| *awaited <= acknowledged) {
            let sample = now.saturating_duration_since(since);
            self.shortest = Some(self.shortest.map_or(sample, |shortest| shortest.min(sample)));
        }
    }

    /// Bytes that may be in flight.
    pub(super) fn limit(&self) -> usize {
        let micros = self.shortest.map_or(0, |shortest| shortest.as_micros()) as usize;
        (micros.saturating_mul(SEND_WINDOW_PER_MS) / 1000).clamp(MIN_SEND_WINDOW, MAX_SEND_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trip_ms: u64) -> usize {
        let mut window = SendWindow::default();
        let start = Instant::now();
        window.wrote(start, 100);
        window.wrote(start, 1000);
        window.observe(start + Duration::from_millis(round_trip_ms / 2), 1001);
        assert!(window.is_probing(), "nothing is acknowledged yet");
        window.observe(start + Duration::from_millis(round_trip_ms), 1000);
        assert!(!window.is_probing());
        window.limit()
    }

    #[test]
    fn the_window_grows_with_the_round_trip_within_bounds() {
        assert_eq!(SendWindow::default().limit(), MIN_SEND_WINDOW);
        assert_eq!(after(0), MIN_SEND_WINDOW);
        assert_eq!(after(10), 10 * SEND_WINDOW_PER_MS);
        assert_eq!(after(10_000), MAX_SEND_WINDOW);
    }

    #[test]
    fn the_shortest_round_trip_counts() {
        let mut window = SendWindow::default();
        let start = Instant::now();
        for ms in [500, 8, 300] {
            window.wrote(start, 10);
            window.observe(start + Duration::from_millis(ms), 0);
        }
        assert_eq!(window.limit(), 8 * SEND_WINDOW_PER_MS);
    }
}

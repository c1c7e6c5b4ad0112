//! How TCP would carry a stream over the path: the model behind [`TcpProxy`](crate::TcpProxy), without I/O.
//!
//! The kernel's TCP on both sides of the proxy sees a perfect loopback, so the proxy itself decides when a segment of
//! [`SEGMENT_LEN`](crate::limits::SEGMENT_LEN) bytes may leave and when it arrives. The sender is NewReno with selective acknowledgements (RFC 5681, 6675): slow start from
//! ten segments, one segment more per round trip after the first loss, half of the window at each round trip that saw a
//! loss. A lost segment arrives one round trip late, and everything behind it waits. What the model leaves out:
//! retransmission timeouts, delayed acknowledgements, and the loss of retransmissions and acknowledgements. Linux's Cubic is
//! close to Reno at these round trips; BBR would be faster.

use std::collections::VecDeque;
use std::time::Instant;

use crate::conditions::Conditions;
use crate::limits::{INITIAL_WINDOW, MAX_WINDOW, MIN_WINDOW};
use crate::rng::Rng;

/// The congestion window of one direction.
#[derive(Debug)]
pub struct Window {
    conditions: Conditions,
    rng: Rng,
    /// Segments that may be in flight.
    size: f64,
    slow_start_until: f64,
    /// Losses until then belong to the window that was already halved.
    recovered_at: Option<Instant>,
    /// When the acknowledgement, or the news of the loss, comes back.
    in_flight: VecDeque<(Instant, bool)>,
    sent_at: Option<Instant>,
    last_arrival: Option<Instant>,
}

impl Window {
    /// A new connection's. `stream` tells directions with the same seed apart.
    pub fn new(conditions: Conditions, seed: u64, stream: u64) -> Self {
        Self {
            conditions,
            rng: Rng::new(seed, stream),
            size: INITIAL_WINDOW,
            slow_start_until: MAX_WINDOW,
            recovered_at: None,
            in_flight: VecDeque::new(),
            sent_at: None,
            last_arrival: None,
        }
    }

    /// Segments that may be sent now.
    pub fn room(&self) -> usize {
        (self.size as usize).saturating_sub(self.in_flight.len())
    }

    /// A segment of `len` bytes sets out. Returns when the receiver can read it, and whether it was lost at first.
    pub fn send(&mut self, now: Instant, len: usize) -> (Instant, bool) {
        let round_trip = 2 * self.conditions.delay;
        let sent = self.sent_at.map_or(now, |sent| sent.max(now)) + self.conditions.time_to_send(len);
        self.sent_at = Some(sent);
        let lost = self.rng.chance(self.conditions.loss_per_mille);
        self.in_flight.push_back((sent + round_trip, lost));
        let arrives = sent + self.conditions.delay + if lost { round_trip } else { std::time::Duration::ZERO };
        let readable = self.last_arrival.map_or(arrives, |last| last.max(arrives));
        self.last_arrival = Some(readable);
        (readable, lost)
    }

    /// When [`Self::acknowledge`] will have something to do.
    pub fn next_acknowledgement(&self) -> Option<Instant> {
        self.in_flight.front().map(|(at, _)| *at)
    }

    /// Takes the news that have come back.
    pub fn acknowledge(&mut self, now: Instant) {
        while let Some((at, lost)) = self.in_flight.pop_front_if(|(at, _)| *at <= now) {
            if !lost {
                self.size += if self.size < self.slow_start_until { 1.0 } else { 1.0 / self.size };
                self.size = self.size.min(MAX_WINDOW);
            } else if self.recovered_at.is_none_or(|recovered| recovered <= at) {
                self.size = (self.size / 2.0).max(MIN_WINDOW);
                self.slow_start_until = self.size;
                self.recovered_at = Some(at + 2 * self.conditions.delay);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SEGMENT_LEN;
    use std::time::Duration;

    /// Bytes a second over `seconds` of a sender who always has something.
    fn rate(conditions: Conditions, seed: u64, seconds: f64) -> f64 {
        let mut window = Window::new(conditions, seed, 0);
        let start = Instant::now();
        let (mut now, mut segments) = (start, 0);
        while now < start + Duration::from_secs_f64(seconds) {
            while window.room() > 0 {
                window.send(now, SEGMENT_LEN);
                segments += 1;
            }
            now = window.next_acknowledgement().unwrap();
            window.acknowledge(now);
        }
        f64::from(segments) * SEGMENT_LEN as f64 / seconds
    }

    #[test]
    fn the_rate_is_that_of_reno() {
        // Mathis, Semke, Mahdavi, Ott 1997: MSS / RTT * sqrt(3 / 2p), without delayed acknowledgements.
        let expected = SEGMENT_LEN as f64 / 0.05 * (1.5_f64 / 0.01).sqrt();
        let measured = rate(Conditions::new(Duration::from_millis(50), 10), 3, 600.0);
        assert!((0.7..1.3).contains(&(measured / expected)), "{measured} bytes/s, expected about {expected}");
    }

    #[test]
    fn without_loss_the_window_opens_to_its_limit() {
        let measured = rate(Conditions::new(Duration::from_millis(50), 0), 3, 60.0);
        let limit = MAX_WINDOW * SEGMENT_LEN as f64 / 0.05;
        assert!(measured > 0.9 * limit && measured < 1.1 * limit, "{measured} bytes/s, limit {limit}");
    }

    #[test]
    fn what_follows_a_lost_segment_waits_for_it() {
        let mut window = Window::new(Conditions::new(Duration::from_millis(50), 1000), 1, 0);
        let start = Instant::now();
        let (first, lost) = window.send(start, SEGMENT_LEN);
        assert!(lost);
        assert_eq!(first, start + Duration::from_millis(75));
        window.conditions.loss_per_mille = 0;
        assert_eq!(window.send(start + Duration::from_millis(1), SEGMENT_LEN), (first, false));
    }

    #[test]
    fn one_round_trip_halves_the_window_once() {
        let mut window = Window::new(Conditions::new(Duration::from_millis(50), 1000), 1, 0);
        let start = Instant::now();
        for _ in 0..10 {
            window.send(start, SEGMENT_LEN);
        }
        assert_eq!(window.room(), 0);
        window.acknowledge(start + Duration::from_millis(50));
        assert_eq!(window.room(), 5);
    }
}

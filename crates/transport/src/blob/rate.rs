//! Limits on how fast blobs go, as a volunteer sets them.
//!
//! [`Bucket`] is a value: time is an argument. A [`Throttle`] is what transfers wait on; whoever has a clock makes one
//! of a bucket. The receiving end waits before it grants credit, the sending end before it writes.

use std::time::Duration;

/// Slowest limit, bytes/s: slower, and a group would outlast every timeout.
const MIN_RATE: u64 = 4 * 1024;

/// What a transfer waits on.
pub trait Throttle {
    /// Returns when `bytes` more may pass.
    fn pass(&self, bytes: u64) -> impl Future<Output = ()>;

    /// Bytes that were waited for and will not come.
    fn give_back(&self, bytes: u64);

    /// Most bytes to wait for at once.
    fn burst(&self) -> u64;
}

/// No limit.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl Throttle for Unlimited {
    async fn pass(&self, _: u64) {}

    fn give_back(&self, _: u64) {}

    fn burst(&self) -> u64 {
        u64::MAX
    }
}

/// A limit that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rate} bytes/s, allowed is {min} or more")]
pub struct RateError {
    /// What was asked for, bytes/s.
    pub rate: u64,
    /// Least allowed, bytes/s.
    pub min: u64,
}

/// A token bucket that holds a quarter of a second's worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    rate: u64,
    /// Bytes that may pass now; negative while those who took before their time are waited for.
    tokens: f64,
    updated: Duration,
}

impl Bucket {
    /// A full bucket of `rate` bytes/s.
    ///
    /// # Errors
    /// A rate below 4 KiB/s.
    pub fn new(rate: u64, now: Duration) -> Result<Self, RateError> {
        if rate < MIN_RATE {
            return Err(RateError { rate, min: MIN_RATE });
        }
        Ok(Self { rate, tokens: rate as f64 / 4.0, updated: now })
    }

    /// Most that passes at once after a rest, bytes.
    pub fn burst(&self) -> u64 {
        self.rate / 4
    }

    /// Takes `bytes` at `now` and returns how long to wait before they may pass. Those who take later wait longer, so
    /// turns are in order.
    pub fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.tokens = (self.tokens + passed * self.rate as f64).min(self.rate as f64 / 4.0) - bytes as f64;
        Duration::from_secs_f64((-self.tokens / self.rate as f64).max(0.0))
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, bytes: u64) {
        self.tokens = (self.tokens + bytes as f64).min(self.rate as f64 / 4.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_bucket_passes_a_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(40_000, S).unwrap();
        assert_eq!(bucket.take(S, bucket.burst()), Duration::ZERO);
        assert_eq!(bucket.take(S, 40_000), S);
        assert_eq!(bucket.take(S, 40_000), 2 * S, "the second waits for the first");
        assert_eq!(bucket.take(4 * S, 40_000), S - S / 4, "no more than a burst is saved up");
        bucket.give_back(30_000);
        assert_eq!(bucket.take(4 * S, 0), Duration::ZERO);
    }

    #[test]
    fn a_rate_that_is_too_slow_is_refused() {
        assert_eq!(Bucket::new(100, S), Err(RateError { rate: 100, min: MIN_RATE }));
    }

    proptest! {
        /// Over any run of transfers, no more passes than the rate allows and one burst.
        #[test]
        fn the_rate_is_never_exceeded(takes in prop::collection::vec((0_u64..100_000, 0_u64..2_000), 1..100)) {
            let rate = 50_000;
            let mut bucket = Bucket::new(rate, Duration::ZERO).unwrap();
            let (mut now, mut passed, mut last) = (Duration::ZERO, 0_u64, Duration::ZERO);
            for (bytes, pause_ms) in takes {
                now += Duration::from_millis(pause_ms);
                let at = now + bucket.take(now, bytes);
                passed += bytes;
                last = last.max(at);
                prop_assert!(passed as f64 <= rate as f64 * last.as_secs_f64() + bucket.burst() as f64 + 1.0);
            }
        }
    }
}

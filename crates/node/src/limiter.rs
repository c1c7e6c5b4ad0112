//! A volunteer's limit on how fast blobs come or go: a token bucket with this machine's clock.

use std::{cell::RefCell, time::Duration};

use shoal_transport::blob::{Bucket, RateError, Throttle};

use crate::{error::ConfigError, platform::Platform};

/// Whether a worker can work with these limits, bytes/s.
///
/// # Errors
/// One that is too low.
pub fn check_rates(max_down: Option<u64>, max_up: Option<u64>) -> Result<(), ConfigError> {
    for (field, rate) in [("max_down", max_down), ("max_up", max_up)] {
        if let Some(rate) = rate {
            Bucket::new(rate, Duration::ZERO).map_err(|source| ConfigError::Rate { field, source })?;
        }
    }
    Ok(())
}

/// One direction of all transfers of a worker together.
#[derive(Debug)]
pub(crate) struct Limiter<P> {
    platform: P,
    bucket: RefCell<Option<Bucket>>,
}

impl<P: Platform> Limiter<P> {
    /// At most `rate` bytes/s, or as fast as it goes.
    pub(crate) fn new(platform: P, rate: Option<u64>) -> Result<Self, RateError> {
        let limiter = Self { platform, bucket: RefCell::new(None) };
        limiter.set_rate(rate)?;
        Ok(limiter)
    }

    /// From now on at most `rate` bytes/s. Whoever waits already goes on by the old limit.
    pub(crate) fn set_rate(&self, rate: Option<u64>) -> Result<(), RateError> {
        let now = self.platform.now();
        let bucket = rate.map(|rate| Bucket::new(rate, now)).transpose()?;
        self.bucket.replace(bucket);
        Ok(())
    }
}

impl<P: Platform> Throttle for Limiter<P> {
    async fn pass(&self, bytes: u64) {
        let now = self.platform.now();
        let wait = self.bucket.borrow_mut().as_mut().map_or(Duration::ZERO, |bucket| bucket.take(now, bytes));
        if wait > Duration::ZERO {
            let mut taken = GiveBack { limiter: self, bytes };
            self.platform.sleep(wait).await;
            taken.bytes = 0;
        }
    }

    fn give_back(&self, bytes: u64) {
        if let Some(bucket) = &mut *self.bucket.borrow_mut() {
            bucket.give_back(bytes);
        }
    }

    fn burst(&self) -> u64 {
        self.bucket.borrow().as_ref().map_or(u64::MAX, Bucket::burst)
    }
}

/// Whoever stops waiting has not used what was taken.
struct GiveBack<'a, P: Platform> {
    limiter: &'a Limiter<P>,
    bytes: u64,
}

impl<P: Platform> Drop for GiveBack<'_, P> {
    fn drop(&mut self) {
        self.limiter.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::{Arc, Mutex},
    };

    use futures::FutureExt as _;

    use super::*;

    /// A machine whose time passes when somebody sleeps.
    #[derive(Clone, Default)]
    struct Sleeper {
        now: Arc<Mutex<Duration>>,
        for_ever: bool,
    }

    impl Platform for Sleeper {
        fn now(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn unix_time_s(&self) -> u64 {
            self.now().as_secs()
        }

        async fn sleep(&self, duration: Duration) {
            if self.for_ever {
                std::future::pending().await
            }
            *self.now.lock().unwrap() += duration;
        }

        async fn yield_now(&self) {}

        fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {
            unreachable!("a limiter spawns nothing");
        }
    }

    #[test]
    fn a_limit_passes_a_burst_and_then_its_rate() {
        let machine = Sleeper::default();
        let limiter = Limiter::new(machine.clone(), Some(40_000)).unwrap();
        assert_eq!(limiter.burst(), 10_000);
        limiter.pass(10_000).now_or_never().unwrap();
        assert_eq!(machine.now(), Duration::ZERO, "a burst does not wait");
        for _ in 0..8 {
            limiter.pass(10_000).now_or_never().unwrap();
        }
        assert_eq!(machine.now(), Duration::from_secs(2));
        limiter.give_back(10_000);
        limiter.pass(10_000).now_or_never().unwrap();
        assert_eq!(machine.now(), Duration::from_secs(2), "what was not used may pass later");
    }

    #[test]
    fn who_stops_waiting_has_used_nothing() {
        let machine = Sleeper::default();
        let asleep = Sleeper { for_ever: true, ..machine.clone() };
        let limiter = Limiter::new(asleep, Some(40_000)).unwrap();
        limiter.pass(10_000).now_or_never().unwrap();
        assert_eq!(limiter.pass(40_000).now_or_never(), None, "waits, and is dropped");
        *machine.now.lock().unwrap() += Duration::from_millis(250);
        assert_eq!(limiter.pass(10_000).now_or_never(), Some(()));
    }

    #[test]
    fn no_limit_never_waits_and_a_rate_that_cannot_work_is_refused() {
        let machine = Sleeper::default();
        let limiter = Limiter::new(machine.clone(), None).unwrap();
        limiter.pass(u64::MAX).now_or_never().unwrap();
        assert_eq!((machine.now(), limiter.burst()), (Duration::ZERO, u64::MAX));
        assert!(Limiter::new(machine, Some(100)).is_err());
    }
}

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
            self.platform.sleep(wait).await;
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

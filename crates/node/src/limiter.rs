//! A volunteer's limit on how fast blobs come or go: a token bucket with this machine's clock.

use std::{cell::RefCell, time::Duration};

use shoal_transport::blob::{Bucket, RateError, Throttle};

use crate::platform::Platform;

/// One direction of all transfers of a worker together.
#[derive(Debug)]
pub(crate) struct Limiter<P> {
    platform: P,
    bucket: Option<RefCell<Bucket>>,
}

impl<P: Platform> Limiter<P> {
    /// At most `rate` bytes/s, or as fast as it goes.
    pub(crate) fn new(platform: P, rate: Option<u64>) -> Result<Self, RateError> {
        let now = platform.now();
        let bucket = rate.map(|rate| Bucket::new(rate, now)).transpose()?;
        Ok(Self { platform, bucket: bucket.map(RefCell::new) })
    }
}

impl<P: Platform> Throttle for Limiter<P> {
    async fn pass(&self, bytes: u64) {
        let Some(bucket) = &self.bucket else { return };
        let wait = bucket.borrow_mut().take(self.platform.now(), bytes);
        if wait > Duration::ZERO {
            self.platform.sleep(wait).await;
        }
    }

    fn give_back(&self, bytes: u64) {
        if let Some(bucket) = &self.bucket {
            bucket.borrow_mut().give_back(bytes);
        }
    }

    fn burst(&self) -> u64 {
        self.bucket.as_ref().map_or(u64::MAX, |bucket| bucket.borrow().burst())
    }
}

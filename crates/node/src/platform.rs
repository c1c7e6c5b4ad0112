//! What a worker needs from the machine it runs on.

use std::{future::Future, pin::Pin, time::Duration};

/// Time and tasks. Cheap to clone.
pub trait Platform: Clone + Send + 'static {
    /// A clock that never goes back, from any start.
    fn now(&self) -> Duration;

    /// Seconds since the Unix epoch, for statements that others date.
    fn unix_time_s(&self) -> u64;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Lets everything else that is ready run once, events of the browser included.
    fn yield_now(&self) -> impl Future<Output = ()>;

    /// Runs a task of the network beside the worker.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// The output of `future`, or `None` if it takes longer than `limit`.
pub(crate) async fn timeout<P: Platform, F: Future>(platform: &P, limit: Duration, future: F) -> Option<F::Output> {
    let future = std::pin::pin!(future);
    let sleep = std::pin::pin!(platform.sleep(limit));
    match futures::future::select(future, sleep).await {
        futures::future::Either::Left((output, _)) => Some(output),
        futures::future::Either::Right(_) => None,
    }
}

/// The current tokio runtime.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Debug)]
pub struct TokioPlatform {
    start: std::time::Instant,
}

#[cfg(not(target_arch = "wasm32"))]
impl TokioPlatform {
    /// A platform whose clock starts now.
    #[allow(clippy::new_without_default, reason = "a default that reads the clock would surprise")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Platform for TokioPlatform {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_time_s(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }
}

//! How hard the machine may work: paused, or a share of the time. The volunteer's word, obeyed between steps.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};

use crate::platform::Platform;

/// Least share of the time spent computing; below it a lease would outlast its duration.
const MIN_SHARE: f64 = 0.05;

#[derive(Debug)]
pub(crate) struct Pace {
    paused: Cell<bool>,
    share: Cell<f64>,
    waiting: RefCell<Option<Waker>>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { paused: Cell::new(false), share: Cell::new(1.0), waiting: RefCell::new(None) }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Sets the share of the time spent computing, 0 to 1; what is not a number means all of it.
    pub(crate) fn set_share(&self, share: f64) {
        self.share.set(if share.is_nan() { 1.0 } else { share.clamp(MIN_SHARE, 1.0) });
    }

    /// Called after a slice of work: lets others run, rests as the share demands, and waits while paused.
    pub(crate) async fn rest(&self, platform: &impl Platform, worked: Duration) {
        let share = self.share.get();
        if share < 1.0 {
            platform.sleep(worked.mul_f64((1.0 - share) / share)).await;
        } else {
            platform.yield_now().await;
        }
        poll_fn(|cx| {
            if !self.paused.get() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

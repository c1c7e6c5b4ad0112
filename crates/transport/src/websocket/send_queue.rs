//! How much a tab lets the browser queue for sending: enough that the queue is not empty before the next look at it, and no
//! more, because everything in it delays what comes after. A pure value; the browser side asks and tells it.

#![cfg_attr(not(any(test, target_arch = "wasm32")), expect(dead_code, reason = "only tabs have such a queue"))]

use super::limits::{FIRST_SEND_QUEUE, MAX_SEND_QUEUE, MIN_SEND_QUEUE};

/// The limit, which follows how fast the queue drains.
#[derive(Debug)]
pub(super) struct SendQueue {
    limit: u32,
}

impl SendQueue {
    pub(super) fn new() -> Self {
        Self { limit: FIRST_SEND_QUEUE }
    }

    /// Bytes that may be added to `queued`.
    pub(super) fn room(&self, queued: u32) -> usize {
        self.limit.saturating_sub(queued) as usize
    }

    /// A writer that had found the queue full looks at it again, one look's time later.
    pub(super) fn look(&mut self, queued: u32) {
        if queued == 0 {
            // It ran dry: time was lost.
            self.limit = (self.limit * 2).min(MAX_SEND_QUEUE);
        } else if queued > self.limit / 4 * 3 {
            // It drains slowly; what is queued beyond need only delays others.
            self.limit = (self.limit / 4 * 3).max(MIN_SEND_QUEUE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that always has more to say, on a network that takes `drain` bytes from look to look.
    fn settled(drain: u32) -> u32 {
        let (mut queue, mut queued) = (SendQueue::new(), 0);
        for _ in 0..200 {
            queued += queue.room(queued) as u32;
            assert!(queued <= MAX_SEND_QUEUE);
            queued = queued.saturating_sub(drain);
            queue.look(queued);
        }
        queue.limit
    }

    #[test]
    fn a_slow_network_gets_a_short_queue_and_a_fast_one_a_long_one() {
        // 1 Mbit/s, 100 Mbit/s, 2 Gbit/s over 4 ms.
        assert_eq!(settled(500), MIN_SEND_QUEUE);
        assert!((50_000..=400_000).contains(&settled(50_000)), "{}", settled(50_000));
        assert!((1_000_000..=MAX_SEND_QUEUE).contains(&settled(1_000_000)), "{}", settled(1_000_000));
        assert_eq!(settled(u32::MAX), MAX_SEND_QUEUE);
    }

    /// What waits ahead of a small message: eight looks' worth at most, or the least that is queued.
    #[test]
    fn the_queue_is_as_short_as_the_network_is_slow() {
        for drain in (100..1_000_000).step_by(997) {
            assert!(settled(drain) <= MIN_SEND_QUEUE.max(8 * drain), "{} at {drain}", settled(drain));
        }
    }

    #[test]
    fn a_full_queue_has_no_room() {
        let queue = SendQueue::new();
        assert_eq!(queue.room(0), FIRST_SEND_QUEUE as usize);
        assert_eq!(queue.room(FIRST_SEND_QUEUE), 0);
        assert_eq!(queue.room(u32::MAX), 0);
    }
}

//! One direction of a datagram path, without I/O: what arrives when, and what does not.

use std::collections::VecDeque;
use std::time::Instant;

use crate::conditions::Conditions;
use crate::rng::Rng;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It will arrive.
    Carried,
    /// The seed says that it is lost.
    Lost,
    /// The queue was full.
    Overflowed,
}

/// Packets on their way, in order. Give it packets with [`Self::push`], ask when the next arrives with
/// [`Self::next_arrival`], and take what has arrived with [`Self::pop`].
#[derive(Debug)]
pub struct Link<T> {
    conditions: Conditions,
    rng: Rng,
    on_the_way: VecDeque<Packet<T>>,
    bytes: usize,
    /// When the last packet's last byte has left, at the rate of the path.
    sent_at: Option<Instant>,
}

#[derive(Debug)]
struct Packet<T> {
    arrives: Instant,
    len: usize,
    content: T,
}

impl<T> Link<T> {
    /// An idle direction. `stream` tells directions with the same seed apart.
    pub fn new(conditions: Conditions, seed: u64, stream: u64) -> Self {
        Self { conditions, rng: Rng::new(seed, stream), on_the_way: VecDeque::new(), bytes: 0, sent_at: None }
    }

    /// A packet of `len` bytes sets out. One number is drawn for each, also if it then finds the queue full, so that the
    /// fate of the n-th packet does not depend on time.
    pub fn push(&mut self, now: Instant, len: usize, content: T) -> Fate {
        if self.rng.chance(self.conditions.loss_per_mille) {
            return Fate::Lost;
        }
        if self.bytes + len > self.conditions.queue_bytes {
            return Fate::Overflowed;
        }
        let start = self.sent_at.map_or(now, |sent| sent.max(now));
        let sent = start + self.conditions.time_to_send(len);
        self.sent_at = Some(sent);
        self.bytes += len;
        self.on_the_way.push_back(Packet { arrives: sent + self.conditions.delay, len, content });
        Fate::Carried
    }

    /// When [`Self::pop`] will have something.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.front().map(|packet| packet.arrives)
    }

    /// The next packet that has arrived.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        let packet = self.on_the_way.pop_front_if(|packet| packet.arrives <= now)?;
        self.bytes -= packet.len;
        Some(packet.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    fn lossless() -> Conditions {
        Conditions::new(50 * MS, 0)
    }

    fn fates(seed: u64, stream: u64, loss_per_mille: u32) -> Vec<Fate> {
        let mut link = Link::new(Conditions::new(50 * MS, loss_per_mille), seed, stream);
        let now = Instant::now();
        (0..10_000).map(|i| link.push(now, 1, i)).collect()
    }

    #[test]
    fn packets_arrive_in_order_after_the_delay() {
        let mut link = Link::new(lossless(), 1, 0);
        let start = Instant::now();
        link.push(start, 100, 'a');
        link.push(start + MS, 100, 'b');
        assert_eq!(link.next_arrival(), Some(start + 25 * MS));
        assert_eq!(link.pop(start + 24 * MS), None);
        assert_eq!(link.pop(start + 25 * MS), Some('a'));
        assert_eq!(link.pop(start + 25 * MS), None);
        assert_eq!(link.pop(start + 26 * MS), Some('b'));
        assert_eq!(link.next_arrival(), None);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_and_about_as_many_as_asked() {
        assert_eq!(fates(7, 0, 10), fates(7, 0, 10));
        assert_ne!(fates(7, 0, 10), fates(8, 0, 10));
        assert_ne!(fates(7, 0, 10), fates(7, 1, 10));
        let lost = fates(7, 0, 10).iter().filter(|fate| **fate == Fate::Lost).count();
        assert!((60..140).contains(&lost), "{lost} of 10,000 at 1 %");
        assert!(!fates(7, 0, 0).contains(&Fate::Lost));
    }

    #[test]
    fn a_full_queue_drops_and_takes_more_once_something_arrived() {
        let mut link = Link::new(Conditions { queue_bytes: 250, ..lossless() }, 1, 0);
        let start = Instant::now();
        assert_eq!(link.push(start, 200, ()), Fate::Carried);
        assert_eq!(link.push(start, 100, ()), Fate::Overflowed);
        assert!(link.pop(start + 25 * MS).is_some());
        assert_eq!(link.push(start + 25 * MS, 100, ()), Fate::Carried);
    }

    #[test]
    fn a_rate_spaces_packets() {
        let mut link = Link::new(Conditions { rate: Some(100_000), ..lossless() }, 1, 0);
        let start = Instant::now();
        link.push(start, 1_000, 'a');
        link.push(start, 1_000, 'b');
        assert_eq!(link.next_arrival(), Some(start + 35 * MS));
        assert_eq!(link.pop(start + 35 * MS), Some('a'));
        assert_eq!(link.next_arrival(), Some(start + 45 * MS));
    }
}

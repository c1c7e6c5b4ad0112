//! How often one source address may make first contact: token buckets in a table of fixed size.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

use crate::webrtc::limits::{FIRST_CONTACT_BUCKETS, FIRST_CONTACT_BURST, FIRST_CONTACT_PER_SECOND};

/// Rate limit of first contacts. Addresses are hashed with a random key into the table, so that nobody can choose whom
/// to share a bucket with.
#[derive(Debug)]
pub(super) struct Gate {
    buckets: Vec<Bucket>,
    key: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Gate {
    pub(super) fn new(now: Instant) -> Self {
        let full = Bucket { tokens: f64::from(FIRST_CONTACT_BURST), filled: now };
        Self { buckets: vec![full; FIRST_CONTACT_BUCKETS], key: RandomState::new() }
    }

    /// Takes a token of `source`; `false` if it has none left.
    pub(super) fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        let index = self.key.hash_one(subnet(source)) as usize % self.buckets.len();
        let bucket = &mut self.buckets[index];
        let seconds = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens =
            (bucket.tokens + seconds * f64::from(FIRST_CONTACT_PER_SECOND)).min(f64::from(FIRST_CONTACT_BURST));
        bucket.filled = now;
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber gets at least.
fn subnet(source: IpAddr) -> u128 {
    match source.to_canonical() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        let source: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let admitted = (0..1000).filter(|_| gate.admit(start, source)).count();
        assert_eq!(admitted, FIRST_CONTACT_BURST as usize);
        assert!(!gate.admit(start, neighbour), "one subscriber has one bucket");
        let later = start + Duration::from_secs(2);
        let admitted = (0..1000).filter(|_| gate.admit(later, source)).count();
        assert_eq!(admitted, 2 * FIRST_CONTACT_PER_SECOND as usize);
    }

    #[test]
    fn another_address_is_not_held_up() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        while gate.admit(now, "192.0.2.1".parse().unwrap()) {}
        // A few of these may share the drained bucket.
        let free = (0..100u8).filter(|i| gate.admit(now, IpAddr::from([198, 51, 100, *i]))).count();
        assert!(free > 90, "{free}");
    }
}

//! Which groups of a blob are here, which ranges are being fetched, and what to ask for next. No I/O, no bytes.
//!
//! 1. [`Plan::claim`] gives a range that is neither here nor claimed; whoever holds the claim asks a sender for it.
//! 2. [`Plan::header`] takes what the sender says the blob's size is; the claim ends there.
//! 3. [`Plan::verified`] notes each group. The last one proves the size.
//! 4. [`Plan::release`] ends a claim, whatever came of it; what is missing of it can be claimed again.
//!
//! Several claims may be out at once, so that several streams and several senders work on one blob. A group is never
//! claimed twice at a time nor once it is verified.

use std::ops::Range;

use shoal_wire::limits::{BLOB_GROUP_LEN, INITIAL_BLOB_CREDIT};

use super::slice::{group_count, group_len};

/// Groups of a piece, 1 MiB: the least that a stream is opened for, and what callers may keep of an unfinished blob.
pub const PIECE_GROUPS: u64 = 64;

/// Most groups of one claim while others could share the work, 16 MiB: a slow stream must not hold up the end for long.
const MAX_CLAIM_GROUPS: u64 = 16 * PIECE_GROUPS;

/// Groups of the first claim, while the size is not known: what a sender may send before it hears again anyway.
const FIRST_CLAIM_GROUPS: u64 = INITIAL_BLOB_CREDIT / BLOB_GROUP_LEN as u64;

/// A header that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// More than is taken.
    #[error("blob of {size} bytes is above the limit of {limit}")]
    TooLarge { size: u64, limit: u64 },
    /// Ends before what was asked for.
    #[error("blob of {size} bytes has nothing at byte {offset}")]
    Shrunk { size: u64, offset: u64 },
    /// Not the size that was proven or claimed before.
    #[error("blob of {size} bytes, {before} before")]
    Disputed { size: u64, before: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    /// A sender's word.
    Claimed(u64),
    /// The last group has been verified.
    Proven(u64),
}

/// A claim's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// The state of a download.
#[derive(Debug)]
pub(super) struct Plan {
    max_len: u64,
    lanes: usize,
    size: Size,
    groups: GroupSet,
    verified_bytes: u64,
    out: Vec<(Ticket, Range<u64>)>,
    next: u64,
}

impl Plan {
    /// A blob of at most `max_len` bytes, of which nothing is here yet.
    pub(super) fn new(max_len: u64) -> Self {
        let groups = GroupSet::new(group_count(max_len));
        Self { max_len, lanes: 1, size: Size::Unknown, groups, verified_bytes: 0, out: Vec::new(), next: 0 }
    }

    /// How many claims may be out at once, at least one. With one, a claim is as long as the gap it fills.
    pub(super) fn set_lanes(&mut self, lanes: usize) {
        self.lanes = lanes.max(1);
    }

    /// Bytes of the groups that are here.
    pub(super) fn verified_bytes(&self) -> u64 {
        self.verified_bytes
    }

    /// Whether a blob of this size is taken at all.
    pub(super) fn takes(&self, size: u64) -> bool {
        size <= self.max_len
    }

    /// Whether a range that ends there ends where the largest blob would.
    pub(super) fn is_limit(&self, end: u64) -> bool {
        end == self.groups.len
    }

    pub(super) fn contains(&self, group: u64) -> bool {
        self.groups.contains(group)
    }

    /// The size, once the last group has proven it.
    pub(super) fn proven_size(&self) -> Option<u64> {
        match self.size {
            Size::Proven(size) => Some(size),
            Size::Unknown | Size::Claimed(_) => None,
        }
    }

    /// The size, proven or not.
    pub(super) fn likely_size(&self) -> Option<u64> {
        match self.size {
            Size::Proven(size) | Size::Claimed(size) => Some(size),
            Size::Unknown => None,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.proven_size().is_some_and(|size| self.groups.count == group_count(size))
    }

    /// The next range to fetch; `None` while nothing is free, or as many claims are out as may be.
    pub(super) fn claim(&mut self) -> Option<(Ticket, Range<u64>)> {
        if self.is_complete() || self.out.len() >= self.lanes {
            return None;
        }
        let groups = match self.size {
            // One sender has to say it before others can share the work.
            Size::Unknown if !self.out.is_empty() => return None,
            Size::Unknown => self.first_claim(),
            Size::Claimed(size) => self.proving_claim(size).or_else(|| self.next_claim(size))?,
            Size::Proven(size) => self.next_claim(size)?,
        };
        let ticket = Ticket(self.next);
        self.next += 1;
        self.out.push((ticket, groups.clone()));
        Some((ticket, groups))
    }

    fn first_claim(&self) -> Range<u64> {
        let start = (0..self.groups.len).find(|group| !self.groups.contains(*group)).unwrap_or(0);
        let end = if self.lanes == 1 { self.groups.len } else { start + FIRST_CLAIM_GROUPS };
        start..end.min(self.groups.len).max(start + 1)
    }

    /// The end of the blob, which proves its size: asked for before anything else that the size alone promises.
    fn proving_claim(&self, size: u64) -> Option<Range<u64>> {
        if self.lanes == 1 {
            return None;
        }
        let last = self.gaps(size).last().filter(|gap| gap.end == group_count(size))?;
        Some(last.start.max(last.end.saturating_sub(PIECE_GROUPS))..last.end)
    }

    /// A fair share of what is free, cut at a piece's boundary: large at first, small towards the end, so that streams
    /// of different speeds finish together.
    fn next_claim(&self, size: u64) -> Option<Range<u64>> {
        let gap = self.gaps(size).next()?;
        if self.lanes == 1 {
            return Some(gap);
        }
        let free: u64 = self.gaps(size).map(|gap| gap.end - gap.start).sum();
        let share = (free / (2 * self.lanes as u64)).clamp(PIECE_GROUPS, MAX_CLAIM_GROUPS);
        let aligned = (gap.start + share) / PIECE_GROUPS * PIECE_GROUPS;
        Some(gap.start..aligned.clamp(gap.start + 1, gap.end))
    }

    /// Runs of groups that are neither here nor claimed, in order.
    fn gaps(&self, size: u64) -> impl Iterator<Item = Range<u64>> {
        let count = group_count(size);
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = (at..count).find(|group| self.is_free(*group))?;
            at = (start..count).find(|group| !self.is_free(*group)).unwrap_or(count);
            Some(start..at)
        })
    }

    fn is_free(&self, group: u64) -> bool {
        !self.groups.contains(group) && !self.out.iter().any(|(_, groups)| groups.contains(&group))
    }

    /// A sender says the size. Returns what of the claim exists.
    pub(super) fn header(&mut self, ticket: Ticket, size: u64) -> Result<Range<u64>, HeaderError> {
        if size > self.max_len {
            return Err(HeaderError::TooLarge { size, limit: self.max_len });
        }
        match self.size {
            Size::Proven(before) if before != size => return Err(HeaderError::Disputed { size, before }),
            Size::Claimed(before) if before != size => {
                // One of the two is wrong, and nobody knows which: the next header starts afresh.
                self.size = Size::Unknown;
                return Err(HeaderError::Disputed { size, before });
            }
            _ => {}
        }
        let (_, claimed) = self.out.iter_mut().find(|(out, _)| *out == ticket).expect("a claim in use is out");
        let end = claimed.end.min(group_count(size));
        if claimed.start >= end {
            return Err(HeaderError::Shrunk { size, offset: claimed.start * BLOB_GROUP_LEN as u64 });
        }
        claimed.end = end;
        let groups = claimed.clone();
        if self.size == Size::Unknown {
            self.size = Size::Claimed(size);
        }
        Ok(groups)
    }

    /// A group of the blob was verified in a tree of `size` bytes. Returns whether it was missing.
    pub(super) fn verified(&mut self, group: u64, size: u64) -> bool {
        if group + 1 == group_count(size) {
            debug_assert!(self.proven_size().is_none_or(|proven| proven == size), "a blob has one right edge");
            self.size = Size::Proven(size);
        }
        let fresh = self.groups.insert(group);
        if fresh {
            self.verified_bytes += group_len(size, group) as u64;
        }
        fresh
    }

    /// Ends a claim.
    pub(super) fn release(&mut self, ticket: Ticket) {
        self.out.retain(|(out, _)| *out != ticket);
    }
}

/// A set of groups, one bit each: 2 KiB for the largest blob.
#[derive(Debug)]
struct GroupSet {
    bits: Vec<u64>,
    len: u64,
    count: u64,
}

impl GroupSet {
    fn new(len: u64) -> Self {
        let words = usize::try_from(len.div_ceil(64)).expect("a bit for each group is addressable");
        Self { bits: vec![0; words], len, count: 0 }
    }

    fn contains(&self, group: u64) -> bool {
        self.bits.get((group / 64) as usize).is_some_and(|word| word >> (group % 64) & 1 == 1)
    }

    fn insert(&mut self, group: u64) -> bool {
        let fresh = !self.contains(group);
        self.bits[(group / 64) as usize] |= 1 << (group % 64);
        self.count += u64::from(fresh);
        fresh
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

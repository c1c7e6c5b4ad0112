use crate::chunk::chunk_payload_data::ChunkPayloadData;
use crate::chunk::chunk_selective_ack::GapAckBlock;
use crate::util::*;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// DATA chunks in TSN order.
///
/// A sender assigns TSNs one after another and removes them at the front, so
/// the place of a TSN follows from its distance to the first: looking one up
/// or appending one costs the same however many are queued. A receiver's
/// queue may have gaps; there the place is found by binary search.
#[derive(Default, Debug)]
pub(crate) struct PayloadQueue {
    chunks: VecDeque<ChunkPayloadData>,
    dup_tsn: Vec<u32>,
    n_bytes: usize,
    /// Queued chunks with a deadline, so that nobody searches for expired
    /// ones where none can be.
    n_timed: usize,
    /// No chunk before this TSN waits for retransmission; `None` if none does.
    retransmit_from: Option<u32>,
    #[cfg(test)]
    pub(crate) visited: core::sync::atomic::AtomicUsize,
}

fn compare(a: u32, b: u32) -> Ordering {
    if a == b {
        Ordering::Equal
    } else if sna32lt(a, b) {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

impl PayloadQueue {
    pub(crate) fn new() -> Self {
        PayloadQueue::default()
    }

    /// Where the chunk with this TSN is, or where it belongs.
    fn position(&self, tsn: u32) -> core::result::Result<usize, usize> {
        self.visit(1);
        let Some(first) = self.chunks.front() else {
            return Err(0);
        };
        // Without a gap before it, this is the place.
        let distance = tsn.wrapping_sub(first.tsn) as usize;
        if distance < self.chunks.len() {
            if self.chunks[distance].tsn == tsn {
                return Ok(distance);
            }
        } else if self
            .chunks
            .back()
            .is_some_and(|last| sna32lt(last.tsn, tsn))
        {
            return Err(self.chunks.len());
        }
        self.chunks
            .binary_search_by(|chunk| compare(chunk.tsn, tsn))
    }

    /// Tests count what is looked at, to show that it does not grow with the queue.
    fn visit(&self, _n: usize) {
        #[cfg(test)]
        self.visited
            .fetch_add(_n, core::sync::atomic::Ordering::Relaxed);
    }

    /// The queued chunks in TSN order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ChunkPayloadData> {
        self.chunks.iter().inspect(|_| self.visit(1))
    }

    fn insert(&mut self, place: usize, p: ChunkPayloadData) {
        self.n_bytes += p.user_data.len();
        self.n_timed += usize::from(p.deadline.is_some());
        self.chunks.insert(place, p);
    }

    fn removed(&mut self, c: &ChunkPayloadData) {
        self.n_bytes = self.n_bytes.saturating_sub(c.user_data.len());
        self.n_timed = self
            .n_timed
            .saturating_sub(usize::from(c.deadline.is_some()));
    }

    pub(crate) fn can_push(&self, p: &ChunkPayloadData, cumulative_tsn: u32) -> bool {
        !(sna32lte(p.tsn, cumulative_tsn) || self.position(p.tsn).is_ok())
    }

    pub(crate) fn push_no_check(&mut self, p: ChunkPayloadData) {
        let (Ok(place) | Err(place)) = self.position(p.tsn);
        self.insert(place, p);
    }

    /// push pushes a payload data. If the payload data is already in our queue or
    /// older than our cumulative_tsn marker, it will be recored as duplications,
    /// which can later be retrieved using popDuplicates.
    pub(crate) fn push(&mut self, p: ChunkPayloadData, cumulative_tsn: u32) -> bool {
        match self.position(p.tsn) {
            Err(place) if !sna32lte(p.tsn, cumulative_tsn) => {
                self.insert(place, p);
                true
            }
            _ => {
                // Found the packet, log in dups
                self.dup_tsn.push(p.tsn);
                false
            }
        }
    }

    /// pop pops only if the oldest chunk's TSN matches the given TSN.
    pub(crate) fn pop(&mut self, tsn: u32) -> Option<ChunkPayloadData> {
        if self.chunks.front()?.tsn != tsn {
            return None;
        }
        let c = self.chunks.pop_front()?;
        self.removed(&c);
        Some(c)
    }

    /// Removes every queued chunk with a TSN at or before `cumulative_tsn`.
    ///
    /// Used when a FORWARD-TSN moves the cumulative TSN point past chunks the
    /// peer abandoned. The cost is proportional to the number of queued chunks,
    /// not to the size of the TSN jump: `cumulative_tsn` comes off the wire and
    /// may be up to 2^31 ahead of the current point.
    pub(crate) fn pop_up_to(&mut self, cumulative_tsn: u32) {
        while let Some(tsn) = self.chunks.front().map(|c| c.tsn) {
            if !sna32lte(tsn, cumulative_tsn) {
                break;
            }
            self.pop(tsn);
        }
    }

    /// get returns reference to chunkPayloadData with the given TSN value.
    pub(crate) fn get(&self, tsn: u32) -> Option<&ChunkPayloadData> {
        self.position(tsn).ok().map(|place| &self.chunks[place])
    }

    pub(crate) fn get_mut(&mut self, tsn: u32) -> Option<&mut ChunkPayloadData> {
        let place = self.position(tsn).ok()?;
        self.chunks.get_mut(place)
    }

    /// Abandon siblings by identity, including nonconsecutive TSNs.
    pub(crate) fn abandon_message(&mut self, message_id: u64) -> usize {
        let mut released = 0;
        for chunk in &mut self.chunks {
            if chunk.message_id == message_id {
                released += chunk.user_data.len();
                chunk.user_data.clear();
                chunk.abandoned = true;
                chunk.retransmit = false;
            }
        }
        self.n_bytes -= released;
        released
    }

    pub(crate) fn mark_all_to_retransmit(&mut self) {
        for chunk in &mut self.chunks {
            if !chunk.acked && !chunk.abandoned {
                chunk.retransmit = true;
            }
        }
        self.retransmit_from = self.chunks.front().map(|chunk| chunk.tsn);
    }

    /// The first TSN that may wait for retransmission. Everything before it
    /// need not be looked at.
    pub(crate) fn retransmit_from(&self) -> Option<u32> {
        self.retransmit_from
    }

    /// Tells that no chunk before `tsn` waits for retransmission, or, where it
    /// is `None`, that none does.
    pub(crate) fn set_retransmit_from(&mut self, tsn: Option<u32>) {
        self.retransmit_from = tsn;
    }

    /// Whether any queued chunk has a deadline.
    pub(crate) fn has_timed(&self) -> bool {
        self.n_timed != 0
    }

    /// popDuplicates returns an array of TSN values that were found duplicate.
    pub(crate) fn pop_duplicates(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.dup_tsn)
    }

    /// Gap offsets are nonzero u16 distances, not wrapping sequence numbers.
    /// Farther TSNs remain queued for reporting once the cumulative TSN advances.
    pub(crate) fn get_gap_ack_blocks(&self, cumulative_tsn: u32) -> Vec<GapAckBlock> {
        let mut gap_ack_blocks: Vec<GapAckBlock> = vec![];
        for chunk in self.iter() {
            let Ok(offset) = u16::try_from(chunk.tsn.wrapping_sub(cumulative_tsn)) else {
                continue;
            };
            if offset == 0 {
                continue;
            }

            match gap_ack_blocks.last_mut() {
                Some(block) if block.end.checked_add(1) == Some(offset) => block.end = offset,
                _ => gap_ack_blocks.push(GapAckBlock {
                    start: offset,
                    end: offset,
                }),
            }
        }

        gap_ack_blocks
    }

    pub(crate) fn get_gap_ack_blocks_string(&self, cumulative_tsn: u32) -> String {
        let mut s = format!("cumTSN={}", cumulative_tsn);
        for b in self.get_gap_ack_blocks(cumulative_tsn) {
            s += format!(",{}-{}", b.start, b.end).as_str();
        }
        s
    }

    pub(crate) fn mark_as_acked(&mut self, tsn: u32) -> usize {
        if let Some(c) = self.get_mut(tsn) {
            c.acked = true;
            c.retransmit = false;
            let n = c.user_data.len();
            c.user_data.clear();
            self.n_bytes -= n;
            n
        } else {
            0
        }
    }

    pub(crate) fn get_last_tsn_received(&self) -> Option<&u32> {
        self.chunks.back().map(|chunk| &chunk.tsn)
    }

    pub(crate) fn get_num_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn contains_stream(&self, stream_identifier: u16) -> bool {
        self.iter()
            .any(|chunk| chunk.stream_identifier == stream_identifier)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

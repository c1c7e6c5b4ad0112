//! Blobs by hash, in memory, least recently used out first. Shards and graphs come back round after round.

use std::collections::HashMap;

use bytes::Bytes;
use shoal_wire::ids::BlobId;

#[derive(Debug)]
pub(super) struct MemoryCache {
    limit: u64,
    held: u64,
    clock: u64,
    blobs: HashMap<BlobId, Entry>,
}

#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    used: u64,
}

impl MemoryCache {
    /// Holds at most `limit` bytes of blobs.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, held: 0, clock: 0, blobs: HashMap::new() }
    }

    pub(super) fn get(&mut self, id: &BlobId) -> Option<Bytes> {
        self.clock += 1;
        let entry = self.blobs.get_mut(id)?;
        entry.used = self.clock;
        Some(entry.bytes.clone())
    }

    /// Keeps a blob that was verified. One larger than the whole cache is not kept.
    pub(super) fn insert(&mut self, id: BlobId, bytes: Bytes) {
        let len = bytes.len() as u64;
        if len > self.limit || self.blobs.contains_key(&id) {
            return;
        }
        while self.held + len > self.limit {
            let oldest = self.blobs.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            let evicted = oldest.and_then(|id| self.blobs.remove(&id)).expect("bytes are held by some blob");
            self.held -= evicted.bytes.len() as u64;
        }
        self.clock += 1;
        self.held += len;
        self.blobs.insert(id, Entry { bytes, used: self.clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> BlobId {
        BlobId([n; 32])
    }

    #[test]
    fn the_least_recently_used_blob_goes_first() {
        let mut cache = MemoryCache::new(100);
        cache.insert(id(1), vec![1; 40].into());
        cache.insert(id(2), vec![2; 40].into());
        assert!(cache.get(&id(1)).is_some());
        cache.insert(id(3), vec![3; 40].into());
        assert!(cache.get(&id(2)).is_none(), "used longest ago");
        assert!(cache.get(&id(1)).is_some() && cache.get(&id(3)).is_some());
        assert_eq!(cache.held, 80);
    }

    #[test]
    fn a_blob_larger_than_the_cache_evicts_nothing() {
        let mut cache = MemoryCache::new(100);
        cache.insert(id(1), vec![1; 100].into());
        cache.insert(id(2), vec![2; 101].into());
        assert!(cache.get(&id(1)).is_some() && cache.get(&id(2)).is_none());
    }
}

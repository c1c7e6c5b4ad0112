//! The hashes of all groups of a blob: what it takes to verify bytes that come without a hash tree.

use futures::{AsyncRead, AsyncWrite};
use shoal_wire::ids::BlobId;

use super::{
    rate::Throttle,
    receive::{self, FetchError},
    slice::{group_count, group_hash, group_len},
};

/// A verified outboard: 32 bytes for each group of 16 KiB.
#[derive(Debug)]
pub struct GroupHashes {
    size: u64,
    hashes: Vec<blake3::Hash>,
}

impl GroupHashes {
    pub(super) fn new(size: u64, hashes: Vec<blake3::Hash>) -> Self {
        debug_assert_eq!(hashes.len() as u64, group_count(size));
        Self { size, hashes }
    }

    /// Bytes of the blob as the sender of the hashes says. Only its last group proves it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether these are the bytes of the group.
    pub fn fits(&self, group: u64, bytes: &[u8]) -> bool {
        let hash = usize::try_from(group).ok().and_then(|group| self.hashes.get(group));
        hash.is_some_and(|hash| {
            bytes.len() == group_len(self.size, group) && group_hash(group, bytes, self.hashes.len() == 1) == *hash
        })
    }
}

/// Fetches the hashes of a blob of at most `max_len` bytes over one stream: 0.4 % of its size. They are verified
/// against the id as they arrive.
///
/// # Errors
/// As for a download.
pub async fn fetch_hashes<S, T>(stream: S, id: BlobId, max_len: u64, throttle: &T) -> Result<GroupHashes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Throttle,
{
    receive::receive_hashes(stream, id, max_len, throttle).await
}

//! Bao slices without I/O: from the resume point to the end of the blob, hash pairs and groups in pre-order.
//!
//! A slice that reaches the end always holds the last group, so a finished slice also proves the size that the header
//! only claimed.

use std::ops::Range;

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges,
    io::{outboard::PreOrderMemOutboard, sync::Outboard as _},
    iter::{BaoChunk, ResponseIter},
};
use blake3::hazmat::{self, HasherExt as _};
use bytes::Bytes;
use shoal_wire::{ids::BlobId, limits::BLOB_GROUP_LEN};

/// Groups of 2⁴ BLAKE3 chunks of 1 KiB.
pub(super) const GROUP: BlockSize = BlockSize::from_chunk_log(4);
const _: () = assert!(GROUP.bytes() == BLOB_GROUP_LEN);

const HASH_PAIR_LEN: usize = 64;

/// Bytes that are not the slice that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SliceError {
    /// A group's bytes do not hash to what the tree says.
    #[error("group at byte {offset} does not verify")]
    GroupMismatch {
        /// First byte of the group in the blob.
        offset: u64,
    },
    /// A hash pair does not fit its parent: a wrong tree, or a wrong size in the header.
    #[error("hash pair above byte {offset} does not verify")]
    PairMismatch {
        /// Bytes of the blob verified before it.
        offset: u64,
    },
    /// Bytes after the end of the slice.
    #[error("{excess} bytes after the end of the slice")]
    Excess {
        /// How many.
        excess: usize,
    },
}

/// The items of the slice from `offset` (a multiple of the group, below `size`) to the end.
fn items(size: u64, offset: u64) -> ResponseIter {
    // An open range that starts within the blob is canonical: nothing lies beyond the end to be cut off.
    ResponseIter::new(BaoTree::new(size, GROUP), ChunkRanges::from(ChunkNum::full_chunks(offset)..))
}

/// Produces a slice of a blob held in memory.
#[derive(Debug)]
pub(super) struct SliceEncoder<'a> {
    items: ResponseIter,
    bytes: &'a Bytes,
    outboard: &'a PreOrderMemOutboard,
}

impl<'a> SliceEncoder<'a> {
    pub(super) fn new(bytes: &'a Bytes, outboard: &'a PreOrderMemOutboard, offset: u64) -> Self {
        Self { items: items(bytes.len() as u64, offset), bytes, outboard }
    }
}

impl SliceEncoder<'_> {
    /// Whether `item` holds bytes to send, after refilling it from the slice if it was used up.
    pub(super) fn has_more(&mut self, item: &mut Bytes) -> bool {
        while item.is_empty() {
            match self.next() {
                Some(next) => *item = next,
                None => return false,
            }
        }
        true
    }
}

impl Iterator for SliceEncoder<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        Some(match self.items.next()? {
            BaoChunk::Parent { node, .. } => {
                let pair = self.outboard.load(node).expect("memory does not fail");
                let (left, right) = pair.expect("every parent above a group is in the outboard");
                Bytes::from([*left.as_bytes(), *right.as_bytes()].concat())
            }
            BaoChunk::Leaf { start_chunk, size, .. } => self.bytes.slice(leaf_range(start_chunk, size)),
        })
    }
}

fn leaf_range(start_chunk: ChunkNum, size: usize) -> Range<usize> {
    let start = usize::try_from(start_chunk.to_bytes()).expect("a blob in memory is addressable");
    start..start + size
}

/// Verifies a slice as it arrives. Holds at most one item that is not whole yet.
#[derive(Debug)]
pub(super) struct SliceDecoder {
    items: ResponseIter,
    next: Option<BaoChunk>,
    /// Hashes of the subtrees that are still to come, next on top.
    expected: Vec<blake3::Hash>,
    pending: Vec<u8>,
}

impl SliceDecoder {
    pub(super) fn new(id: &BlobId, size: u64, offset: u64) -> Self {
        let mut items = items(size, offset);
        let next = items.next();
        Self { items, next, expected: vec![blake3::Hash::from_bytes(id.0)], pending: Vec::new() }
    }

    /// Whether the whole slice has been verified.
    pub(super) fn is_finished(&self) -> bool {
        self.next.is_none()
    }

    /// Takes received bytes and appends the groups that they complete to `verified`, which ends where the next group
    /// begins. On an error nothing after the last good group was appended.
    pub(super) fn push(&mut self, bytes: &[u8], verified: &mut Vec<u8>) -> Result<(), SliceError> {
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(item) = self.next {
            let len = match item {
                BaoChunk::Parent { .. } => HASH_PAIR_LEN,
                BaoChunk::Leaf { size, .. } => size,
            };
            let Some(part) = self.pending.get(used..used + len) else { break };
            verify(item, part, &mut self.expected, verified)?;
            used += len;
            self.next = self.items.next();
        }
        self.pending.drain(..used);
        if self.next.is_none() && !self.pending.is_empty() {
            return Err(SliceError::Excess { excess: self.pending.len() });
        }
        Ok(())
    }
}

fn verify(
    item: BaoChunk,
    part: &[u8],
    expected: &mut Vec<blake3::Hash>,
    verified: &mut Vec<u8>,
) -> Result<(), SliceError> {
    let wanted = expected.pop().expect("the tree walk has a hash for every item");
    match item {
        BaoChunk::Parent { is_root, left, right, .. } => {
            let (left_hash, right_hash) = part.split_at(HASH_PAIR_LEN / 2);
            let left_hash: [u8; 32] = left_hash.try_into().expect("half a pair");
            let right_hash: [u8; 32] = right_hash.try_into().expect("half a pair");
            if parent(&left_hash, &right_hash, is_root) != wanted {
                return Err(SliceError::PairMismatch { offset: verified.len() as u64 });
            }
            if right {
                expected.push(right_hash.into());
            }
            if left {
                expected.push(left_hash.into());
            }
        }
        BaoChunk::Leaf { start_chunk, is_root, .. } => {
            if group(start_chunk, part, is_root) != wanted {
                return Err(SliceError::GroupMismatch { offset: start_chunk.to_bytes() });
            }
            verified.extend_from_slice(part);
        }
    }
    Ok(())
}

fn parent(left: &[u8; 32], right: &[u8; 32], is_root: bool) -> blake3::Hash {
    if is_root {
        hazmat::merge_subtrees_root(left, right, hazmat::Mode::Hash)
    } else {
        hazmat::merge_subtrees_non_root(left, right, hazmat::Mode::Hash).into()
    }
}

fn group(start_chunk: ChunkNum, bytes: &[u8], is_root: bool) -> blake3::Hash {
    if is_root {
        return blake3::hash(bytes);
    }
    blake3::Hasher::new().set_input_offset(start_chunk.to_bytes()).update(bytes).finalize_non_root().into()
}

//! Bao slices without I/O: hash pairs and groups of a range of a blob in pre-order, or its hash pairs alone.
//!
//! A slice that holds the last group also proves the size that the header only claimed: the group's hash covers its
//! length, and the pairs on the way to it are the right edge of the tree.

use std::ops::Range;

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges,
    io::{outboard::PreOrderMemOutboard, sync::Outboard as _},
    iter::{BaoChunk, ResponseIter},
};
use blake3::hazmat::{self, HasherExt as _};
use bytes::Bytes;
use shoal_wire::{ids::BlobId, limits::BLOB_GROUP_LEN, proto::BlobPart};

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
        /// Where the groups verified before it end, bytes.
        offset: u64,
    },
    /// Bytes after the end of the slice.
    #[error("{excess} bytes after the end of the slice")]
    Excess {
        /// How many.
        excess: usize,
    },
}

/// Number of groups of a blob of `size` bytes. An empty blob is one empty group: its hash is verified like any other.
pub(super) fn group_count(size: u64) -> u64 {
    size.div_ceil(BLOB_GROUP_LEN as u64).max(1)
}

/// Length of a group of a blob of `size` bytes.
pub(super) fn group_len(size: u64, group: u64) -> usize {
    let len = (size - group * BLOB_GROUP_LEN as u64).min(BLOB_GROUP_LEN as u64);
    usize::try_from(len).expect("a group is small")
}

/// The items of the slice of `groups`, which begin below the end of the blob.
fn items(size: u64, groups: &Range<u64>) -> ResponseIter {
    let chunk = |group: u64| ChunkNum::full_chunks(group * BLOB_GROUP_LEN as u64);
    // A range that reaches the end is left open: nothing lies beyond it to be cut off, and the last group is whole.
    let ranges = if groups.end >= group_count(size) {
        ChunkRanges::from(chunk(groups.start)..)
    } else {
        ChunkRanges::from(chunk(groups.start)..chunk(groups.end))
    };
    ResponseIter::new(BaoTree::new(size, GROUP), ranges)
}

/// Produces a slice of a blob held in memory.
#[derive(Debug)]
pub(super) struct SliceEncoder<'a> {
    items: ResponseIter,
    bytes: &'a Bytes,
    outboard: &'a PreOrderMemOutboard,
    part: BlobPart,
}

impl<'a> SliceEncoder<'a> {
    pub(super) fn new(
        bytes: &'a Bytes,
        outboard: &'a PreOrderMemOutboard,
        groups: &Range<u64>,
        part: BlobPart,
    ) -> Self {
        Self { items: items(bytes.len() as u64, groups), bytes, outboard, part }
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
            BaoChunk::Leaf { .. } if self.part == BlobPart::Outboard => Bytes::new(),
            BaoChunk::Leaf { start_chunk, size, .. } => self.bytes.slice(leaf_range(start_chunk, size)),
        })
    }
}

fn leaf_range(start_chunk: ChunkNum, size: usize) -> Range<usize> {
    let start = usize::try_from(start_chunk.to_bytes()).expect("a blob in memory is addressable");
    start..start + size
}

/// What a decoder has verified.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// A group's bytes.
    Group { group: u64, bytes: &'a [u8] },
    /// A group's hash; its bytes come from elsewhere.
    Hash(blake3::Hash),
}

/// Verifies a slice as it arrives. Holds at most one item that is not whole yet.
#[derive(Debug)]
pub(super) struct SliceDecoder {
    items: ResponseIter,
    next: Option<BaoChunk>,
    part: BlobPart,
    /// Hashes of the subtrees that are still to come, next on top.
    expected: Vec<blake3::Hash>,
    pending: Vec<u8>,
    /// Where the groups verified so far end, bytes.
    at: u64,
}

impl SliceDecoder {
    pub(super) fn new(id: &BlobId, size: u64, groups: &Range<u64>, part: BlobPart) -> Self {
        let mut items = items(size, groups);
        let next = items.next();
        let expected = vec![blake3::Hash::from_bytes(id.0)];
        Self { items, next, part, expected, pending: Vec::new(), at: groups.start * BLOB_GROUP_LEN as u64 }
    }

    /// Whether the whole slice has been verified.
    pub(super) fn is_finished(&self) -> bool {
        self.next.is_none()
    }

    /// Takes received bytes and hands on what they complete. On an error nothing after the last good item was.
    pub(super) fn push(&mut self, bytes: &[u8], mut verified: impl FnMut(Item<'_>)) -> Result<(), SliceError> {
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(item) = self.next {
            let len = match item {
                BaoChunk::Parent { .. } => HASH_PAIR_LEN,
                BaoChunk::Leaf { .. } if self.part == BlobPart::Outboard => 0,
                BaoChunk::Leaf { size, .. } => size,
            };
            let Some(part) = self.pending.get(used..used + len) else { break };
            let wanted = self.expected.pop().expect("the tree walk has a hash for every item");
            match item {
                BaoChunk::Parent { is_root, left, right, .. } => {
                    let (left_hash, right_hash) = halves(part);
                    if parent(&left_hash, &right_hash, is_root) != wanted {
                        return Err(SliceError::PairMismatch { offset: self.at });
                    }
                    self.expected.extend(right.then_some(blake3::Hash::from_bytes(right_hash)));
                    self.expected.extend(left.then_some(blake3::Hash::from_bytes(left_hash)));
                }
                BaoChunk::Leaf { .. } if self.part == BlobPart::Outboard => verified(Item::Hash(wanted)),
                BaoChunk::Leaf { start_chunk, is_root, size, .. } => {
                    let offset = start_chunk.to_bytes();
                    let group = offset / BLOB_GROUP_LEN as u64;
                    if group_hash(group, part, is_root) != wanted {
                        return Err(SliceError::GroupMismatch { offset });
                    }
                    verified(Item::Group { group, bytes: part });
                    self.at = offset + size as u64;
                }
            }
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

fn halves(pair: &[u8]) -> ([u8; 32], [u8; 32]) {
    let (left, right) = pair.split_at(HASH_PAIR_LEN / 2);
    (left.try_into().expect("half a pair"), right.try_into().expect("half a pair"))
}

fn parent(left: &[u8; 32], right: &[u8; 32], is_root: bool) -> blake3::Hash {
    if is_root {
        hazmat::merge_subtrees_root(left, right, hazmat::Mode::Hash)
    } else {
        hazmat::merge_subtrees_non_root(left, right, hazmat::Mode::Hash).into()
    }
}

/// What the tree holds for a group; `is_root` if it is the only one of its blob.
pub(super) fn group_hash(group: u64, bytes: &[u8], is_root: bool) -> blake3::Hash {
    if is_root {
        return blake3::hash(bytes);
    }
    let offset = group * BLOB_GROUP_LEN as u64;
    blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root().into()
}

//! Blobs and pieces of blobs in a storage: bounded, least recently used out first, and verified whenever they are read.
//!
//! An entry is named by its blob's id, a piece by the id and its index. Whatever a storage gives back is hashed; what is
//! not what it should be counts as a miss and is removed, and so does what a browser or a person has taken away. Errors
//! of the storage are told to the log and to nobody else: a cache that fails only costs a transfer.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    future::poll_fn,
    task::Poll,
};

use bytes::Bytes;
use futures::task::AtomicWaker;
use shoal_transport::blob::PIECE_GROUPS;
use shoal_wire::{
    ids::BlobId,
    limits::{BLOB_GROUP_LEN, MAX_BLOB_LEN},
};

use crate::storage::{Storage, StorageError};

/// The entry that remembers the order of use between runs: a name a line, the least recently used first.
const ORDER: &str = "order";

/// Longest order that is read, bytes: some ten thousand names.
const MAX_ORDER_LEN: u64 = 1024 * 1024;

/// Bytes before and after a piece: its blob's size, and the hash of everything.
const PIECE_EXTRA: u64 = 8 + 32;

/// Longest piece entry, bytes.
const MAX_PIECE_LEN: u64 = PIECE_GROUPS * BLOB_GROUP_LEN as u64 + PIECE_EXTRA;

/// Domain of the hash of a piece.
const PIECE_DOMAIN: &str = "shoal/1 cached piece";

/// A verified part of a blob that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which, by the size of a piece.
    pub index: u32,
    /// Bytes of the whole blob.
    pub size: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A bounded cache over a storage.
pub struct StoredCache {
    storage: Box<dyn Storage>,
    limit: Cell<u64>,
    limit_changed: AtomicWaker,
    index: RefCell<Index>,
}

impl fmt::Debug for StoredCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCache").field("limit", &self.limit).field("index", &self.index).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<String, Entry>,
    held: u64,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    len: u64,
    used: u64,
}

impl StoredCache {
    /// Takes over what a storage holds, at most `limit` bytes of it. A storage that cannot be listed is taken as empty.
    pub async fn open(storage: Box<dyn Storage>, limit: u64) -> Self {
        let cache =
            Self { storage, limit: Cell::new(limit), limit_changed: AtomicWaker::new(), index: RefCell::default() };
        let listed = cache.storage.list().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cache not listed");
            Vec::new()
        });
        let order = cache.storage.read(ORDER, MAX_ORDER_LEN).await.ok().flatten().unwrap_or_default();
        let order = String::from_utf8(order).unwrap_or_default();
        let place: HashMap<_, _> = order.lines().enumerate().map(|(place, name)| (name, place)).collect();
        let mut ours: Vec<_> = listed.into_iter().filter(|entry| is_ours(&entry.name)).collect();
        // What the order does not know is taken for new.
        ours.sort_by_key(|entry| (place.get(&*entry.name).copied().unwrap_or(usize::MAX), entry.name.clone()));
        for entry in ours {
            cache.index.borrow_mut().insert(&entry.name, entry.len);
        }
        cache.evict_beyond(limit).await;
        if limit == 0 {
            cache.write_order().await;
        }
        cache
    }

    /// From now on at most `limit` bytes. Whatever is too much goes while [`Self::keep_to_limit`] runs.
    pub fn set_limit(&self, limit: u64) {
        self.limit.set(limit);
        self.limit_changed.wake();
    }

    /// Evicts whenever a new limit demands it, for ever.
    pub async fn keep_to_limit(&self) -> ! {
        loop {
            poll_fn(|cx| {
                self.limit_changed.register(cx.waker());
                if self.held() > self.limit.get() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            // The limit may change again meanwhile.
            while self.held() > self.limit.get() && self.evict_oldest().await {}
            self.write_order().await;
        }
    }

    /// Bytes of the entries.
    pub fn held(&self) -> u64 {
        self.index.borrow().held
    }

    /// A blob, verified, or `None`.
    pub async fn get(&self, id: &BlobId) -> Option<Bytes> {
        let name = id.to_string();
        let bytes = self.read(&name, MAX_BLOB_LEN).await?;
        if BlobId::of(&bytes) != *id {
            tracing::warn!(blob = %id, "cached blob is damaged");
            self.remove(&name).await;
            return None;
        }
        self.write_order().await;
        Some(bytes.into())
    }

    /// Keeps a verified blob, and its pieces no longer.
    pub async fn put(&self, id: &BlobId, bytes: &[u8]) {
        if self.limit.get() == 0 {
            return;
        }
        if !self.index.borrow().entries.contains_key(&id.to_string()) {
            self.write(&id.to_string(), bytes).await;
        }
        self.forget_pieces(id).await;
        self.write_order().await;
    }

    /// Which pieces of a blob are here, to all appearances.
    pub fn pieces(&self, id: &BlobId) -> Vec<u32> {
        let index = self.index.borrow();
        let prefix = format!("{id}.");
        let mut pieces: Vec<_> =
            index.entries.keys().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
        pieces.sort_unstable();
        pieces
    }

    /// A piece as it was kept, or `None`.
    pub async fn piece(&self, id: &BlobId, index: u32) -> Option<Piece> {
        let name = piece_name(id, index);
        let record = self.read(&name, MAX_PIECE_LEN).await?;
        let piece = decode_piece(id, index, &record);
        if piece.is_none() {
            tracing::warn!(blob = %id, index, "cached piece is damaged");
            self.remove(&name).await;
        }
        piece
    }

    /// Keeps a verified piece.
    pub async fn put_piece(&self, id: &BlobId, piece: &Piece) {
        self.write(&piece_name(id, piece.index), &encode_piece(id, piece)).await;
    }

    /// Removes all pieces of a blob.
    pub async fn forget_pieces(&self, id: &BlobId) {
        for index in self.pieces(id) {
            self.remove(&piece_name(id, index)).await;
        }
    }

    async fn read(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        if !self.index.borrow_mut().touch(name) {
            return None;
        }
        match self.storage.read(name, limit).await {
            Ok(Some(bytes)) => Some(bytes),
            // Evicted by somebody else.
            Ok(None) => {
                self.index.borrow_mut().remove(name);
                None
            }
            Err(error) => {
                tracing::warn!(%error, name, "cache not read");
                self.remove(name).await;
                None
            }
        }
    }

    async fn write(&self, name: &str, bytes: &[u8]) {
        let len = bytes.len() as u64;
        let Some(room) = self.limit.get().checked_sub(len) else { return };
        self.evict_beyond(room).await;
        loop {
            // Counted from the start: the transfer may be given up meanwhile, and what was written stays.
            self.index.borrow_mut().insert(name, len);
            let Err(error) = self.storage.write(name, bytes).await else {
                let is_evicted = !self.index.borrow().entries.contains_key(name);
                if is_evicted {
                    // Too early to find it.
                    self.remove(name).await;
                }
                return;
            };
            self.index.borrow_mut().remove(name);
            // The disk or the quota is smaller than the limit: make room, as long as there is something to give.
            if !(matches!(error, StorageError::Full { .. }) && self.evict_oldest().await) {
                tracing::warn!(%error, name, "not cached");
                // Half an entry may be left.
                self.remove(name).await;
                return;
            }
        }
    }

    async fn evict_beyond(&self, limit: u64) {
        while self.held() > limit && self.evict_oldest().await {}
    }

    /// Returns whether there was anything to evict.
    async fn evict_oldest(&self) -> bool {
        let oldest = self.index.borrow().names_by_use().first().map(|name| (*name).to_owned());
        let Some(oldest) = oldest else { return false };
        self.remove(&oldest).await;
        true
    }

    async fn remove(&self, name: &str) {
        self.index.borrow_mut().remove(name);
        if let Err(error) = self.storage.remove(name).await {
            tracing::warn!(%error, name, "not removed from the cache");
        }
    }

    async fn write_order(&self) {
        let order = self.index.borrow().names_by_use().join("\n");
        // A cache that is switched off leaves nothing.
        let written = match self.limit.get() {
            0 => self.storage.remove(ORDER).await,
            _ => self.storage.write(ORDER, order.as_bytes()).await,
        };
        if let Err(error) = written {
            tracing::debug!(%error, "order of the cache not kept");
        }
    }
}

impl Index {
    fn insert(&mut self, name: &str, len: u64) {
        self.remove(name);
        self.clock += 1;
        self.held += len;
        self.entries.insert(name.to_owned(), Entry { len, used: self.clock });
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.held -= entry.len;
        }
    }

    fn touch(&mut self, name: &str) -> bool {
        self.clock += 1;
        self.entries.get_mut(name).map(|entry| entry.used = self.clock).is_some()
    }

    fn names_by_use(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.entries.iter().map(|(name, entry)| (entry.used, &**name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }
}

/// Whether the cache wrote an entry of this name. Others are left alone and not counted.
fn is_ours(name: &str) -> bool {
    let (id, piece) = name.split_once('.').map_or((name, None), |(id, piece)| (id, Some(piece)));
    id.parse::<BlobId>().is_ok_and(|parsed| parsed.to_string() == id)
        && piece.is_none_or(|piece| piece.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == piece))
}

fn piece_name(id: &BlobId, index: u32) -> String {
    format!("{id}.{index}")
}

fn encode_piece(id: &BlobId, piece: &Piece) -> Vec<u8> {
    let mut record = piece.size.to_le_bytes().to_vec();
    record.extend_from_slice(&piece.bytes);
    record.extend_from_slice(&piece_hash(id, piece.index, &record));
    record
}

fn decode_piece(id: &BlobId, index: u32, record: &[u8]) -> Option<Piece> {
    let (body, hash) = record.split_last_chunk::<32>()?;
    let (size, bytes) = body.split_first_chunk::<8>()?;
    let right = piece_hash(id, index, body) == *hash;
    right.then(|| Piece { index, size: u64::from_le_bytes(*size), bytes: bytes.to_vec() })
}

fn piece_hash(id: &BlobId, index: u32, body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(PIECE_DOMAIN);
    hasher.update(&id.0).update(&index.to_le_bytes()).update(body);
    *hasher.finalize().as_bytes()
}

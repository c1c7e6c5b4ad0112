//! Blobs that need not be fetched again: in memory for the next unit, and in a [`Storage`](crate::Storage), where there
//! is one, for the next run.

mod memory;
mod stored;

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use memory::MemoryCache;
use shoal_wire::ids::BlobId;
pub use stored::{Piece, StoredCache};

use crate::storage::Storage;

/// Both caches of a worker.
#[derive(Debug)]
pub(crate) struct Cache {
    memory: RefCell<MemoryCache>,
    stored: Option<Rc<StoredCache>>,
}

impl Cache {
    /// Keeps at most `memory_bytes` of blobs in memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        Self { memory: RefCell::new(MemoryCache::new(memory_bytes)), stored: None }
    }

    /// Keeps at most `limit` bytes in a storage too.
    pub(crate) async fn open_storage(&mut self, storage: Box<dyn Storage>, limit: u64) {
        self.stored = Some(Rc::new(StoredCache::open(storage, limit).await));
    }

    /// A blob that is here, verified when it came or when it was read.
    pub(crate) async fn get(&self, id: &BlobId) -> Option<Bytes> {
        let held = self.memory.borrow_mut().get(id);
        if held.is_some() {
            return held;
        }
        let bytes = self.stored.as_ref()?.get(id).await?;
        self.memory.borrow_mut().insert(*id, bytes.clone());
        Some(bytes)
    }

    /// Keeps a verified blob. That a storage refuses it is no failure: it is fetched again one day.
    pub(crate) async fn put(&self, id: BlobId, bytes: Bytes) {
        self.memory.borrow_mut().insert(id, bytes.clone());
        if let Some(stored) = &self.stored {
            stored.put(&id, &bytes).await;
        }
    }

    /// Where pieces of unfinished blobs are kept, if anywhere.
    pub(crate) fn stored(&self) -> Option<&Rc<StoredCache>> {
        self.stored.as_ref()
    }
}

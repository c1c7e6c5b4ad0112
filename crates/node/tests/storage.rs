//! Storages and the cache over them, natively; and what a cache makes of storages that fail.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(not(target_arch = "wasm32"))]

mod storage_body;

use std::{cell::Cell, path::PathBuf, rc::Rc};

use futures::future::{FutureExt as _, LocalBoxFuture, pending, ready};
use shoal_node::{DiskStorage, MemoryStorage, Storage, StorageEntry, StorageError, StoredCache};
use shoal_wire::ids::BlobId;
use storage_body::Reopen;

impl Reopen for MemoryStorage {
    async fn reopen(&self) -> Box<dyn Storage> {
        Box::new(self.clone())
    }
}

struct Folder(PathBuf);

impl Reopen for Folder {
    async fn reopen(&self) -> Box<dyn Storage> {
        Box::new(DiskStorage::open(self.0.clone()).unwrap())
    }
}

#[tokio::test]
async fn memory_is_a_storage() {
    storage_body::all(&MemoryStorage::default()).await;
}

#[tokio::test]
async fn a_folder_is_a_storage() {
    let dir = tempfile::tempdir().unwrap();
    storage_body::all(&Folder(dir.path().join("cache"))).await;
}

/// Holds only so much, or refuses everything.
#[derive(Clone)]
struct Failing {
    inner: MemoryStorage,
    room: u64,
    broken: Rc<Cell<bool>>,
}

impl Failing {
    fn refused<T>(&self) -> Option<Result<T, StorageError>> {
        self.broken.get().then(|| Err(StorageError::Refused { operation: "test", reason: "broken".to_owned() }))
    }
}

impl Storage for Failing {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        self.refused().map_or_else(|| self.inner.list(), |refused| ready(refused).boxed_local())
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        self.refused().map_or_else(|| self.inner.read(name, limit), |refused| ready(refused).boxed_local())
    }

    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        if let Some(refused) = self.refused() {
            return ready(refused).boxed_local();
        }
        async move {
            let len = bytes.len() as u64;
            let others = self.inner.list().await?.into_iter().filter(|entry| entry.name != name);
            if others.map(|entry| entry.len).sum::<u64>() + len > self.room {
                return Err(StorageError::Full { len });
            }
            self.inner.write(name, bytes).await
        }
        .boxed_local()
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        self.refused().map_or_else(|| self.inner.remove(name), |refused| ready(refused).boxed_local())
    }
}

#[tokio::test]
async fn a_quota_below_the_limit_makes_room_by_evicting() {
    let storage = Failing { inner: MemoryStorage::default(), room: 100_000, broken: Rc::default() };
    let cache = StoredCache::open(Box::new(storage), 1_000_000).await;
    let blobs: Vec<_> = (0..5_u8).map(|seed| vec![seed; 40_000]).collect();
    for bytes in &blobs {
        cache.put(&BlobId::of(bytes), bytes).await;
        assert!(cache.get(&BlobId::of(bytes)).await.is_some(), "the newest always fits");
    }
    assert!(cache.get(&BlobId::of(&blobs[0])).await.is_none());
    let large = vec![9; 200_000];
    cache.put(&BlobId::of(&large), &large).await;
    assert!(cache.get(&BlobId::of(&large)).await.is_none(), "what never fits is given up");
    assert_eq!(cache.held(), 0);
}

#[tokio::test]
async fn a_storage_that_breaks_is_a_cache_that_misses() {
    let broken = Rc::new(Cell::new(false));
    let storage = Failing { inner: MemoryStorage::default(), room: u64::MAX, broken: broken.clone() };
    let cache = StoredCache::open(Box::new(storage.clone()), 1_000_000).await;
    let bytes = vec![1; 1000];
    cache.put(&BlobId::of(&bytes), &bytes).await;
    broken.set(true);
    assert!(cache.get(&BlobId::of(&bytes)).await.is_none());
    cache.put(&BlobId::of(&bytes), &bytes).await;
    assert_eq!(cache.held(), 0);
    let cache = StoredCache::open(Box::new(storage), 1_000_000).await;
    broken.set(false);
    cache.put(&BlobId::of(&bytes), &bytes).await;
    assert!(cache.get(&BlobId::of(&bytes)).await.is_some(), "it works again when the storage does");
}

/// Writes, and says so only where it is not `stuck`.
#[derive(Clone, Default)]
struct Slow {
    inner: MemoryStorage,
    stuck: Rc<Cell<bool>>,
}

impl Storage for Slow {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        self.inner.list()
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        self.inner.read(name, limit)
    }

    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.inner.write(name, bytes).await?;
            if self.stuck.get() { pending().await } else { Ok(()) }
        }
        .boxed_local()
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        self.inner.remove(name)
    }
}

#[tokio::test]
async fn what_is_written_counts_though_nobody_waited_for_the_end() {
    let storage = Slow::default();
    let cache = StoredCache::open(Box::new(storage.clone()), 100_000).await;
    let (first, second) = (vec![1; 60_000], vec![2; 60_000]);
    storage.stuck.set(true);
    assert!(cache.put(&BlobId::of(&first), &first).now_or_never().is_none());
    assert_eq!(cache.held(), 60_000);
    storage.stuck.set(false);
    cache.put(&BlobId::of(&second), &second).await;
    assert_eq!(cache.held(), 60_000, "it was evicted like any other");
    assert!(cache.get(&BlobId::of(&first)).await.is_none());
    assert!(storage.list().await.unwrap().iter().map(|entry| entry.len).sum::<u64>() < 100_000);
}

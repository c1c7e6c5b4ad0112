//! Where a worker keeps blobs between runs: named entries of bytes, nothing more.
//!
//! What is kept, for how long and whether it is still right is the cache's business; a storage may lose entries at any
//! time, as a browser's does, and may be shared with another worker. Implementations: [`MemoryStorage`], on disk
//! `DiskStorage`, and in a browser's private file system `shoal-wasm`'s.

#[cfg(not(target_arch = "wasm32"))]
mod disk;
mod memory;

#[cfg(not(target_arch = "wasm32"))]
pub use disk::DiskStorage;
use futures::future::LocalBoxFuture;
pub use memory::MemoryStorage;

/// An entry that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorageEntry {
    /// Its name: letters, digits, `-` and `.`.
    pub name: String,
    /// Its length, bytes.
    pub len: u64,
}

/// Why a storage did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The disk or the browser's quota has no room.
    #[error("no room for {len} bytes")]
    Full {
        /// What was to be written, bytes.
        len: u64,
    },
    /// The entry is longer than the caller takes.
    #[error("entry of {len} bytes is above the limit of {limit}")]
    TooLong {
        /// Its length, bytes.
        len: u64,
        /// The caller's limit, bytes.
        limit: u64,
    },
    /// The file system refused otherwise.
    #[error("{operation}: {reason}")]
    Refused {
        /// What was attempted.
        operation: &'static str,
        /// In the system's words.
        reason: String,
    },
}

/// Named entries of bytes.
pub trait Storage {
    /// Everything that is there, in any order; what the storage did not write itself may be among it.
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>>;

    /// An entry of at most `limit` bytes, or `None` if it is not there.
    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>>;

    /// Writes or replaces an entry. One that was cut short by a crash may be missing or damaged, never half replaced on
    /// disk. A write that is no longer waited for may go on.
    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>>;

    /// Removes an entry; one that is not there is removed already.
    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>>;
}

//! A storage that lasts as long as its process: for tests, and the plainest statement of what a storage does.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use super::{Storage, StorageEntry, StorageError};

/// Entries in memory. Clones share them, as two runs share a folder.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Rc<RefCell<BTreeMap<String, Vec<u8>>>>);

impl Storage for MemoryStorage {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        let entries = self.0.borrow();
        let list = entries.iter().map(|(name, bytes)| StorageEntry { name: name.clone(), len: bytes.len() as u64 });
        ready(Ok(list.collect())).boxed_local()
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        let bytes = self.0.borrow().get(name).cloned();
        let len = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        ready(if len > limit { Err(StorageError::TooLong { len, limit }) } else { Ok(bytes) }).boxed_local()
    }

    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        self.0.borrow_mut().insert(name.to_owned(), bytes.to_vec());
        ready(Ok(())).boxed_local()
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        self.0.borrow_mut().remove(name);
        ready(Ok(())).boxed_local()
    }
}

//! Blobs as files, for strangers' HTTP requests: hashed once, then read from the disk while they are sent.
//!
//! No request holds a blob in memory, waits for workers' transfers or takes anything from [`super::hashed`]. Left out: hashing
//! a file again that was whole before. Whoever fetches a blob knows its hash.

use std::{
    collections::VecDeque,
    io::{self, SeekFrom},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;
use futures::{Stream, stream};
use shoal_wire::ids::BlobId;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use super::blobs::{BlobError, BlobStore};

/// Blobs known to be whole, those noted last: more than running jobs name at a time. Another one is hashed again.
const MAX_KNOWN: usize = 1024;

/// Bytes read at once: what a request holds in memory.
const CHUNK_LEN: u64 = 128 * 1024;

/// Blobs, read in parts.
#[derive(Debug)]
pub struct BlobFiles {
    store: BlobStore,
    /// The one noted last at the end.
    whole: Arc<Mutex<VecDeque<BlobId>>>,
    /// One file is hashed at a time: strangers get one thread of this machine for it.
    hashing: Arc<tokio::sync::Mutex<()>>,
}

impl BlobFiles {
    /// Those of a store.
    pub fn new(store: BlobStore) -> Self {
        Self { store, whole: Arc::default(), hashing: Arc::default() }
    }

    /// Length of a blob, bytes, or `None` if it is not here. Nothing is read.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub async fn len(&self, id: BlobId) -> Result<Option<u64>, BlobError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.len(&id)).await.expect("looking at a file does not panic")
    }

    /// A range of a blob, which it must have, or `None` if the blob is not here. Waits while it is hashed for the first time.
    ///
    /// # Errors
    /// A file that cannot be read or does not hash to its name.
    pub async fn read(
        &self,
        id: BlobId,
        range: Range<u64>,
    ) -> Result<Option<impl Stream<Item = io::Result<Bytes>> + Send + use<>>, BlobError> {
        if !self.is_whole(id).await? {
            return Ok(None);
        }
        let store = self.store.clone();
        let opened =
            tokio::task::spawn_blocking(move || store.file(&id)).await.expect("opening a file does not panic")?;
        let Some(file) = opened else { return Ok(None) };
        let mut file = File::from_std(file);
        file.seek(SeekFrom::Start(range.start)).await.map_err(|source| BlobError::Io { id, source })?;
        Ok(Some(stream::try_unfold((file, range), |(mut file, Range { start, end })| async move {
            let len = CHUNK_LEN.min(end - start);
            if len == 0 {
                return Ok(None);
            }
            let mut chunk = vec![0; usize::try_from(len).expect("at most a chunk")];
            file.read_exact(&mut chunk).await?;
            Ok(Some((chunk.into(), (file, start + len..end))))
        })))
    }

    /// Whether the blob is here; an error if it is damaged.
    async fn is_whole(&self, id: BlobId) -> Result<bool, BlobError> {
        if is_known(&self.whole, &id) {
            return Ok(true);
        }
        let turn = self.hashing.clone().lock_owned().await;
        let (store, whole) = (self.store.clone(), self.whole.clone());
        let hashing = tokio::task::spawn_blocking(move || {
            // The turn lasts until the file is hashed, even if whoever asked has gone.
            let _turn = turn;
            if is_known(&whole, &id) {
                return Ok(true);
            }
            let here = store.check_blocking(&id)?;
            if here {
                let mut whole = whole.lock().unwrap_or_else(PoisonError::into_inner);
                whole.push_back(id);
                if whole.len() > MAX_KNOWN {
                    whole.pop_front();
                }
            }
            Ok(here)
        });
        hashing.await.expect("hashing does not panic")
    }
}

fn is_known(whole: &Mutex<VecDeque<BlobId>>, id: &BlobId) -> bool {
    whole.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn ranges_are_the_blobs_bytes_and_a_blob_is_hashed_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path().to_owned()).unwrap();
        let bytes: Vec<u8> = (0..2 * CHUNK_LEN + 5).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        let id = store.put_blocking(&bytes).unwrap();
        let files = BlobFiles::new(store);
        assert_eq!(files.len(id).await.unwrap(), Some(bytes.len() as u64));
        for range in [0..bytes.len(), 0..1, 3..3, CHUNK_LEN as usize - 1..2 * CHUNK_LEN as usize + 1] {
            let part = files.read(id, range.start as u64..range.end as u64).await.unwrap().unwrap();
            let chunks: Vec<Bytes> = part.try_collect().await.unwrap();
            assert_eq!(chunks.concat(), bytes[range]);
        }
        assert_eq!(files.whole.lock().unwrap().len(), 1);
        let absent = BlobId([9; 32]);
        assert!(files.read(absent, 0..1).await.unwrap().is_none() && files.len(absent).await.unwrap().is_none());
    }
}

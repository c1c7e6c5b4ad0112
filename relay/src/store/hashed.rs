//! Blobs in memory with their hash trees, to send ranges of them to workers. Every range would otherwise cost a read and a
//! hash of the whole blob.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use shoal_transport::blob::Blob;
use shoal_wire::ids::BlobId;

use super::blobs::{BlobError, BlobStore};

/// Bytes kept: the parameters of the current rounds, which every worker fetches. One longer blob is kept beside them,
/// because its other ranges come next.
const KEPT_LEN: usize = 128 * 1024 * 1024;

/// Blobs, hashed. Those used last stay in memory.
#[derive(Debug)]
pub struct HashedBlobs {
    store: BlobStore,
    kept: Mutex<Kept>,
    /// One is read at a time: at a round's start everybody wants the same one, and it bounds the memory of reading.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    /// [`KEPT_LEN`] together at most; the one used last at the end.
    several: VecDeque<Blob>,
    /// Longer than that alone.
    long: Option<Blob>,
}

impl HashedBlobs {
    /// Those of a store.
    pub fn new(store: BlobStore) -> Self {
        Self { store, kept: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// The blob, or `None` if it is not here.
    ///
    /// # Errors
    /// A file that cannot be read or does not hash to its name.
    pub async fn get(&self, id: BlobId) -> Result<Option<Blob>, BlobError> {
        if let Some(blob) = self.kept(&id) {
            return Ok(Some(blob));
        }
        let _turn = self.reading.lock().await;
        if let Some(blob) = self.kept(&id) {
            return Ok(Some(blob));
        }
        let Some(bytes) = self.store.get(id).await? else { return Ok(None) };
        let blob = tokio::task::spawn_blocking(move || Blob::new(bytes)).await.expect("hashing does not panic");
        self.keep(blob.clone());
        Ok(Some(blob))
    }

    fn kept(&self, id: &BlobId) -> Option<Blob> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(long) = kept.long.as_ref().filter(|blob| blob.id() == *id) {
            return Some(long.clone());
        }
        let at = kept.several.iter().position(|blob| blob.id() == *id)?;
        let blob = kept.several.remove(at)?;
        kept.several.push_back(blob.clone());
        Some(blob)
    }

    fn keep(&self, blob: Blob) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if blob.bytes().len() > KEPT_LEN {
            kept.long = Some(blob);
            return;
        }
        kept.several.push_back(blob);
        let mut held: usize = kept.several.iter().map(|blob| blob.bytes().len()).sum();
        while held > KEPT_LEN {
            held -= kept.several.pop_front().map_or(held, |oldest| oldest.bytes().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_used_last_stay_and_a_long_one_sends_none_of_them_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlobStore::open(dir.path().to_owned()).unwrap();
        let half = KEPT_LEN / 2;
        let put = |byte: u8, len: usize| store.put_blocking(&vec![byte; len]).unwrap();
        let long = KEPT_LEN + 1;
        let [one, two, three, huge, other] =
            [(1, half), (2, half), (3, half), (4, long), (5, long)].map(|(b, len)| put(b, len));
        let blobs = HashedBlobs::new(store);
        for id in [one, two, one, three] {
            assert_eq!(blobs.get(id).await.unwrap().unwrap().id(), id);
        }
        assert!(blobs.kept(&one).is_some() && blobs.kept(&two).is_none() && blobs.kept(&three).is_some());
        blobs.get(huge).await.unwrap();
        assert!(blobs.kept(&huge).is_some() && blobs.kept(&one).is_some() && blobs.kept(&three).is_some());
        blobs.get(other).await.unwrap();
        assert!(blobs.kept(&other).is_some() && blobs.kept(&huge).is_none() && blobs.kept(&three).is_some());
        assert!(blobs.get(BlobId([9; 32])).await.unwrap().is_none());
    }
}

//! Blobs on disk, named by their hash. A blob is whole or absent: it is written beside its place, synced and renamed;
//! what is read is hashed again, so that a bad disk never becomes a bad model.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use shoal_wire::{ids::BlobId, limits::MAX_BLOB_LEN};

use crate::data_dir::{read_bounded, sync_parent};

/// A blob that cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system refused.
    #[error("blob {id}: {source}")]
    Io {
        /// Which blob.
        id: BlobId,
        /// Why.
        source: io::Error,
    },
    /// Larger than any blob may be.
    #[error("blob of {len} bytes is above the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        len: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file's bytes are not the blob's: the disk or a person changed them.
    #[error("stored blob {id} hashes to {found}")]
    Damaged {
        /// Which blob.
        id: BlobId,
        /// Hash of what is there.
        found: BlobId,
    },
}

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: Arc<Path>,
    /// Makes names of unfinished files unique.
    next: Arc<AtomicU64>,
}

impl BlobStore {
    /// Opens the folder, making it if it is missing, and removes what was never finished.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let unfinished = root.join("unfinished");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&unfinished)?,
        }
        Ok(Self { root: root.into(), next: Arc::default() })
    }

    /// Stores the bytes durably and returns their id. Storing a known blob costs a read; a damaged one is replaced.
    ///
    /// # Errors
    /// A full disk, or more than [`MAX_BLOB_LEN`].
    pub fn put_blocking(&self, bytes: &[u8]) -> Result<BlobId, BlobError> {
        let id = BlobId::of(bytes);
        if bytes.len() as u64 > MAX_BLOB_LEN {
            return Err(BlobError::TooLarge { len: bytes.len() as u64, limit: MAX_BLOB_LEN });
        }
        let path = self.path(&id);
        if matches!(self.get_blocking(&id), Ok(Some(_))) {
            return Ok(id);
        }
        let unfinished = self.root.join("unfinished").join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let written = (|| {
            let folder = path.parent().expect("a blob's path has a folder");
            if !folder.exists() {
                fs::create_dir_all(folder)?;
                sync_parent(folder)?;
            }
            let mut file = File::create(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            sync_parent(&path)
        })();
        written.map_err(|source| BlobError::Io { id, source })?;
        Ok(id)
    }

    /// The bytes, verified, or `None` if the blob is not here.
    ///
    /// # Errors
    /// A file that cannot be read or does not hash to its name.
    pub fn get_blocking(&self, id: &BlobId) -> Result<Option<Vec<u8>>, BlobError> {
        let bytes = match read_bounded(&self.path(id), MAX_BLOB_LEN) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(BlobError::Io { id: *id, source }),
        };
        let found = BlobId::of(&bytes);
        if found != *id {
            return Err(BlobError::Damaged { id: *id, found });
        }
        Ok(Some(bytes))
    }

    /// The blob's file, unread, or `None` if the blob is not here.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn file(&self, id: &BlobId) -> Result<Option<File>, BlobError> {
        match File::open(self.path(id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BlobError::Io { id: *id, source }),
        }
    }

    /// Hashes the blob's file without holding it in memory; `false` if the blob is not here.
    ///
    /// # Errors
    /// A file that cannot be read or does not hash to its name.
    pub fn check_blocking(&self, id: &BlobId) -> Result<bool, BlobError> {
        let Some(file) = self.file(id)? else { return Ok(false) };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file).map_err(|source| BlobError::Io { id: *id, source })?;
        let found = BlobId(*hasher.finalize().as_bytes());
        if found == *id { Ok(true) } else { Err(BlobError::Damaged { id: *id, found }) }
    }

    /// Length of a blob's file, bytes, or `None` if the blob is not here. A look at the folder, no read.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn len(&self, id: &BlobId) -> Result<Option<u64>, BlobError> {
        match fs::metadata(self.path(id)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BlobError::Io { id: *id, source }),
        }
    }

    /// [`Self::put_blocking`] off the async threads.
    ///
    /// # Errors
    /// As there.
    pub async fn put(&self, bytes: Vec<u8>) -> Result<BlobId, BlobError> {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || blobs.put_blocking(&bytes)).await.expect("writing a blob does not panic")
    }

    /// [`Self::get_blocking`] off the async threads.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, id: BlobId) -> Result<Option<Vec<u8>>, BlobError> {
        let blobs = self.clone();
        tokio::task::spawn_blocking(move || blobs.get_blocking(&id)).await.expect("reading a blob does not panic")
    }

    /// 256 folders keep each one small.
    fn path(&self, id: &BlobId) -> PathBuf {
        let name = id.to_string();
        self.root.join(&name[..2]).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_read_back_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().to_owned()).unwrap();
        let id = blobs.put_blocking(b"abc").unwrap();
        assert_eq!(id, BlobId::of(b"abc"));
        assert_eq!(blobs.put_blocking(b"abc").unwrap(), id);
        assert_eq!(blobs.get_blocking(&id).unwrap().unwrap(), b"abc");
        assert!(blobs.get_blocking(&BlobId([0; 32])).unwrap().is_none());

        fs::write(blobs.path(&id), b"abd").unwrap();
        assert!(matches!(blobs.get_blocking(&id), Err(BlobError::Damaged { .. })));
    }

    #[test]
    fn unfinished_files_go_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        BlobStore::open(dir.path().to_owned()).unwrap();
        fs::write(dir.path().join("unfinished/7"), b"half").unwrap();
        let blobs = BlobStore::open(dir.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("unfinished")).unwrap().count(), 0);
        blobs.put_blocking(b"").unwrap();
    }
}

//! A folder as a storage. An entry is whole or absent: it is written beside its place, synced and renamed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use futures::future::{FutureExt as _, LocalBoxFuture};

use super::{Storage, StorageEntry, StorageError};

/// Names of files that were never finished begin so. They go at the next start.
const UNFINISHED: &str = "unfinished-";

/// A folder of entries, one file each.
#[derive(Debug)]
pub struct DiskStorage {
    folder: PathBuf,
    next: AtomicU64,
}

impl DiskStorage {
    /// Opens the folder, making it if it is missing, and removes what was never finished. Other files are left alone.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder, next: AtomicU64::new(0) })
    }

    fn unfinished(&self) -> PathBuf {
        // Two workers may share the folder.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{UNFINISHED}{}-{number}", std::process::id()))
    }
}

/// Off the async threads.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> LocalBoxFuture<'static, Result<T, StorageError>> {
    async { tokio::task::spawn_blocking(work).await.expect("reading and writing files does not panic") }.boxed_local()
}

impl Storage for DiskStorage {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut entries = Vec::new();
            for entry in fs::read_dir(&folder).map_err(refused("list"))? {
                let entry = entry.map_err(refused("list"))?;
                // A file may vanish while it is looked at, and names that are not text are not ours.
                let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) else { continue };
                if metadata.is_file() {
                    entries.push(StorageEntry { name, len: metadata.len() });
                }
            }
            Ok(entries)
        })
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        let path = self.folder.join(name);
        blocking(move || {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(refused("open")(error)),
            };
            let mut bytes = Vec::new();
            file.take(limit + 1).read_to_end(&mut bytes).map_err(refused("read"))?;
            let len = bytes.len() as u64;
            if len > limit { Err(StorageError::TooLong { len, limit }) } else { Ok(Some(bytes)) }
        })
    }

    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        let (path, unfinished, bytes) = (self.folder.join(name), self.unfinished(), bytes.to_vec());
        blocking(move || {
            let written = write_synced(&unfinished, &path, &bytes);
            if written.is_err() {
                // What is left takes room that is missing; if it stays, the next start removes it.
                let _ = fs::remove_file(&unfinished);
            }
            written.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    StorageError::Full { len: bytes.len() as u64 }
                }
                _ => refused("write")(error),
            })
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        let path = self.folder.join(name);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused("remove")(error)),
            _ => Ok(()),
        })
    }
}

fn write_synced(unfinished: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    File::open(path.parent().expect("an entry is in a folder"))?.sync_all()
}

fn refused(operation: &'static str) -> impl Fn(io::Error) -> StorageError {
    move |error| StorageError::Refused { operation, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_never_finished_goes_at_the_next_start_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("unfinished-1-2"), b"half").unwrap();
        fs::write(dir.path().join("holiday.jpg"), b"mine").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        let storage = DiskStorage::open(dir.path().to_owned()).unwrap();
        let names: Vec<_> = storage.list().await.unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["holiday.jpg"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DiskStorage::open(dir.path().join("cache")).unwrap();
        fs::remove_dir(dir.path().join("cache")).unwrap();
        assert!(matches!(storage.write("a", b"b").await, Err(StorageError::Refused { operation: "write", .. })));
        assert!(matches!(storage.list().await, Err(StorageError::Refused { operation: "list", .. })));
        assert_eq!(storage.read("a", 9).await, Ok(None));
        assert_eq!(storage.remove("a").await, Ok(()));
    }
}

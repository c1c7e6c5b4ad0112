//! The relay's folder: its key, its secrets, its database and its blobs. Secrets are readable by the owner alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret's file does not hold 32 bytes in hexadecimal.
    #[error("{} does not hold 32 bytes in hexadecimal", path.display())]
    NotASecret {
        /// Which file.
        path: PathBuf,
    },
    /// Another relay uses the folder.
    #[error("{} is in use by another relay", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The folder's receipts and bindings are signed for another network.
    #[error("{} holds the network {found:?}, not {wanted:?}: another network needs another folder", path.display())]
    OtherNetwork {
        /// Where the folder's network is written.
        path: PathBuf,
        /// The folder's network.
        found: String,
        /// The one configured.
        wanted: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// An opened data folder. Holding it means that no other relay uses it.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    /// Locked until the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Opens the folder, making it if it is missing.
    ///
    /// # Errors
    /// Whatever the file system refuses, and another relay in the folder.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        fs::create_dir_all(root).map_err(at(root))?;
        let root = root.canonicalize().map_err(at(root))?;
        let lock_path = root.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(DataDirError::InUse { path: lock_path }),
            Err(fs::TryLockError::Error(source)) => Err(DataDirError::Io { path: lock_path, source }),
        }
    }

    /// Ties the folder to the network that everything in it is signed for, at the first call.
    ///
    /// # Errors
    /// [`DataDirError::OtherNetwork`], and whatever the file system refuses.
    pub fn bind_network(&self, network: &str) -> Result<(), DataDirError> {
        let found = self.private_file("network", || network.as_bytes().to_vec())?;
        if found == network.as_bytes() {
            return Ok(());
        }
        let (path, found) = (self.path("network"), String::from_utf8_lossy(&found).into_owned());
        Err(DataDirError::OtherNetwork { path, found, wanted: network.to_owned() })
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A secret of 32 bytes kept under that name in hexadecimal, made at the first call.
    ///
    /// # Errors
    /// Whatever the file system refuses, and a file with something else in it.
    pub fn secret(&self, name: &str) -> Result<[u8; 32], DataDirError> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let bytes = hex::decode(text.trim()).map_err(|_| DataDirError::NotASecret { path: path.clone() })?;
                bytes.try_into().map_err(|_| DataDirError::NotASecret { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret = random()?;
                write_private(&path, hex::encode(secret).as_bytes())?;
                Ok(secret)
            }
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// The bytes of a private file, made by `make` at the first call.
    ///
    /// # Errors
    /// Whatever the file system refuses.
    pub fn private_file(&self, name: &str, make: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, DataDirError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = make();
                write_private(&path, &bytes)?;
                Ok(bytes)
            }
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }
}

/// 32 bytes from the operating system.
///
/// # Errors
/// [`DataDirError::Random`] where there are none.
pub fn random() -> Result<[u8; 32], DataDirError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| DataDirError::Random(error.to_string()))?;
    Ok(bytes)
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let temporary = path.with_extension("new");
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_parent(path)
    })();
    written.map_err(|source| DataDirError::Io { path: path.to_owned(), source })
}

/// Makes a rename in this file's folder survive a power loss.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads the first `limit` bytes of a file and refuses a longer one.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let secret = data.secret("node-key").unwrap();
        assert_eq!(data.secret("node-key").unwrap(), secret);
        assert_ne!(data.secret("other").unwrap(), secret);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(data.path("node-key")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(data.path("node-key"), "zz").unwrap();
        assert!(matches!(data.secret("node-key"), Err(DataDirError::NotASecret { .. })));
    }

    #[test]
    fn a_folder_stays_with_its_network() {
        let dir = tempfile::tempdir().unwrap();
        DataDir::open(dir.path()).unwrap().bind_network("one").unwrap();
        let again = DataDir::open(dir.path()).unwrap();
        again.bind_network("one").unwrap();
        assert!(matches!(again.bind_network("two"), Err(DataDirError::OtherNetwork { .. })));
    }

    #[test]
    fn a_second_relay_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse { .. })));
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }
}

//! A folder of the browser's private file system (OPFS) as a storage. For dedicated workers: pages have no sync access
//! handles.
//!
//! An entry is a file. Reading takes a snapshot, which no lock hinders. Writing takes a sync access handle, which every
//! browser that can run us has, and which is exclusive: of two tabs that write one entry, the second gives up. Files are
//! written in place, so a tab that is killed meanwhile leaves a damaged entry; the cache hashes whatever it reads. The
//! browser may take files away at any time, and the folder with them, which is then made anew. Nobody is asked to let
//! it stay (`navigator.storage.persist`): everything here can be fetched again.

use std::cell::RefCell;

use futures::{
    future::{FutureExt as _, LocalBoxFuture},
    lock::Mutex,
};
use js_sys::{ArrayBuffer, Promise, Reflect, Uint8Array};
use shoal_node::{Platform as _, Storage, StorageEntry, StorageError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemHandle, FileSystemHandleKind, FileSystemReadWriteOptions, FileSystemSyncAccessHandle, StorageEstimate,
    StorageManager,
};

use crate::platform::BrowserPlatform;

/// Written at once, before the event loop gets its turn: some milliseconds on a slow disk.
const WRITE_LEN: usize = 1024 * 1024;

/// A folder of entries, one file each.
pub struct OpfsStorage {
    name: String,
    folder: RefCell<FileSystemDirectoryHandle>,
    /// This worker's own writes must not lock each other out.
    writing: Mutex<()>,
    platform: BrowserPlatform,
}

impl OpfsStorage {
    /// Opens the folder, making it if it is missing.
    ///
    /// # Errors
    /// There is no private file system here (insecure or opaque origins, private windows of some browsers), or the
    /// browser refuses.
    pub async fn open(name: &str) -> Result<Self, StorageError> {
        let folder = RefCell::new(open_folder(name).await?);
        Ok(Self { name: name.to_owned(), folder, writing: Mutex::new(()), platform: BrowserPlatform::new() })
    }

    fn folder(&self) -> FileSystemDirectoryHandle {
        self.folder.borrow().clone()
    }

    async fn entries(&self) -> Result<Vec<StorageEntry>, Thrown> {
        let mut entries = Vec::new();
        let handles = self.folder().values();
        loop {
            let next: JsValue = settled(handles.next()?).await?;
            if Reflect::get(&next, &"done".into())?.is_truthy() {
                return Ok(entries);
            }
            let handle: FileSystemHandle = Reflect::get(&next, &"value".into())?.unchecked_into();
            if handle.kind() != FileSystemHandleKind::File {
                continue;
            }
            match settled::<File>(handle.unchecked_ref::<FileSystemFileHandle>().get_file()).await {
                Ok(file) => entries.push(StorageEntry { name: handle.name(), len: file.size() as u64 }),
                Err(thrown) if thrown.is_gone() => {}
                Err(thrown) => return Err(thrown),
            }
        }
    }

    async fn snapshot(&self, name: &str) -> Result<File, Thrown> {
        let handle: FileSystemFileHandle = settled(self.folder().get_file_handle(name)).await?;
        settled(handle.get_file()).await
    }

    async fn create(&self, name: &str) -> Result<FileSystemFileHandle, Thrown> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        settled(self.folder().get_file_handle_with_options(name, &options)).await
    }

    /// Creates the file, and the folder if the browser has taken it away.
    async fn create_anew(&self, name: &str) -> Result<FileSystemFileHandle, StorageError> {
        match self.create(name).await {
            Err(thrown) if thrown.is_gone() => {
                let folder = open_folder(&self.name).await?;
                self.folder.replace(folder);
                self.create(name).await.map_err(|thrown| thrown.refused("create"))
            }
            created => created.map_err(|thrown| thrown.refused("create")),
        }
    }

    async fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let _turn = self.writing.lock().await;
        let handle = self.create_anew(name).await?;
        let access = settled(handle.create_sync_access_handle()).await.map_err(|thrown| thrown.refused("lock"))?;
        let access = Access(access);
        let written = access.replace(bytes, &self.platform).await;
        if written.is_err() {
            // What is there takes room that is missing.
            let _ = access.0.truncate_with_u32(0);
            drop(access);
            let _ = JsFuture::from(self.folder().remove_entry(name)).await;
        }
        written
    }
}

impl Storage for OpfsStorage {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        async {
            match self.entries().await {
                Err(thrown) if thrown.is_gone() => Ok(Vec::new()),
                listed => listed.map_err(|thrown| thrown.refused("list")),
            }
        }
        .boxed_local()
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        async move {
            let file = match self.snapshot(name).await {
                Err(thrown) if thrown.is_gone() => return Ok(None),
                opened => opened.map_err(|thrown| thrown.refused("open"))?,
            };
            let len = file.size() as u64;
            if len > limit {
                return Err(StorageError::TooLong { len, limit });
            }
            match settled::<ArrayBuffer>(file.array_buffer()).await {
                Err(thrown) if thrown.is_gone() => Ok(None),
                read => {
                    read.map(|bytes| Some(Uint8Array::new(&bytes).to_vec())).map_err(|thrown| thrown.refused("read"))
                }
            }
        }
        .boxed_local()
    }

    fn write<'a>(&'a self, name: &'a str, bytes: &'a [u8]) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        self.write_file(name, bytes).boxed_local()
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        async move {
            let _turn = self.writing.lock().await;
            match settled::<JsValue>(self.folder().remove_entry(name)).await {
                Err(thrown) if !thrown.is_gone() => Err(thrown.refused("remove")),
                _ => Ok(()),
            }
        }
        .boxed_local()
    }
}

/// How much this origin may store by all means together, bytes; `None` where the browser does not say.
pub async fn quota() -> Option<u64> {
    let estimate: StorageEstimate = settled(manager()?.estimate().ok()?).await.ok()?;
    estimate.get_quota().map(|bytes| bytes as u64)
}

/// An open file, closed for others to use.
struct Access(FileSystemSyncAccessHandle);

impl Access {
    async fn replace(&self, bytes: &[u8], platform: &BrowserPlatform) -> Result<(), StorageError> {
        let len = bytes.len() as u64;
        let failed = |thrown: JsValue| match Thrown(thrown) {
            thrown if thrown.is("QuotaExceededError") => StorageError::Full { len },
            thrown => thrown.refused("write"),
        };
        self.0.truncate_with_u32(0).map_err(failed)?;
        let options = FileSystemReadWriteOptions::new();
        let mut at = 0;
        for part in bytes.chunks(WRITE_LEN) {
            if at > 0 {
                platform.yield_now().await;
            }
            options.set_at(at as f64);
            let written = self.0.write_with_u8_array_and_options(part, &options).map_err(failed)?;
            if (written as usize) < part.len() {
                return Err(StorageError::Full { len });
            }
            at += part.len();
        }
        Ok(())
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What a browser threw: a `DOMException` by its name.
struct Thrown(JsValue);

impl Thrown {
    fn is(&self, name: &str) -> bool {
        Reflect::get(&self.0, &"name".into()).is_ok_and(|thrown| thrown == name)
    }

    /// The file or its folder is no longer there.
    fn is_gone(&self) -> bool {
        self.is("NotFoundError")
    }

    fn refused(&self, operation: &'static str) -> StorageError {
        StorageError::Refused { operation, reason: format!("{:?}", self.0) }
    }
}

impl From<JsValue> for Thrown {
    fn from(thrown: JsValue) -> Self {
        Self(thrown)
    }
}

async fn settled<T: JsCast>(promise: Promise) -> Result<T, Thrown> {
    Ok(JsFuture::from(promise).await?.unchecked_into())
}

async fn open_folder(name: &str) -> Result<FileSystemDirectoryHandle, StorageError> {
    let none = || StorageError::Refused { operation: "open", reason: "no private file system here".to_owned() };
    let manager = manager().ok_or_else(none)?;
    let open = async {
        let root: FileSystemDirectoryHandle = settled(manager.get_directory()).await?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        settled(root.get_directory_handle_with_options(name, &options)).await
    };
    open.await.map_err(|thrown: Thrown| thrown.refused("open"))
}

/// By reflection, because a browser that withholds any of it leaves the name out.
fn manager() -> Option<StorageManager> {
    let get = |object: &JsValue, key: &str| {
        Reflect::get(object, &key.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
    };
    let global = js_sys::global();
    let manager = get(&get(&global, "navigator")?, "storage")?;
    get(&manager, "getDirectory")?;
    get(&get(&get(&global, "FileSystemFileHandle")?, "prototype")?, "createSyncAccessHandle")?;
    Some(manager.unchecked_into())
}

//! A folder of the browser's private file system (OPFS) as a storage. For dedicated workers: pages have no sync access
//! handles.
//!
//! An entry is a file. Reading takes a snapshot, which no lock hinders. Writing takes a sync access handle, which every
//! browser that can run us has, and which is exclusive: of two tabs that write one entry, the second gives up. A write
//! that began ends by itself, waited for or not: a handle that arrives when nobody is left to close it would lock its
//! file. Files are written in place, so a tab that is killed meanwhile leaves a damaged entry; the cache hashes whatever
//! it reads. The browser may take files away at any time, and the folder with them, which is then made anew. Nobody is
//! asked to let it stay (`navigator.storage.persist`): everything here can be fetched again.

use std::{cell::RefCell, rc::Rc};

use futures::{
    channel::oneshot,
    future::{FutureExt as _, LocalBoxFuture},
    lock::Mutex,
};
use js_sys::{ArrayBuffer, Promise, Reflect, Uint8Array};
use shoal_node::{Platform as _, Storage, StorageEntry, StorageError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemHandle, FileSystemHandleKind, FileSystemReadWriteOptions, FileSystemSyncAccessHandle, StorageEstimate,
    StorageManager, console,
};

use crate::platform::BrowserPlatform;

/// Written at once, before the event loop gets its turn: some milliseconds on a slow disk.
const WRITE_LEN: u32 = 1024 * 1024;

/// A folder of entries, one file each.
pub struct OpfsStorage(Rc<Folder>);

struct Folder {
    name: String,
    handle: RefCell<FileSystemDirectoryHandle>,
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
        let handle = RefCell::new(open_folder(name).await?);
        let (name, writing, platform) = (name.to_owned(), Mutex::new(()), BrowserPlatform::new());
        Ok(Self(Rc::new(Folder { name, handle, writing, platform })))
    }
}

impl Folder {
    fn handle(&self) -> FileSystemDirectoryHandle {
        self.handle.borrow().clone()
    }

    async fn entries(&self) -> Result<Vec<StorageEntry>, Thrown> {
        let mut entries = Vec::new();
        let handles = self.handle().values();
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
                // One that cannot be opened must not hide the others, which would be counted by nobody.
                Err(thrown) => {
                    console::warn_2(&format!("shoal: {} is left out of the cache:", handle.name()).into(), &thrown.0);
                }
            }
        }
    }

    async fn snapshot(&self, name: &str) -> Result<File, Thrown> {
        let handle: FileSystemFileHandle = settled(self.handle().get_file_handle(name)).await?;
        settled(handle.get_file()).await
    }

    async fn create(&self, name: &str) -> Result<FileSystemFileHandle, Thrown> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        settled(self.handle().get_file_handle_with_options(name, &options)).await
    }

    /// Creates the file, and the folder if the browser has taken it away.
    async fn create_anew(&self, name: &str) -> Result<FileSystemFileHandle, StorageError> {
        match self.create(name).await {
            Err(thrown) if thrown.is_gone() => {
                let folder = open_folder(&self.name).await?;
                self.handle.replace(folder);
                self.create(name).await.map_err(|thrown| thrown.refused("create"))
            }
            created => created.map_err(|thrown| thrown.refused("create")),
        }
    }

    /// Never to be dropped before its end.
    async fn write_file(&self, name: &str, bytes: &Uint8Array) -> Result<(), StorageError> {
        let _turn = self.writing.lock().await;
        let handle = self.create_anew(name).await?;
        let access = settled(handle.create_sync_access_handle()).await.map_err(|thrown| thrown.refused("lock"))?;
        let access = Access(access);
        let written = access.replace(bytes, &self.platform).await;
        if written.is_err() {
            // What is there takes room that is missing.
            let _ = access.0.truncate_with_u32(0);
            drop(access);
            let _ = JsFuture::from(self.handle().remove_entry(name)).await;
        }
        written
    }
}

impl Storage for OpfsStorage {
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<StorageEntry>, StorageError>> {
        async {
            match self.0.entries().await {
                Err(thrown) if thrown.is_gone() => Ok(Vec::new()),
                listed => listed.map_err(|thrown| thrown.refused("list")),
            }
        }
        .boxed_local()
    }

    fn read<'a>(&'a self, name: &'a str, limit: u64) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        async move {
            let file = match self.0.snapshot(name).await {
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
        async move {
            let (folder, name) = (self.0.clone(), name.to_owned());
            // A copy for the task, outside this module's memory, which never shrinks.
            let bytes = Uint8Array::from(bytes);
            let (ended, written) = oneshot::channel();
            spawn_local(async move {
                // Whoever waits may go away.
                let _ = ended.send(folder.write_file(&name, &bytes).await);
            });
            written.await.expect("a task of this thread runs to its end")
        }
        .boxed_local()
    }

    fn remove<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        async move {
            let _turn = self.0.writing.lock().await;
            match settled::<JsValue>(self.0.handle().remove_entry(name)).await {
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
    async fn replace(&self, bytes: &Uint8Array, platform: &BrowserPlatform) -> Result<(), StorageError> {
        let len = u64::from(bytes.length());
        let failed = |thrown: JsValue| match Thrown(thrown) {
            thrown if thrown.is("QuotaExceededError") => StorageError::Full { len },
            thrown => thrown.refused("write"),
        };
        self.0.truncate_with_u32(0).map_err(failed)?;
        let options = FileSystemReadWriteOptions::new();
        for at in (0..bytes.length()).step_by(WRITE_LEN as usize) {
            if at > 0 {
                platform.yield_now().await;
            }
            options.set_at(f64::from(at));
            let part = bytes.subarray(at, bytes.length().min(at + WRITE_LEN));
            let written = self.0.write_with_js_u8_array_and_options(&part, &options).map_err(failed)?;
            if written < f64::from(part.length()) {
                return Err(StorageError::Full { len });
            }
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

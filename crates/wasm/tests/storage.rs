//! The private file system of a real browser, in a dedicated worker: what every storage must do, and what only this one
//! meets.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(target_arch = "wasm32")]

#[path = "../../node/tests/storage_body/mod.rs"]
mod storage_body;

use js_sys::{Function, Object, Reflect};
use shoal_node::{Storage, StorageEntry, StorageError, StoredCache};
use shoal_wasm::{OpfsStorage, quota};
use shoal_wire::ids::BlobId;
use storage_body::Reopen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemRemoveOptions, FileSystemSyncAccessHandle,
    WorkerGlobalScope,
};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

struct Folder(&'static str);

impl Reopen for Folder {
    async fn reopen(&self) -> Box<dyn Storage> {
        Box::new(OpfsStorage::open(self.0).await.unwrap())
    }
}

async fn root() -> FileSystemDirectoryHandle {
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    JsFuture::from(global.navigator().storage().get_directory()).await.unwrap().unchecked_into()
}

/// An entry as another tab would open it to write.
async fn lock(folder: &str, name: &str) -> FileSystemSyncAccessHandle {
    let folder = JsFuture::from(root().await.get_directory_handle(folder)).await.unwrap();
    let folder: FileSystemDirectoryHandle = folder.unchecked_into();
    let file: FileSystemFileHandle = JsFuture::from(folder.get_file_handle(name)).await.unwrap().unchecked_into();
    JsFuture::from(file.create_sync_access_handle()).await.unwrap().unchecked_into()
}

/// A method of file handles, replaced until this is dropped. The new one finds the old one as `original`.
struct Replaced {
    prototype: Object,
    method: &'static str,
    original: JsValue,
}

impl Replaced {
    fn new(method: &'static str, body: &str) -> Self {
        let class = Reflect::get(&js_sys::global(), &"FileSystemFileHandle".into()).unwrap();
        let prototype: Object = Reflect::get(&class, &"prototype".into()).unwrap().unchecked_into();
        let original = Reflect::get(&prototype, &method.into()).unwrap();
        let make = Function::new_with_args("original", &format!("return function () {{ {body} }}"));
        let made = make.call1(&JsValue::NULL, &original).unwrap();
        Reflect::set(&prototype, &method.into(), &made).unwrap();
        Self { prototype, method, original }
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let _ = Reflect::set(&self.prototype, &self.method.into(), &self.original);
    }
}

#[wasm_bindgen_test]
async fn the_private_file_system_is_a_storage() {
    storage_body::all(&Folder("body")).await;
}

#[wasm_bindgen_test]
async fn an_entry_that_another_tab_writes_is_left_alone() {
    let storage = Folder("locked").reopen().await;
    storage.write("a", b"first").await.unwrap();
    let other = lock("locked", "a").await;
    assert!(matches!(storage.write("a", b"second").await, Err(StorageError::Refused { operation: "lock", .. })));
    assert!(matches!(storage.remove("a").await, Err(StorageError::Refused { operation: "remove", .. })));
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"first".to_vec())), "reading needs no lock");
    storage.write("b", b"other entries").await.unwrap();
    other.close();
    storage.write("a", b"second").await.unwrap();
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"second".to_vec())));
}

#[wasm_bindgen_test]
async fn writes_of_one_worker_wait_for_each_other() {
    let storage = Folder("turns").reopen().await;
    let large = vec![1; 3_000_000];
    let (first, second) = futures::join!(storage.write("a", &large), storage.write("a", b"second"));
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"second".to_vec())));
}

#[wasm_bindgen_test]
async fn a_write_that_nobody_waits_for_any_more_ends_all_the_same() {
    let storage = Folder("given-up").reopen().await;
    let large = vec![1; 3_000_000];
    let mut write = storage.write("a", &large);
    // As far as the first pause between two parts: the file is open by then.
    let written = || async { storage.list().await.unwrap().iter().any(|entry| entry.len > 0) };
    while !written().await {
        assert!(futures::poll!(&mut write).is_pending());
    }
    drop(write);
    storage.write("b", b"next").await.unwrap();
    assert!(storage.read("a", 3_000_000).await.unwrap().unwrap() == large);
    storage.write("a", b"whole").await.unwrap();
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"whole".to_vec())));
}

#[wasm_bindgen_test]
async fn a_write_that_is_given_up_while_its_entry_is_being_locked_lets_go_of_it() {
    let storage = Folder("given-up-early").reopen().await;
    let locking = || Reflect::get(&js_sys::global(), &"locking".into()).unwrap().is_truthy();
    let body = "globalThis.locking = true; return original.call(this);";
    let replaced = Replaced::new("createSyncAccessHandle", body);
    let mut write = storage.write("a", b"given up");
    assert!(futures::poll!(&mut write).is_pending());
    while !locking() {
        storage.list().await.unwrap();
        assert!(futures::poll!(&mut write).is_pending());
    }
    drop((write, replaced));
    assert_eq!(storage.write("a", b"whole").await, Ok(()));
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"whole".to_vec())));
}

#[wasm_bindgen_test]
async fn an_entry_that_cannot_be_opened_hides_no_other() {
    let storage = Folder("unreadable").reopen().await;
    for name in ["a", "unreadable", "z"] {
        storage.write(name, b"1234").await.unwrap();
    }
    let body = "if (this.name !== 'unreadable') return original.call(this);
        return Promise.reject(new DOMException('', 'NotReadableError'));";
    let _replaced = Replaced::new("getFile", body);
    let mut entries = storage.list().await.unwrap();
    entries.sort();
    assert_eq!(entries, ["a", "z"].map(|name| StorageEntry { name: name.to_owned(), len: 4 }));
}

#[wasm_bindgen_test]
async fn a_folder_that_the_browser_takes_away_is_made_anew() {
    let storage = Folder("evicted").reopen().await;
    storage.write("a", b"first").await.unwrap();
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    JsFuture::from(root().await.remove_entry_with_options("evicted", &options)).await.unwrap();
    assert_eq!(storage.read("a", 9).await, Ok(None));
    assert_eq!(storage.remove("a").await, Ok(()));
    assert_eq!(storage.list().await, Ok(Vec::new()));
    storage.write("a", b"second").await.unwrap();
    assert_eq!(storage.read("a", 9).await, Ok(Some(b"second".to_vec())));
    assert_eq!(storage.list().await.unwrap().len(), 1);
}

#[wasm_bindgen_test]
async fn two_tabs_share_a_folder_and_neither_ever_gets_wrong_bytes() {
    let tabs = futures::join!(Folder("shared").reopen(), Folder("shared").reopen());
    let tabs = futures::join!(StoredCache::open(tabs.0, 400_000), StoredCache::open(tabs.1, 400_000));
    let blobs: Vec<Vec<u8>> = (0..12).map(|seed| vec![seed; 100_000]).collect();
    // Together they write, read and evict the same entries; every read is right or a miss.
    let work = async |cache: &StoredCache| {
        let mut hits = 0;
        for bytes in blobs.iter().chain(&blobs) {
            let id = BlobId::of(bytes);
            cache.put(&id, bytes).await;
            if let Some(got) = cache.get(&id).await {
                assert!(got == bytes);
                hits += 1;
            }
        }
        hits
    };
    let (first, second) = futures::join!(work(&tabs.0), work(&tabs.1));
    assert!(first > 0 && second > 0, "{first} and {second} hits");
    assert!(tabs.0.held() <= 400_000 && tabs.1.held() <= 400_000);
}

#[wasm_bindgen_test]
async fn a_browser_without_a_private_file_system_says_so() {
    assert!(quota().await.unwrap() > 0);
    let class = Reflect::get(&js_sys::global(), &"FileSystemFileHandle".into()).unwrap();
    let prototype: Object = Reflect::get(&class, &"prototype".into()).unwrap().unchecked_into();
    let key = JsValue::from("createSyncAccessHandle");
    let method = Reflect::get(&prototype, &key).unwrap();
    Reflect::delete_property(&prototype, &key).unwrap();
    let opened = OpfsStorage::open("none").await.map(|_| ());
    let quota = quota().await;
    Reflect::set(&prototype, &key, &method).unwrap();
    assert!(matches!(opened, Err(StorageError::Refused { operation: "open", .. })));
    assert_eq!(quota, None);
}

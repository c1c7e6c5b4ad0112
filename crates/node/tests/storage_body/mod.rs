//! What every storage must do, and every cache over one: run on memory and disk natively, and in a browser's worker on
//! its private file system. `reopen` gives the storage again as the next run would find it.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "shared by several test programs")]

use std::{future::poll_fn, task::Poll};

use shoal_node::{Piece, Storage, StorageError, StoredCache};
use shoal_wire::ids::BlobId;

/// Makes a storage over the same entries each time.
pub trait Reopen {
    async fn reopen(&self) -> Box<dyn Storage>;
}

fn blob(seed: u8, len: usize) -> (BlobId, Vec<u8>) {
    let bytes: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
    (BlobId::of(&bytes), bytes)
}

/// Runs everything; each part leaves the storage empty.
pub async fn all(storage: &impl Reopen) {
    entries_are_read_back_by_the_next_run(storage).await;
    the_least_recently_used_goes_first_also_after_a_restart(storage).await;
    a_limit_that_changes_holds_at_once(storage).await;
    damaged_and_missing_entries_are_misses(storage).await;
    pieces_are_kept_until_the_blob_is_whole(storage).await;
    what_is_not_ours_stays(storage).await;
}

async fn empty(storage: &dyn Storage) {
    for entry in storage.list().await.unwrap() {
        storage.remove(&entry.name).await.unwrap();
    }
    assert_eq!(storage.list().await.unwrap(), []);
}

async fn entries_are_read_back_by_the_next_run(storage: &impl Reopen) {
    let entries = storage.reopen().await;
    assert_eq!(entries.read("a", 100).await, Ok(None));
    assert_eq!(entries.remove("a").await, Ok(()));
    entries.write("a", b"first").await.unwrap();
    entries.write("a", b"2nd").await.unwrap();
    entries.write("empty", b"").await.unwrap();
    let large = vec![7; 3_000_000];
    entries.write("large", &large).await.unwrap();
    drop(entries);

    let entries = storage.reopen().await;
    assert_eq!(entries.read("a", 100).await, Ok(Some(b"2nd".to_vec())), "shorter than what was there before");
    assert_eq!(entries.read("empty", 100).await, Ok(Some(Vec::new())));
    assert!(entries.read("large", 3_000_000).await == Ok(Some(large)));
    assert!(matches!(entries.read("large", 2_999_999).await, Err(StorageError::TooLong { limit: 2_999_999, .. })));
    let mut list: Vec<_> = entries.list().await.unwrap().into_iter().map(|entry| (entry.name, entry.len)).collect();
    list.sort();
    assert_eq!(list, [("a".to_owned(), 3), ("empty".to_owned(), 0), ("large".to_owned(), 3_000_000)]);
    empty(&*entries).await;
}

async fn the_least_recently_used_goes_first_also_after_a_restart(storage: &impl Reopen) {
    let (one, two, three) = (blob(1, 40_000), blob(2, 40_000), blob(3, 40_000));
    let cache = StoredCache::open(storage.reopen().await, 100_000).await;
    cache.put(&one.0, &one.1).await;
    cache.put(&two.0, &two.1).await;
    assert_eq!(cache.get(&one.0).await.unwrap(), one.1);
    drop(cache);

    let cache = StoredCache::open(storage.reopen().await, 100_000).await;
    assert_eq!(cache.held(), 80_000);
    cache.put(&three.0, &three.1).await;
    assert!(cache.get(&two.0).await.is_none(), "used longest ago");
    assert_eq!(cache.get(&one.0).await.unwrap(), one.1);
    assert_eq!(cache.get(&three.0).await.unwrap(), three.1);
    let huge = blob(4, 100_001);
    cache.put(&huge.0, &huge.1).await;
    assert!(cache.get(&huge.0).await.is_none());
    assert_eq!(cache.held(), 80_000, "what is larger than the cache evicts nothing");
    drop(cache);

    let cache = StoredCache::open(storage.reopen().await, 50_000).await;
    assert_eq!(cache.held(), 40_000, "a smaller limit holds at once");
    assert!(cache.get(&three.0).await.is_some());
    empty(&*storage.reopen().await).await;
}

async fn a_limit_that_changes_holds_at_once(storage: &impl Reopen) {
    let blobs: Vec<_> = (1..=4).map(|seed| blob(seed, 10_000)).collect();
    let cache = StoredCache::open(storage.reopen().await, 100_000).await;
    let behind = storage.reopen().await;
    let body = async {
        for (id, bytes) in &blobs {
            cache.put(id, bytes).await;
        }
        cache.set_limit(25_000);
        until_held(&cache, &*behind, 20_000).await;
        assert!(cache.get(&blobs[0].0).await.is_none() && cache.get(&blobs[1].0).await.is_none());
        assert!(cache.get(&blobs[2].0).await.is_some() && cache.get(&blobs[3].0).await.is_some());
        cache.set_limit(0);
        until_held(&cache, &*behind, 0).await;
        cache.put(&blobs[0].0, &blobs[0].1).await;
        assert!(cache.get(&blobs[0].0).await.is_none(), "switched off");
        cache.set_limit(100_000);
        cache.put(&blobs[0].0, &blobs[0].1).await;
        assert!(cache.get(&blobs[0].0).await.is_some(), "and on again");
        cache.set_limit(0);
        until_held(&cache, &*behind, 0).await;
    };
    // Whichever ends first, and only the body does.
    futures::future::select(std::pin::pin!(body), std::pin::pin!(cache.keep_to_limit())).await;
    drop(cache);
    StoredCache::open(storage.reopen().await, 0).await;
    assert_eq!(behind.list().await.unwrap(), [], "nothing is left of a cache that is switched off, not even its order");
}

/// Waits until the cache and what is stored have come down to `bytes`.
async fn until_held(cache: &StoredCache, behind: &dyn Storage, bytes: u64) {
    loop {
        let entries = behind.list().await.unwrap();
        let blobs = entries.into_iter().filter(|entry| entry.name != "order");
        if cache.held() == bytes && blobs.map(|entry| entry.len).sum::<u64>() == bytes {
            return;
        }
        // A storage in memory never waits, and the cache needs its turn.
        let mut waited = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

async fn damaged_and_missing_entries_are_misses(storage: &impl Reopen) {
    let (one, two, three) = (blob(1, 50_000), blob(2, 50_000), blob(3, 50_000));
    let cache = StoredCache::open(storage.reopen().await, 1_000_000).await;
    for (id, bytes) in [&one, &two, &three] {
        cache.put(id, bytes).await;
    }
    let behind = storage.reopen().await;
    let mut tampered = one.1.clone();
    tampered[12_345] ^= 1;
    behind.write(&one.0.to_string(), &tampered).await.unwrap();
    behind.write(&two.0.to_string(), &two.1[..49_999]).await.unwrap();
    behind.remove(&three.0.to_string()).await.unwrap();
    for (id, bytes) in [&one, &two, &three] {
        assert!(cache.get(id).await.is_none());
        assert_eq!(behind.read(&id.to_string(), 100_000).await, Ok(None), "it is not kept");
        cache.put(id, bytes).await;
        assert_eq!(cache.get(id).await.unwrap(), *bytes, "fetched again, it is kept again");
    }
    behind.write("order", b"\xff\xfe not text").await.unwrap();
    drop(cache);
    let cache = StoredCache::open(storage.reopen().await, 1_000_000).await;
    assert_eq!(cache.held(), 150_000, "a damaged order costs only the order");
    empty(&*behind).await;
}

async fn pieces_are_kept_until_the_blob_is_whole(storage: &impl Reopen) {
    let whole = blob(5, 2_500_000);
    let piece =
        |index: u32, range: std::ops::Range<usize>| Piece { index, size: 2_500_000, bytes: whole.1[range].to_vec() };
    let (first, last) = (piece(0, 0..1_048_576), piece(2, 2_097_152..2_500_000));
    let cache = StoredCache::open(storage.reopen().await, 10_000_000).await;
    cache.put_piece(&whole.0, &last).await;
    cache.put_piece(&whole.0, &first).await;
    drop(cache);

    let cache = StoredCache::open(storage.reopen().await, 10_000_000).await;
    assert_eq!(cache.pieces(&whole.0), [0, 2]);
    assert_eq!(cache.piece(&whole.0, 2).await.unwrap(), last);
    let behind = storage.reopen().await;
    let name = format!("{}.0", whole.0);
    let mut record = behind.read(&name, 2_000_000).await.unwrap().unwrap();
    record[500_000] ^= 1;
    behind.write(&name, &record).await.unwrap();
    assert!(cache.piece(&whole.0, 0).await.is_none(), "a flipped bit");
    behind.write(&format!("{}.2", whole.0), b"short").await.unwrap();
    assert!(cache.piece(&whole.0, 2).await.is_none(), "cut short");
    assert_eq!(cache.pieces(&whole.0), [0_u32; 0]);

    cache.put_piece(&whole.0, &first).await;
    cache.put(&whole.0, &whole.1).await;
    assert_eq!(cache.pieces(&whole.0), [0_u32; 0]);
    assert_eq!(cache.held(), 2_500_000);
    empty(&*behind).await;
}

async fn what_is_not_ours_stays(storage: &impl Reopen) {
    let behind = storage.reopen().await;
    behind.write("holiday.jpg", &[1; 500]).await.unwrap();
    let cache = StoredCache::open(storage.reopen().await, 100).await;
    let one = blob(1, 100);
    cache.put(&one.0, &one.1).await;
    assert_eq!(cache.held(), 100);
    assert!(behind.read("holiday.jpg", 500).await.unwrap().is_some());
    empty(&*behind).await;
}

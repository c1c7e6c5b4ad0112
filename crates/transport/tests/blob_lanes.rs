//! Downloads over several streams at once: disjoint ranges, failures at any point, throttles, hashes without bytes.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    rc::Rc,
};

use common::{Pipe, Store, forward, pipe, sample};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, stream::FuturesUnordered};
use proptest::prelude::*;
use prost::Message as _;
use shoal_transport::{
    blob::{
        Blob, Claim, Download, FetchError, PIECE_GROUPS, SliceError, Throttle, Unlimited, fetch, fetch_hashes, serve,
        serve_throttled,
    },
    framed::framed,
};
use shoal_wire::{
    limits::BLOB_GROUP_LEN,
    proto::{BlobHeader, BlobPart, BlobReply, BlobRequest, blob_reply::Reply},
};

const MAX: u64 = 256 * 1024 * 1024;
const PIECE: usize = PIECE_GROUPS as usize * BLOB_GROUP_LEN;

/// A link that breaks after so many bytes towards the receiver; returns what it carried.
async fn link(from: Pipe, to: Pipe, limit: usize) -> usize {
    let (mut from_read, from_write) = from.split();
    let (to_read, mut to_write) = to.split();
    let carried = Cell::new(0);
    let down = async {
        let mut buffer = [0; 16 * 1024];
        while carried.get() < limit {
            let wanted = buffer.len().min(limit - carried.get());
            let Ok(len @ 1..) = from_read.read(&mut buffer[..wanted]).await else { break };
            carried.set(carried.get() + len);
            if to_write.write_all(&buffer[..len]).await.is_err() {
                break;
            }
        }
        let _ = to_write.close().await;
    };
    let up = forward(to_read, from_write);
    if let futures::future::Either::Left(((), up)) = futures::future::select(Box::pin(down), Box::pin(up)).await
        && carried.get() < limit
    {
        // The sender has said everything; grants may still be under way.
        up.await;
    }
    carried.get()
}

/// Fetches one claim through a link that breaks; returns the bytes that the sender put into the slice.
async fn attempt(claim: Claim, store: &Store, limit: usize) -> (usize, Result<(), FetchError>) {
    let (near, link_near) = pipe();
    let (link_far, far) = pipe();
    let (_, carried, got) =
        futures::join!(serve(far, store), link(link_far, link_near, limit), claim.receive(near, &Unlimited));
    (carried, got)
}

/// Downloads with as many streams as there are lanes, until `limits` says that everything breaks: each entry is one
/// connection, and how many bytes each of its streams carries before it breaks.
async fn download(blob: &Blob, lanes: usize, limits: &[usize]) -> (Download, usize) {
    let store = Store::with(blob);
    let download = Download::new(blob.id(), MAX).with_lanes(lanes);
    let mut carried = 0;
    for limit in limits.iter().copied().chain([usize::MAX]) {
        let mut streams = FuturesUnordered::new();
        let mut broken = false;
        let mut seen = 0;
        while !(download.is_finished() || broken && streams.is_empty()) {
            while !broken && let Some(claim) = download.claim() {
                streams.push(attempt(claim, &store, limit));
            }
            tokio::select! {
                Some((bytes, result)) = streams.next() => {
                    carried += bytes;
                    broken |= result.is_err();
                }
                change = download.changed(seen) => seen = change,
            }
        }
        while let Some((bytes, _)) = streams.next().await {
            carried += bytes;
        }
    }
    (download, carried)
}

#[tokio::test]
async fn one_hundred_mebibytes_interrupted_five_times_arrive_once() {
    let blob = sample(100 * 1024 * 1024);
    let (lanes, breaks) = (4, 5);
    let (download, carried) = download(&blob, lanes, &[4_000_000; 5]).await;
    assert!(download.bytes().unwrap() == *blob.bytes());
    // Hash pairs and frames cost half a percent; each stream that broke had at most a group under way that was not whole.
    let overhead = carried - blob.bytes().len();
    println!("{} bytes carried, {overhead} beyond the blob", carried);
    let allowed = blob.bytes().len() / 100 + breaks * lanes * (BLOB_GROUP_LEN + 16 * 1024);
    assert!(overhead < allowed, "{overhead} bytes beyond the blob, {allowed} allowed");
}

#[tokio::test]
async fn blobs_of_every_size_around_a_piece_arrive_over_several_lanes() {
    for len in
        [0, 1, BLOB_GROUP_LEN, 16 * BLOB_GROUP_LEN, 16 * BLOB_GROUP_LEN + 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]
    {
        let blob = sample(len);
        let (download, _) = download(&blob, 4, &[]).await;
        assert!(download.bytes().unwrap() == *blob.bytes(), "{len} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// Streams that break anywhere lose nothing that was verified, and the blob is right in the end.
    #[test]
    fn streams_may_break_anywhere(
        lanes in 1_usize..6,
        len in 0_usize..4_000_000,
        limits in prop::collection::vec(1_usize..700_000, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let blob = sample(len);
        let (download, _) = runtime.block_on(download(&blob, lanes, &limits));
        prop_assert!(download.bytes().unwrap() == *blob.bytes());
    }
}

#[tokio::test]
async fn pieces_that_were_kept_are_not_fetched_again() {
    let blob = sample(5 * PIECE + 70_000);
    let first = Download::new(blob.id(), MAX).with_lanes(3);
    let store = Store::with(&blob);
    while first.whole_pieces().len() < 3 {
        attempt(first.claim().unwrap(), &store, usize::MAX).await.1.unwrap();
    }
    let second = Download::new(blob.id(), MAX).with_lanes(3);
    let mut kept = 0;
    for piece in first.whole_pieces() {
        let (size, bytes) = first.piece(piece).unwrap();
        assert!(!second.restore(piece, size + 16 * PIECE as u64, &bytes[1..]), "the length must fit");
        assert!(second.restore(piece, size, &bytes));
        assert!(second.has_restored() && !first.has_restored());
        kept += bytes.len();
    }
    assert_eq!(second.verified_len(), kept as u64);
    let mut carried = 0;
    while let Some(claim) = second.claim() {
        let (bytes, result) = attempt(claim, &store, usize::MAX).await;
        result.unwrap();
        carried += bytes;
    }
    assert!(second.bytes().unwrap() == *blob.bytes());
    assert!(carried < blob.bytes().len() - kept + 100_000, "{carried} carried, {kept} kept");
}

#[tokio::test]
async fn a_range_that_lies_is_caught_and_another_sender_goes_on() {
    let blob = sample(200 * BLOB_GROUP_LEN);
    let other = Blob::new(vec![7; 200 * BLOB_GROUP_LEN]);
    let download = Download::new(blob.id(), MAX).with_lanes(4);
    let store = Store::with(&blob);
    attempt(download.claim().unwrap(), &store, usize::MAX).await.1.unwrap();
    let before = download.verified_len();
    // The other blob's bytes under this blob's name.
    let claim = download.claim().unwrap();
    let (near, far) = pipe();
    let lie = async {
        let (mut reader, mut writer) = framed(far);
        let request = BlobRequest::decode(reader.next().await.unwrap().unwrap().as_slice()).unwrap();
        assert!(request.length == 0, "the end of the blob, which proves its size");
        let header = Reply::Header(BlobHeader { size: blob.bytes().len() as u64, sources: vec![] });
        for reply in [header, Reply::Chunk(other.bytes()[..20_000].to_vec())] {
            writer.send(&BlobReply { reply: Some(reply) }.encode_to_vec()).await.unwrap();
        }
    };
    let (got, ()) = futures::join!(claim.receive(near, &Unlimited), lie);
    assert!(matches!(got, Err(FetchError::Slice(SliceError::PairMismatch { .. }))), "{got:?}");
    assert_eq!(download.verified_len(), before);
    while let Some(claim) = download.claim() {
        attempt(claim, &store, usize::MAX).await.1.unwrap();
    }
    assert!(download.bytes().unwrap() == *blob.bytes());
}

#[tokio::test]
async fn hashes_alone_verify_bytes_from_elsewhere() {
    for len in [0, 100, BLOB_GROUP_LEN, 70 * BLOB_GROUP_LEN + 9] {
        let blob = sample(len);
        let store = Store::with(&blob);
        let (near, far) = pipe();
        let (served, hashes) = futures::join!(serve(far, &store), fetch_hashes(near, blob.id(), MAX, &Unlimited));
        let hashes = hashes.unwrap();
        let pairs = len.div_ceil(BLOB_GROUP_LEN).max(1) as u64 - 1;
        assert_eq!(served.unwrap().sent, 64 * pairs, "no group was sent");
        let download = Download::new(blob.id(), MAX);
        let mut claim = download.claim().unwrap();
        let Range { start, end } = claim.expect(&hashes).unwrap();
        assert_eq!((start, end), (0, len as u64));
        for (index, group) in groups(blob.bytes()).enumerate() {
            let mut flipped = group.to_vec();
            if let Some(byte) = flipped.last_mut() {
                *byte ^= 1;
                assert!(!claim.accept(&flipped, &hashes), "group {index}");
            }
            assert!(claim.accept(group, &hashes), "group {index}");
        }
        assert!(claim.is_finished());
        drop(claim);
        assert!(download.bytes().unwrap() == *blob.bytes());
    }
}

fn groups(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = bytes.is_empty().then_some(&bytes[..0]);
    bytes.chunks(BLOB_GROUP_LEN).chain(empty)
}

#[tokio::test]
async fn hashes_of_another_blob_are_refused() {
    let blob = sample(10 * BLOB_GROUP_LEN);
    let other = sample(11 * BLOB_GROUP_LEN);
    let (near, far) = pipe();
    let lie = async {
        let (mut reader, mut writer) = framed(far);
        let mut request = BlobRequest::decode(reader.next().await.unwrap().unwrap().as_slice()).unwrap();
        assert_eq!(request.part(), BlobPart::Outboard);
        // The other blob's true outboard.
        request.id = other.id().to_vec();
        let (asked, serving) = pipe();
        let store = Store::with(&other);
        let relay = async {
            let (mut from, mut to) = framed(asked);
            to.send(&request.encode_to_vec()).await.unwrap();
            while let Some(frame) = from.next().await.unwrap() {
                if writer.send(&frame).await.is_err() {
                    break;
                }
            }
        };
        let _ = futures::join!(serve(serving, &store), relay);
    };
    let (got, ()) = futures::join!(
        async {
            let got = fetch_hashes(near, blob.id(), MAX, &Unlimited).await;
            got.map(|_| ())
        },
        lie
    );
    assert!(matches!(got, Err(FetchError::Slice(SliceError::PairMismatch { offset: 0 }))), "{got:?}");
}

/// Notes what passes, and never waits.
#[derive(Clone, Default)]
struct Meter {
    passed: Rc<Cell<u64>>,
    most: Rc<Cell<u64>>,
}

impl Throttle for Meter {
    async fn pass(&self, bytes: u64) {
        self.passed.set(self.passed.get() + bytes);
        self.most.set(self.most.get().max(bytes));
    }

    fn give_back(&self, bytes: u64) {
        self.passed.set(self.passed.get() - bytes);
    }

    fn burst(&self) -> u64 {
        10_000
    }
}

#[tokio::test]
async fn both_ends_ask_their_throttle_for_every_byte() {
    let blob = sample(300_000);
    let store = Store::with(&blob);
    let (up, down) = (Meter::default(), Meter::default());
    let (near, far) = pipe();
    let download = Download::new(blob.id(), MAX);
    let claim = download.claim().unwrap();
    let (served, got) = futures::join!(serve_throttled(far, &store, &up), claim.receive(near, &down));
    got.unwrap();
    let sent = served.unwrap().sent;
    assert_eq!(up.passed.get(), sent);
    assert_eq!(down.passed.get(), sent, "what was granted and not sent was given back");
    assert!(up.most.get() <= 10_000 && down.most.get() <= 10_000, "no more than a burst at once");
}

#[tokio::test]
async fn a_throttle_that_does_not_let_pass_stops_the_sender() {
    struct Shut(RefCell<u64>);
    impl Throttle for Shut {
        async fn pass(&self, bytes: u64) {
            if *self.0.borrow() < bytes {
                std::future::pending::<()>().await;
            }
            *self.0.borrow_mut() -= bytes;
        }
        fn give_back(&self, _: u64) {}
        fn burst(&self) -> u64 {
            50_000
        }
    }
    let blob = sample(1_000_000);
    let store = Store::with(&blob);
    let (near, link_near) = pipe();
    let (link_far, far) = pipe();
    let download = Download::new(blob.id(), MAX);
    let shut = Shut(RefCell::new(100_000));
    let mut all = Box::pin(async {
        futures::join!(
            serve(far, &store),
            link(link_far, link_near, usize::MAX),
            download.claim().unwrap().receive(near, &shut)
        )
    });
    // Polled until nothing moves any more.
    for _ in 0..10_000 {
        assert!(futures::poll!(&mut all).is_pending());
        tokio::task::yield_now().await;
    }
    let got = download.verified_len();
    assert!(got > 50_000 && got <= 100_000, "{got} bytes with 100,000 granted");
}

#[tokio::test]
async fn too_many_sources_are_refused() {
    let blob = sample(10);
    for sources in [vec!["https://a".to_owned(); 5], vec!["h".repeat(513)]] {
        let (near, far) = pipe();
        let send = async {
            let (mut reader, mut writer) = framed(far);
            reader.next().await.unwrap().unwrap();
            let reply = BlobReply { reply: Some(Reply::Header(BlobHeader { size: 10, sources })) };
            writer.send(&reply.encode_to_vec()).await.unwrap();
        };
        let (got, ()) = futures::join!(fetch(near, blob.id(), MAX), send);
        assert!(matches!(got, Err(FetchError::Sources { .. })), "{got:?}");
    }
}

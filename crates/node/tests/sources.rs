//! Blobs from HTTP sources, good ones and bad ones: whatever they do, the blob arrives, and a good one spares the relay.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::rc::Rc;

use common::{
    Relay, config,
    http::{Manners, Server},
    large_unit, reference, soon, worker,
};
use shoal_compute::vectors::VectorUnit;
use shoal_node::{Event, NativeHttp, Reach};
use shoal_wire::{
    commitment::commitment,
    ids::{BlobId, LeaseId},
    limits::{BLOB_GROUP_LEN, INITIAL_BLOB_CREDIT},
    proto::Commit,
};

const LEASE: LeaseId = LeaseId([7; 32]);

/// What a source costs a worker at most before it is asked no more, requests: one for each lane.
const LANES: u64 = 4;

/// Has a worker compute a unit whose data is at the sources too. Returns the bytes of that blob that the relay sent.
async fn fetch(unit: &VectorUnit, servers: &[&Server]) -> u64 {
    fetch_and_tell(unit, servers).await.0
}

/// The same with the rates that the worker told.
async fn fetch_and_tell(unit: &VectorUnit, servers: &[&Server]) -> (u64, Vec<u64>) {
    let mut relay = Relay::start().await;
    relay.store.add(unit);
    relay.store.name_sources(servers.iter().map(|server| server.url.clone()).collect());
    let mut config = config(&relay);
    config.loopback_sources = true;
    let (worker, handle, events) = worker(config);
    let worker = worker.with_http(Rc::new(NativeHttp::new(Reach::Anywhere).unwrap()));
    let test = async {
        let mut peer = relay.welcome().await;
        peer.lease(LEASE, unit).await;
        let commit: Commit = peer.receive_past_requests().await;
        let right = commitment(&peer.node, &LEASE, &BlobId::of(&reference(unit)));
        assert_eq!(commit.commitment, right, "computed from the right bytes");
        let sent = relay.store.sent(&BlobId::of(&unit.data)).await;
        handle.stop();
        handle.stop();
        sent
    };
    let (ended, sent) = futures::join!(soon(worker.run()), test);
    assert_eq!(ended, Ok(()));
    let rate = |event: &Event| if let Event::BulkRate { bytes_per_s } = event { Some(*bytes_per_s) } else { None };
    (sent, events.all().iter().filter_map(rate).collect())
}

/// The most that the relay sends when a source delivers: what comes before a worker has heard of it, the hashes, and the
/// pairs of the first range.
fn spared(len: usize) -> u64 {
    INITIAL_BLOB_CREDIT + 2 * 64 * len.div_ceil(BLOB_GROUP_LEN) as u64
}

/// With a bad source alone, and with a good one beside it. Returns the bad one after each.
async fn beside_a_good_one(unit: &VectorUnit, manners: Manners) -> [Server; 2] {
    let len = unit.data.len();
    let alone = Server::start(unit.data.clone(), manners.clone()).await;
    let sent = fetch(unit, &[&alone]).await;
    assert!(sent > spared(len), "{manners:?} alone: the relay helps out, {sent} of {len} bytes");
    let (bad, good) = (
        Server::start(unit.data.clone(), manners.clone()).await,
        Server::start(unit.data.clone(), Manners::Good).await,
    );
    let sent = fetch(unit, &[&bad, &good]).await;
    assert!(sent <= spared(len), "{manners:?} beside a good one: {sent} of {len} bytes by the relay");
    assert!(good.requests() > 0);
    [alone, bad]
}

#[tokio::test]
async fn a_good_source_leaves_the_relay_the_beginning_and_the_hashes() {
    let unit = large_unit(6 << 20);
    let server = Server::start(unit.data.clone(), Manners::Good).await;
    let sent = fetch(&unit, &[&server]).await;
    assert!(sent <= spared(unit.data.len()), "{sent} bytes");
    let rest = unit.data.len() as u64 - INITIAL_BLOB_CREDIT;
    assert_eq!(server.sent(), rest, "nothing is fetched twice");
}

#[tokio::test]
async fn several_sources_share_the_work() {
    let unit = large_unit(6 << 20);
    let one = Server::start(unit.data.clone(), Manners::Good).await;
    let two = Server::start(unit.data.clone(), Manners::Good).await;
    let sent = fetch(&unit, &[&one, &two]).await;
    assert!(sent <= spared(unit.data.len()), "{sent} bytes");
    assert!(one.sent() > 0 && two.sent() > 0);
    assert_eq!(one.sent() + two.sent(), unit.data.len() as u64 - INITIAL_BLOB_CREDIT);
}

#[tokio::test]
async fn a_flipped_bit_is_caught_at_its_group_and_the_source_dropped() {
    let unit = large_unit(4 << 20);
    // In the last range, which is asked for first.
    let offset = unit.data.len() as u64 - 1;
    for server in beside_a_good_one(&unit, Manners::Flipped(offset)).await {
        assert!(server.requests() <= LANES, "{} requests", server.requests());
    }
}

#[tokio::test]
async fn what_was_right_before_a_flipped_bit_is_kept() {
    let unit = large_unit(1 << 20);
    // One range remains after the first, and its last group is wrong: all before it is kept.
    let server = Server::start(unit.data.clone(), Manners::Flipped(unit.data.len() as u64 - 1)).await;
    let sent = fetch(&unit, &[&server]).await;
    let last = BLOB_GROUP_LEN as u64;
    assert!(sent <= spared(unit.data.len()) + last, "{sent} bytes: the relay sends that group again and no other");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_source_without_ranges_or_without_the_blob_is_dropped_at_once() {
    let unit = large_unit(2 << 20);
    for manners in [Manners::Whole, Manners::Missing, Manners::Excess] {
        for server in beside_a_good_one(&unit, manners.clone()).await {
            assert!(server.requests() <= LANES, "{manners:?}: {} requests", server.requests());
        }
    }
}

#[tokio::test]
async fn a_source_that_ends_early_is_given_a_few_chances() {
    let unit = large_unit(4 << 20);
    for server in beside_a_good_one(&unit, Manners::Short).await {
        assert!(server.requests() <= 3 * LANES, "{} requests", server.requests());
        assert!(server.sent() > 0);
    }
}

#[tokio::test]
async fn a_redirect_away_from_https_is_not_followed() {
    let unit = large_unit(2 << 20);
    let other = Server::start(unit.data.clone(), Manners::Good).await;
    for server in beside_a_good_one(&unit, Manners::Elsewhere(other.url.clone())).await {
        assert!((1..=LANES).contains(&server.requests()), "{} requests", server.requests());
    }
    assert_eq!(other.requests(), 0);
}

/// Takes as long as a slow source is waited for.
#[tokio::test]
async fn a_slow_source_is_left_behind() {
    let unit = large_unit(512 << 10);
    let server = Server::start(unit.data.clone(), Manners::Slow).await;
    fetch(&unit, &[&server]).await;
    assert_eq!(server.requests(), 1);
    assert!(
        server.sent() < unit.data.len() as u64 - INITIAL_BLOB_CREDIT * 4 / 3 + (64 << 10),
        "{} bytes",
        server.sent()
    );
}

#[tokio::test]
async fn sources_on_this_machine_are_not_asked_for_a_relay_elsewhere() {
    let unit = large_unit(2 << 20);
    let server = Server::start(unit.data.clone(), Manners::Good).await;
    let mut relay = Relay::start().await;
    relay.store.add(&unit);
    relay.store.name_sources(vec![server.url.clone()]);
    let (worker, handle, _) = worker(config(&relay));
    let worker = worker.with_http(Rc::new(NativeHttp::new(Reach::Anywhere).unwrap()));
    let test = async {
        let mut peer = relay.welcome().await;
        peer.lease(LEASE, &unit).await;
        let _: Commit = peer.receive_past_requests().await;
        handle.stop();
        handle.stop();
    };
    let (ended, ()) = futures::join!(soon(worker.run()), test);
    assert_eq!((ended, server.requests()), (Ok(()), 0));
}

#[tokio::test]
async fn only_a_large_blob_that_the_relay_alone_sent_tells_how_fast_its_connection_is() {
    let (small, large) = (large_unit(1 << 20), large_unit(6 << 20));
    assert!(fetch_and_tell(&small, &[]).await.1.is_empty());
    let rates = fetch_and_tell(&large, &[]).await.1;
    assert!(matches!(rates[..], [rate] if rate > 0), "{rates:?}");
    let server = Server::start(large.data.clone(), Manners::Good).await;
    assert!(fetch_and_tell(&large, &[&server]).await.1.is_empty());
}

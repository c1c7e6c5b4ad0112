//! Downloads against a relay over memory: several streams, several waiters, limits, restarts.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _};
use libp2p::{
    StreamProtocol, Swarm, Transport as _,
    core::{transport::MemoryTransport, upgrade::Version},
    noise, swarm, yamux,
};
use shoal_transport::{
    blob::{Blob, BlobSource, serve},
    peer, streams,
};
use shoal_wire::version::BLOB_PROTOCOL;

use super::*;
use crate::{platform::TokioPlatform, storage::DiskStorage};

const LEN: usize = 12 << 20;

/// Streams open at once at the sending end, where the last of one that has ended may come after the first of its successor.
const LANES: std::ops::Range<usize> = FETCH_LANES..2 * FETCH_LANES;

/// What a transfer over memory may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One blob, and what was sent of it.
struct Serving {
    blob: Blob,
    sent: AtomicU64,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl BlobSource for Serving {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        (self.blob.id() == *id).then(|| self.blob.clone())
    }
}

impl Serving {
    async fn serve(&self, stream: swarm::Stream) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // A receiver that leaves breaks its streams; what came over those is not looked at.
        if let Ok(served) = serve(stream, self).await {
            self.sent.fetch_add(served.sent, Ordering::SeqCst);
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    /// Bytes of slices sent, once no transfer is under way.
    async fn sent(&self) -> u64 {
        while self.now.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.sent.load(Ordering::SeqCst)
    }
}

fn node(seed: u8) -> Swarm<streams::Behaviour> {
    let key = peer::keypair(&[seed; 32]);
    let transport = MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    Swarm::new(transport, streams::Behaviour::new(), key.public().to_peer_id(), config)
}

fn drive(mut swarm: Swarm<streams::Behaviour>) {
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}

/// A relay with one blob, and a worker's fetcher and streams connected to it.
async fn connected(len: usize, rate: Option<u64>) -> (Arc<Serving>, Fetcher<TokioPlatform>, Control, Wanted) {
    let bytes: Vec<u8> = (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (sent, now, most) = <_>::default();
    let serving = Arc::new(Serving { blob: Blob::new(bytes), sent, now, most });
    let (mut relay, mut worker) = (node(1), node(2));
    relay.listen_on("/memory/0".parse().unwrap()).unwrap();
    let address = loop {
        if let swarm::SwarmEvent::NewListenAddr { address, .. } = relay.select_next_some().await {
            break address;
        }
    };
    let mut incoming = relay.behaviour().new_control().accept(StreamProtocol::new(BLOB_PROTOCOL)).unwrap();
    let accepting = serving.clone();
    tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            let serving = accepting.clone();
            tokio::spawn(async move { serving.serve(stream).await });
        }
    });
    let name = *relay.local_peer_id();
    drive(relay);
    worker.dial(address.with_p2p(name).unwrap()).unwrap();
    while !worker.is_connected(&name) {
        worker.select_next_some().await;
    }
    let control = worker.behaviour().new_control();
    drive(worker);
    let platform = TokioPlatform::new();
    let down = Limiter::new(platform.clone(), rate).unwrap();
    let fetcher = Fetcher::new(platform, name, Cache::new(0), down, Transfers::default(), false);
    let wanted = Wanted { blob: "data", id: serving.blob.id(), max_len: len as u64 };
    (serving, fetcher, control, wanted)
}

/// Whether so much is the blob once, with the hash pairs of its slices.
fn is_once(sent: u64) -> bool {
    (LEN as u64..LEN as u64 + LEN as u64 / 100).contains(&sent)
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

#[tokio::test]
async fn several_streams_work_on_one_blob() {
    let (serving, fetcher, control, wanted) = connected(LEN, None).await;
    let input = soon(fetcher.fetch(&control, wanted)).await.unwrap();
    assert_eq!((&input.bytes, input.fetched), (serving.blob.bytes(), LEN as u64));
    let sent = soon(serving.sent()).await;
    assert!(is_once(sent), "{sent} bytes");
    assert!(LANES.contains(&serving.most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn two_waiters_share_one_download() {
    let (serving, fetcher, control, wanted) = connected(LEN, None).await;
    let both = futures::future::join(fetcher.fetch(&control, wanted), fetcher.fetch(&control, wanted));
    let (one, two) = soon(both).await;
    assert_eq!((one.unwrap().bytes, two.unwrap().bytes), (serving.blob.bytes().clone(), serving.blob.bytes().clone()));
    let sent = soon(serving.sent()).await;
    assert!(is_once(sent), "{sent} bytes");
    assert!(LANES.contains(&serving.most.load(Ordering::SeqCst)), "together no more than one alone");
}

#[tokio::test]
async fn a_waiter_that_leaves_takes_nothing_with_it() {
    // Slow enough to be looked at halfway.
    let (serving, fetcher, control, wanted) = connected(LEN, Some(20_000_000)).await;
    let mut left = fetcher.fetch(&control, wanted).boxed_local();
    let half = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let verified = fetcher.transfers.download(&wanted.id).map_or(0, |download| download.verified_len());
            if verified > LEN as u64 / 2 {
                break verified;
            }
        }
    };
    let verified = match soon(futures::future::select(half.boxed_local(), &mut left)).await {
        futures::future::Either::Left((verified, _)) => verified,
        futures::future::Either::Right(_) => panic!("the whole came between two looks"),
    };
    drop(left);
    let input = soon(fetcher.fetch(&control, wanted)).await.unwrap();
    assert_eq!(&input.bytes, serving.blob.bytes());
    assert!(input.fetched <= LEN as u64 - verified, "{} bytes after {verified}", input.fetched);
}

/// That a limit is kept shows in a time that no machine can be too slow for.
#[tokio::test]
async fn a_limit_holds_for_all_streams_together() {
    let rate = 8_000_000;
    let (serving, fetcher, control, wanted) = connected(LEN, Some(rate)).await;
    let begun = Instant::now();
    soon(fetcher.fetch(&control, wanted)).await.unwrap();
    let elapsed = begun.elapsed().as_secs_f64();
    let sent = soon(serving.sent()).await;
    assert!(sent as f64 <= rate as f64 * (elapsed + 0.25) + 1.0, "{sent} bytes in {elapsed} s");
}

#[tokio::test]
async fn a_restart_goes_on_with_the_pieces_on_disk() {
    let len = 100 << 20;
    let folder = tempfile::tempdir().unwrap();
    let disk = || Box::new(DiskStorage::open(folder.path().to_owned()).unwrap());
    // Slow enough for any disk to keep some pieces before the whole is here.
    let (_, mut fetcher, control, wanted) = connected(len, Some(20_000_000)).await;
    fetcher.cache_mut().open_storage(disk(), u64::MAX).await;
    let fetching = fetcher.fetch(&control, wanted).boxed_local();
    let some = async {
        while fetcher.cache.stored().unwrap().pieces(&wanted.id).len() < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = soon(futures::future::select(some.boxed_local(), fetching)).await;
    assert!(matches!(ended, futures::future::Either::Left(_)), "the whole came before 10 pieces were kept");
    drop(ended);
    drop(fetcher);

    let (serving, mut fetcher, control, wanted) = connected(len, None).await;
    fetcher.cache_mut().open_storage(disk(), u64::MAX).await;
    let kept = fetcher.cache.stored().unwrap().pieces(&wanted.id).len() as u64 * (1 << 20);
    assert!((10 << 20..len as u64).contains(&kept), "{kept} bytes were kept");
    let input = soon(fetcher.fetch(&control, wanted)).await.unwrap();
    assert_eq!((&input.bytes, input.fetched), (serving.blob.bytes(), len as u64 - kept));
    let sent = soon(serving.sent()).await;
    assert!(sent <= input.fetched + len as u64 / 100, "{sent} bytes were sent again, {} were missing", input.fetched);
}

//! A small question and its answer while bulk fills every lane both ways: how much bulk goes ahead of them. Amounts are
//! judged, not clocks.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

#[path = "common/nodes.rs"]
mod nodes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::swarm::Stream;
use shoal_netem::Conditions;
use shoal_transport::race::Kind;
use tokio::task::JoinSet;

use nodes::{PATIENCE, connected, stream};

const KIB: u64 = 1024;
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// As many as a worker fetches a blob by.
const LANES: usize = 4;

const QUESTIONS: usize = 25;

/// About a lease's or a commitment's.
const QUESTION_LEN: usize = 300;

/// Bulk that has arrived, by direction.
#[derive(Default)]
struct Bulk {
    to_listener: AtomicU64,
    to_dialler: AtomicU64,
}

impl Bulk {
    fn arrived(&self) -> [u64; 2] {
        [self.to_listener.load(Ordering::Relaxed), self.to_dialler.load(Ordering::Relaxed)]
    }
}

/// Writes for ever.
async fn pour(mut writer: impl futures::AsyncWrite + Unpin) {
    let chunk = vec![7; 64 * 1024];
    while writer.write_all(&chunk).await.is_ok() {}
}

/// Reads for ever, counting.
async fn drain(mut reader: impl futures::AsyncRead + Unpin, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
        count(len as u64);
    }
}

async fn answer(mut stream: Stream) {
    let mut question = [0; QUESTION_LEN];
    while stream.read_exact(&mut question).await.is_ok() {
        stream.write_all(&question).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// Bulk that arrived between a question and its answer, by direction: the median of all questions, because one that is lost
/// waits for its retransmission, not for bulk.
async fn bulk_ahead(kind: Kind, path: Option<Conditions>) -> [u64; 2] {
    let (listener, dialler, _proxy) = connected(kind, path).await;
    for end in [&listener, &dialler] {
        end.when(|_| true).await;
    }
    let bulk = Arc::new(Bulk::default());
    let mut tasks = JoinSet::new();
    let [mut asking, answering] = stream(&dialler, &listener).await;
    tasks.spawn(answer(answering));
    for _ in 0..LANES {
        let [dialled, accepted] = stream(&dialler, &listener).await;
        let ((from_listener, to_listener), (from_dialler, to_dialler)) = (dialled.split(), accepted.split());
        tasks.spawn(pour(to_listener));
        tasks.spawn(pour(to_dialler));
        let counted = bulk.clone();
        tasks.spawn(drain(from_dialler, move |len| {
            counted.to_listener.fetch_add(len, Ordering::Relaxed);
        }));
        let counted = bulk.clone();
        tasks.spawn(drain(from_listener, move |len| {
            counted.to_dialler.fetch_add(len, Ordering::Relaxed);
        }));
    }
    // Queues are as full as they get once some of what was queued first has arrived.
    let deadline = Instant::now() + PATIENCE;
    while bulk.arrived().iter().any(|arrived| *arrived < 1024 * KIB) {
        assert!(Instant::now() < deadline, "{:?} bytes have arrived", bulk.arrived());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut ahead = [Vec::new(), Vec::new()];
    for _ in 0..QUESTIONS {
        let before = bulk.arrived();
        asking.write_all(&[1; QUESTION_LEN]).await.unwrap();
        asking.flush().await.unwrap();
        asking.read_exact(&mut [0; QUESTION_LEN]).await.unwrap();
        let after = bulk.arrived();
        for direction in [0, 1] {
            ahead[direction].push(after[direction] - before[direction]);
        }
    }
    tasks.shutdown().await;
    ahead.map(|mut direction| {
        direction.sort_unstable();
        direction[QUESTIONS / 2]
    })
}

async fn at_most(kind: Kind, path: Option<Conditions>, bound: u64) {
    let ahead = tokio::time::timeout(2 * PATIENCE, bulk_ahead(kind, path)).await.expect("questions are answered");
    println!("{kind:?}: {} KiB up, {} KiB down", ahead[0] / KIB, ahead[1] / KIB);
    assert!(ahead.iter().all(|bytes| *bytes <= bound), "{kind:?}: {ahead:?} bytes went ahead, {bound} may");
}

/// SCTP has one queue, so what is unsent must be little, and small messages must not wait for bulk's turn to write.
#[tokio::test(flavor = "multi_thread")]
async fn over_webrtc_and_a_lossy_path() {
    at_most(Kind::WebRtc, Some(Conditions::new(ROUND_TRIP, 10)), 512 * KIB).await;
}

/// QUIC takes turns between streams.
#[tokio::test(flavor = "multi_thread")]
async fn over_quic_and_a_long_path() {
    at_most(Kind::Quic, Some(Conditions::new(ROUND_TRIP, 0)), 4096 * KIB).await;
}

/// Yamux takes turns between streams; below it are the sockets' buffers. A proxy has buffers of its own, several megabytes
/// in all, so there is none.
#[tokio::test(flavor = "multi_thread")]
async fn over_tcp() {
    at_most(Kind::Tcp, None, 4096 * KIB).await;
}

/// As over TCP, with WebSocket's messages between.
#[tokio::test(flavor = "multi_thread")]
async fn over_websocket() {
    at_most(Kind::WebSocket, None, 4096 * KIB).await;
}

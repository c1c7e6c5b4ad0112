//! A large blob over native WebRTC whose connection is cut again and again: what was verified is not fetched again.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod common;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use common::{Store, sample};
use futures::{AsyncRead, AsyncWrite, StreamExt as _, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    core::{Transport as _, muxing::StreamMuxerBox},
    identity::Keypair,
    multiaddr::Protocol,
    swarm::{Stream, SwarmEvent},
};
use shoal_transport::{
    blob::{Blob, Claim, Download, FetchError, SliceError, Unlimited, serve},
    streams,
    webrtc::native::{Certificate, Config, Transport},
};
use shoal_wire::{
    limits::{BLOB_GROUP_LEN, MAX_BLOB_CHUNK},
    version::BLOB_PROTOCOL,
};

const MIB: u64 = 1024 * 1024;
const LEN: u64 = 100 * MIB;
const CUTS: u64 = 5;
const LANES: usize = 4;

/// Bytes that are surely of the blob when they are found in it.
const WITNESS: usize = 64;
const NEVER: u64 = u64::MAX;

/// The stretch in which a bit is flipped.
const FLIPPED: u64 = 3;

/// What a transfer over a slow machine may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn swarm() -> Swarm<streams::Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity: &Keypair| {
            let config = Config { identity: identity.clone(), certificate: Certificate::generate().unwrap() };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })
        .unwrap()
        .with_behaviour(|_| streams::Behaviour::new())
        .unwrap()
        .build()
}

/// Serves a blob by webrtc-direct until the runtime ends.
async fn server(blob: &Blob) -> Multiaddr {
    let mut swarm = swarm();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    };
    let mut incoming = swarm.behaviour().new_control().accept(StreamProtocol::new(BLOB_PROTOCOL)).unwrap();
    let store = Arc::new(Store::with(blob));
    tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            let store = store.clone();
            // The connections are cut: most of these fail.
            tokio::spawn(async move { serve(stream, &*store).await });
        }
    });
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
    address
}

/// Bytes read by all streams, and the count from which on one bit is to be flipped.
struct Wire {
    blob: Blob,
    read: AtomicU64,
    flip_at: AtomicU64,
}

impl Wire {
    /// Notes what was read, and flips a bit of it when that is due.
    fn pass(&self, bytes: &mut [u8]) {
        let read = self.read.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        if read < self.flip_at.load(Ordering::SeqCst) {
            return;
        }
        // Neither a frame's length nor a hash, but bytes between bytes of the blob.
        let inner = |at: &usize| self.blob.bytes().windows(WITNESS).any(|part| part == &bytes[*at..at + WITNESS]);
        if let Some(at) = (0..bytes.len().saturating_sub(WITNESS)).step_by(WITNESS).take(4).find(inner) {
            bytes[at + WITNESS / 2] ^= 1;
            self.flip_at.store(NEVER, Ordering::SeqCst);
        }
    }
}

/// A stream whose reads the wire sees.
struct Counted {
    stream: Stream,
    wire: Arc<Wire>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<std::io::Result<usize>> {
        let len = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        self.wire.pass(&mut out[..len]);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// Receives claims over a connection of its own until so much is verified, then cuts it with everything on it. Returns how
/// streams failed before that.
async fn connection(download: &Download, address: &Multiaddr, until: u64, wire: &Arc<Wire>) -> Vec<FetchError> {
    let mut swarm = swarm();
    let named = address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None });
    let peer: PeerId = named.unwrap();
    swarm.dial(address.clone()).unwrap();
    let control = swarm.behaviour().new_control();
    let (mut running, mut errors) = (FuturesUnordered::new(), Vec::new());
    let receive = |claim: Claim| {
        let (control, wire) = (control.clone(), wire.clone());
        async move {
            let stream = control.open_stream(peer, StreamProtocol::new(BLOB_PROTOCOL)).await.unwrap();
            claim.receive(Counted { stream, wire }, &Unlimited).await
        }
    };
    while !swarm.is_connected(&peer) {
        if let SwarmEvent::OutgoingConnectionError { error, .. } = swarm.select_next_some().await {
            panic!("{error}");
        }
    }
    // Groups arrive between the ends of streams too.
    let mut look = tokio::time::interval(Duration::from_millis(1));
    while download.verified_len() < until && !download.is_finished() {
        running.extend(std::iter::from_fn(|| download.claim()).map(receive));
        tokio::select! {
            Some(ended) = running.next() => errors.extend(ended.err()),
            _ = swarm.select_next_some() => {}
            _ = look.tick() => {}
        }
    }
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_survives_five_cut_connections_and_a_flipped_bit() {
    let blob = sample(LEN as usize);
    let address = server(&blob).await;
    let download = Download::new(blob.id(), LEN).with_lanes(LANES);
    let wire = Arc::new(Wire { blob: blob.clone(), read: AtomicU64::new(0), flip_at: AtomicU64::new(NEVER) });
    tokio::time::timeout(PATIENCE, async {
        for cut in 1..=CUTS {
            let (before, until) = (download.verified_len(), cut * LEN / (CUTS + 1));
            if cut == FLIPPED {
                wire.flip_at.store(wire.read.load(Ordering::SeqCst) + (until - before) / 2, Ordering::SeqCst);
            }
            let errors = connection(&download, &address, until, &wire).await;
            let verified = download.verified_len();
            assert!((until..LEN).contains(&verified), "cut {cut} came with {verified} bytes verified");
            match &errors[..] {
                [] if cut != FLIPPED => {}
                [FetchError::Slice(SliceError::GroupMismatch { .. })] if cut == FLIPPED => {}
                other => panic!("stretch {cut}: {other:?}"),
            }
        }
        assert!(connection(&download, &address, LEN, &wire).await.is_empty());
    })
    .await
    .unwrap();
    assert_eq!(download.bytes().unwrap(), *blob.bytes());

    // Hash pairs and frames take half a percent. A cut or a wrong bit costs what was under way in a lane: a group that was
    // not whole, and the rest of the chunk behind a wrong one. Nothing else comes twice.
    let read = wire.read.load(Ordering::SeqCst);
    let lost = (CUTS * LANES as u64 + 1) * (MAX_BLOB_CHUNK + BLOB_GROUP_LEN) as u64;
    println!("{read} bytes were read for {LEN}, {} more", read - LEN);
    assert!(read <= LEN + LEN / 100 + lost, "{read} bytes for {LEN}");
}

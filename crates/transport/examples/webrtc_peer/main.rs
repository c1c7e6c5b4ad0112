//! Both ends of a webrtc-direct connection for the tests in `tests/transport`.
//!
//! `webrtc_peer listen MULTIADDR BLOB_BYTES` is a relay: it listens, prints what happens a line each, and answers three
//! protocols: echo, blobs (it has one, of that size), and "take", by which a peer makes it fetch a blob from that peer.
//! `webrtc_peer dial MULTIADDR VERSION BYTES` dials a listener by that version of webrtc-direct and echoes so many bytes off
//! it. For WebAssembly it is a module for a dedicated worker that dials a relay and uses all protocols from the other side.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

#[cfg(not(target_arch = "wasm32"))]
mod dial;
#[cfg(not(target_arch = "wasm32"))]
mod relay;
#[cfg(target_arch = "wasm32")]
pub mod tab;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{PeerId, ping};
use shoal_transport::blob::{Blob, BlobSource};
use shoal_transport::streams;
use shoal_transport::webrtc::limits::MAX_UNREAD_PER_STREAM;
use shoal_wire::ids::BlobId;
use shoal_wire::version::BLOB_PROTOCOL;

/// Everything comes back.
const ECHO: StreamProtocol = StreamProtocol::new("/shoal/test/echo/1");
/// Blobs, as the network itself moves them.
const BLOBS: StreamProtocol = StreamProtocol::new(BLOB_PROTOCOL);
/// A blob's id goes one way; when the other side has fetched it, the hash of what it got comes back.
const TAKE: StreamProtocol = StreamProtocol::new("/shoal/test/take/1");
/// Most bytes under way in an echo: half of what a stream holds unread, should one direction be slower than the other.
const ECHO_WINDOW: usize = MAX_UNREAD_PER_STREAM / 2;
/// Most that either side fetches, in bytes: the largest size a test uses.
const MAX_BLOB: u64 = 64 * 1024 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    stream: streams::Behaviour,
}

impl Behaviour {
    fn new() -> Self {
        let ping = ping::Config::new().with_interval(std::time::Duration::from_millis(500));
        Self { ping: ping::Behaviour::new(ping), stream: streams::Behaviour::new() }
    }
}

/// Bytes that do not repeat with any power of two, so that a part that is lost or misplaced is seen. The same on both sides,
/// whatever the width of `usize`.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i ^ (i >> 16)).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The one blob of a side.
#[derive(Clone)]
struct OneBlob(Blob);

impl BlobSource for OneBlob {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        (*id == self.0.id()).then(|| self.0.clone())
    }
}

/// Sends `len` bytes to `peer` and checks that they come back.
async fn echo_off(control: streams::Control, peer: PeerId, len: usize) -> Result<(), String> {
    let stream = control.open_stream(peer, ECHO).await.map_err(|error| error.to_string())?;
    let (mut read, mut write) = stream.split();
    let mut back = Vec::new();
    let sent = pattern(len);
    let echoed = async {
        for part in sent.chunks(ECHO_WINDOW) {
            let send = async {
                write.write_all(part).await?;
                write.flush().await
            };
            let mut got = vec![0; part.len()];
            futures::try_join!(send, read.read_exact(&mut got))?;
            back.extend(got);
        }
        write.close().await?;
        read.read_to_end(&mut back).await
    };
    echoed.await.map_err(|error| error.to_string())?;
    if back == sent { Ok(()) } else { Err(format!("{} bytes came back wrong", back.len())) }
}

/// Sends everything back that comes on `stream`.
async fn echo_back<S: AsyncRead + AsyncWrite>(stream: S) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    futures::io::copy(read, &mut write).await?;
    write.close().await
}

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["listen", address, blob_bytes] => relay::run(address, blob_bytes.parse()?).await,
        ["dial", address, version, bytes] => dial::run(address, version, bytes.parse()?).await,
        _ => Err("usage: listen MULTIADDR BLOB_BYTES, or dial MULTIADDR VERSION BYTES".into()),
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {}

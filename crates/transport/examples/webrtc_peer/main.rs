//! Both ends of a webrtc-direct connection for the tests in `tests/transport`.
//!
//! Natively it is a relay: it listens, prints what happens a line each, and answers three protocols: echo, blobs (it has
//! one, of the size that its command line names), and "take", by which a peer makes it fetch a blob from that peer. For
//! WebAssembly it is a module for a dedicated worker that dials a relay and uses these protocols from the other side.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

#[cfg(not(target_arch = "wasm32"))]
mod relay;
#[cfg(target_arch = "wasm32")]
pub mod tab;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;
use libp2p::ping;
use libp2p::swarm::NetworkBehaviour;
use libp2p_stream as stream;
use shoal_transport::blob::{Blob, BlobSource};
use shoal_wire::ids::BlobId;
use shoal_wire::version::BLOB_PROTOCOL;

/// Everything comes back.
const ECHO: StreamProtocol = StreamProtocol::new("/shoal/test/echo/1");
/// Blobs, as the network itself moves them.
const BLOBS: StreamProtocol = StreamProtocol::new(BLOB_PROTOCOL);
/// A blob's id goes one way; when the other side has fetched it, the hash of what it got comes back.
const TAKE: StreamProtocol = StreamProtocol::new("/shoal/test/take/1");
/// Most that either side fetches, in bytes: the largest size a test uses.
const MAX_BLOB: u64 = 64 * 1024 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    stream: stream::Behaviour,
}

impl Behaviour {
    fn new() -> Self {
        let ping = ping::Config::new().with_interval(std::time::Duration::from_millis(500));
        Self { ping: ping::Behaviour::new(ping), stream: stream::Behaviour::new() }
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

/// Sends everything back that comes on `stream`.
async fn echo_back<S: AsyncRead + AsyncWrite>(stream: S) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    futures::io::copy(read, &mut write).await?;
    write.close().await
}

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    relay::run().await
}

#[cfg(target_arch = "wasm32")]
fn main() {}

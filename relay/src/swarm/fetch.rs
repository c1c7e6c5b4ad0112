//! Fetching a worker's outputs.

use std::{sync::Arc, time::Duration};

use libp2p::{PeerId, StreamProtocol};
use shoal_transport::{
    blob::{Download, FetchError},
    peer::node_id,
    streams::Control,
};
use shoal_wire::{ids::BlobId, version::BLOB_PROTOCOL};

use crate::context::Context;

/// Streams tried in a row that bring nothing new. A worker serves a few blobs at once and drops the streams beyond them, but
/// takes the next one a moment later.
const MAX_FRUITLESS_ATTEMPTS: u32 = 8;

/// Pause before the second attempt; doubles with each fruitless one, up to some seconds with the limit above.
const RETRY: Duration = Duration::from_millis(25);

/// Opens blob streams to workers.
#[derive(Clone)]
pub struct Fetcher {
    control: Control,
    context: Arc<Context>,
}

impl Fetcher {
    pub(super) fn new(control: Control, context: Arc<Context>) -> Self {
        Self { control, context }
    }

    /// The blob of exactly `len` bytes, or `None` if the worker does not deliver it in time.
    pub async fn fetch(&self, peer: PeerId, id: BlobId, len: u64, within: Duration) -> Option<Vec<u8>> {
        let download = Download::new(id, len);
        match tokio::time::timeout(within, self.run(&download, peer)).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tracing::info!(%peer, blob = %id, reason, "output not delivered"),
            Err(_) => tracing::info!(%peer, blob = %id, verified = download.verified_len(), "output too slow"),
        }
        self.context.metrics.blob_in(download.verified_len());
        download.into_bytes()
    }

    /// Resumes as long as the worker is there and attempts bring something.
    async fn run(&self, download: &Download, peer: PeerId) -> Result<(), String> {
        let mut fruitless = 0;
        loop {
            let before = download.verified_len();
            let reason = match self.attempt(download, peer).await {
                Ok(()) => return Ok(()),
                Err(Attempt::Broken(reason)) => reason,
                Err(Attempt::Wrong(reason)) => return Err(reason),
            };
            fruitless = if download.verified_len() > before { 0 } else { fruitless + 1 };
            let gone = !node_id(&peer).is_ok_and(|node| self.context.is_connected(&node));
            if gone || fruitless >= MAX_FRUITLESS_ATTEMPTS {
                return Err(reason);
            }
            tokio::time::sleep(RETRY * 2_u32.pow(fruitless)).await;
        }
    }

    async fn attempt(&self, download: &Download, peer: PeerId) -> Result<(), Attempt> {
        let stream = self.control.clone().open_stream(peer, StreamProtocol::new(BLOB_PROTOCOL)).await;
        let stream = stream.map_err(|error| Attempt::Broken(error.to_string()))?;
        download.run(stream).await.map_err(|error| match error {
            FetchError::Framed(_) | FetchError::Closed { .. } => Attempt::Broken(error.to_string()),
            // A worker that lies about its own output is not asked again.
            other => Attempt::Wrong(other.to_string()),
        })
    }
}

/// Why an attempt failed.
enum Attempt {
    /// The link or the stream broke: another may do better.
    Broken(String),
    /// The worker does not have the blob or sends something else.
    Wrong(String),
}

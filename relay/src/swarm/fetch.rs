//! Fetching a worker's outputs.

use std::{sync::Arc, time::Duration};

use libp2p::{PeerId, StreamProtocol};
use shoal_transport::blob::{Download, FetchError};
use shoal_wire::{ids::BlobId, version::BLOB_PROTOCOL};

use crate::context::Context;

/// Streams tried for one output: a second one resumes where the first broke.
const ATTEMPTS: u32 = 3;

/// Opens blob streams to workers.
#[derive(Clone)]
pub struct Fetcher {
    control: libp2p_stream::Control,
    context: Arc<Context>,
}

impl Fetcher {
    pub(super) fn new(control: libp2p_stream::Control, context: Arc<Context>) -> Self {
        Self { control, context }
    }

    /// The blob of exactly `len` bytes, or `None` if the worker does not deliver it in time.
    pub async fn fetch(&self, peer: PeerId, id: BlobId, len: u64, within: Duration) -> Option<Vec<u8>> {
        let mut download = Download::new(id, len);
        let run = tokio::time::timeout(within, self.run(&mut download, peer)).await;
        match run {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tracing::info!(%peer, blob = %id, reason, "output not delivered"),
            Err(_) => tracing::info!(%peer, blob = %id, verified = download.verified_len(), "output too slow"),
        }
        self.context.metrics.blob_in(download.verified_len());
        download.into_bytes()
    }

    async fn run(&self, download: &mut Download, peer: PeerId) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let stream = self.control.clone().open_stream(peer, StreamProtocol::new(BLOB_PROTOCOL)).await;
            let stream = stream.map_err(|error| error.to_string())?;
            match download.run(stream).await {
                Ok(()) => return Ok(()),
                Err(error @ (FetchError::Framed(_) | FetchError::Closed { .. })) => last = error.to_string(),
                // A worker that lies about its own output is not asked again.
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(last)
    }
}

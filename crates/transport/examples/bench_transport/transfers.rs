//! Blobs both ends can make by themselves, and transfers of several at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::future::try_join_all;
use libp2p::PeerId;
use shoal_transport::blob::{self, Blob, BlobSource};
use shoal_transport::streams::Control;
use shoal_wire::ids::BlobId;
use shoal_wire::limits::MAX_BLOB_LEN;

use crate::protocol::BLOBS;

/// The blobs of one end, by the order they were made in and by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blobs(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    by_place: HashMap<(u32, u32), Blob>,
    by_id: HashMap<BlobId, Blob>,
}

impl Blobs {
    /// Has `count` blobs of `len` bytes, the same ones at both ends.
    pub(crate) fn prepare(&self, count: u32, len: u32) -> Vec<BlobId> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ids = Vec::new();
        for number in 0..count {
            let blob = match made.by_place.get(&(number, len)) {
                Some(blob) => blob.clone(),
                None => Blob::new(content(number, len)),
            };
            ids.push(blob.id());
            made.by_place.insert((number, len), blob.clone());
            made.by_id.insert(blob.id(), blob);
        }
        ids
    }
}

impl BlobSource for Blobs {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }
}

/// Bytes that nothing on the way can compress.
fn content(number: u32, len: u32) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Fetches all at once, a stream each, and returns when the last is there and verified.
pub(crate) async fn fetch_all(control: &Control, peer: PeerId, ids: &[BlobId]) -> Result<(), String> {
    let fetch_one = |id: BlobId| {
        let control = control.clone();
        async move {
            let stream = control.open_stream(peer, BLOBS).await.map_err(|error| error.to_string())?;
            blob::fetch(stream, id, MAX_BLOB_LEN).await.map_err(|error| error.to_string())
        }
    };
    try_join_all(ids.iter().copied().map(fetch_one)).await?;
    Ok(())
}

/// Serves whoever asks, each on a task of its own.
pub(crate) async fn serve_all(control: Control, blobs: Blobs, spawn: impl Fn(Transfer)) {
    let Ok(mut incoming) = control.accept(BLOBS) else { return };
    while let Some((_, stream)) = incoming.next().await {
        let blobs = blobs.clone();
        spawn(Box::pin(async move {
            if let Err(error) = blob::serve(stream, &blobs).await {
                tracing::warn!(%error, "a transfer failed");
            }
        }));
    }
}

/// One blob on its way out.
pub(crate) type Transfer = futures::future::BoxFuture<'static, ()>;

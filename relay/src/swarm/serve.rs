//! Serving blobs to workers that have a session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{PeerId, swarm::Stream};
use shoal_transport::streams::IncomingStreams;
use shoal_transport::{
    blob::{Blob, BlobSource, serve},
    peer::node_id,
};
use shoal_wire::{
    ids::BlobId,
    limits::{INITIAL_BLOB_CREDIT, MAX_BLOB_STREAMS_PER_PEER},
};

use crate::{config::SourceTemplate, context::Context};

/// Longest transfer: the largest blob at 2 Mbit/s. Whoever is slower resumes.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(1200);

/// Smallest blob that sources are named for, bytes. The relay sends the first quarter of this and the hashes in any case,
/// before a worker has heard of a source, and a connection to one costs several round trips.
const MIN_SOURCED_LEN: u64 = 4 * INITIAL_BLOB_CREDIT;

/// Takes blob requests for ever. Workers are told of `templates`.
pub(super) async fn accept(mut incoming: IncomingStreams, context: Arc<Context>, templates: Vec<SourceTemplate>) {
    let source = Arc::new(Source { context, templates });
    let open: Arc<Mutex<HashMap<PeerId, usize>>> = Arc::default();
    while let Some((peer, stream)) = incoming.next().await {
        // Whoever has no session gets nothing: the blobs of a private swarm are private, as over HTTP.
        let known = node_id(&peer).is_ok_and(|node| source.context.is_connected(&node));
        if !known || !enter(&open, peer) {
            continue;
        }
        let (source, open) = (source.clone(), open.clone());
        tokio::spawn(async move {
            transfer(&source, peer, stream).await;
            leave(&open, peer);
        });
    }
}

async fn transfer(source: &Source, peer: PeerId, stream: Stream) {
    match tokio::time::timeout(TRANSFER_TIMEOUT, serve(stream, source)).await {
        Ok(Ok(served)) => source.context.metrics.blob_out(served.sent),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "blob not served"),
        Err(_) => tracing::debug!(%peer, "blob transfer too slow"),
    }
}

fn enter(open: &Mutex<HashMap<PeerId, usize>>, peer: PeerId) -> bool {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let count = open.entry(peer).or_default();
    let free = *count < MAX_BLOB_STREAMS_PER_PEER;
    *count += usize::from(free);
    free
}

fn leave(open: &Mutex<HashMap<PeerId, usize>>, peer: PeerId) {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = open.get_mut(&peer) {
        *count -= 1;
        if *count == 0 {
            open.remove(&peer);
        }
    }
}

struct Source {
    context: Arc<Context>,
    templates: Vec<SourceTemplate>,
}

impl BlobSource for Source {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        let blob = self.context.hashed.get(*id).await;
        blob.inspect_err(|error| tracing::error!(%error, "blob")).ok().flatten()
    }

    fn sources(&self, blob: &Blob) -> Vec<String> {
        if (blob.bytes().len() as u64) < MIN_SOURCED_LEN {
            return Vec::new();
        }
        self.templates.iter().map(|template| template.url(&blob.id())).collect()
    }
}

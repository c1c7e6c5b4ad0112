//! Getting a unit's inputs: from the cache, from the relay over several streams at once, and from HTTPS sources that the
//! relay names.
//!
//! One [`Download`] a blob, kept over lost sessions and shared by whoever wants the blob meanwhile. Where there is a
//! storage, its whole pieces are kept as they arrive, so that the next run goes on where this one ended. Sources come
//! before the relay, whose uplink everybody shares; the relay is asked for the hashes to verify them, and for
//! everything that no source delivers.

mod source;
mod transfer;

use std::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;
use libp2p::PeerId;
use shoal_transport::{
    blob::{Download, FetchError, Throttle as _},
    streams::Control,
};
use shoal_wire::{ids::BlobId, proto::BlobRefusalCode};

use self::transfer::Transfer;
use crate::{
    cache::{Cache, StoredCache},
    http::HttpClient,
    limiter::Limiter,
    limits::{FETCH_ATTEMPT_TIMEOUT, FETCH_LANES, MIN_MEASURED_LEN},
    platform::Platform,
    transfers::Transfers,
};

/// Why an input did not arrive, whatever was tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{blob} {id}: {source}")]
    Fetch { blob: &'static str, id: BlobId, source: FetchError },
    #[error("{blob} {id}: no stream: {reason}")]
    NoStream { blob: &'static str, id: BlobId, reason: String },
    #[error("{blob} {id}: nothing came within {limit_s} s, {verified} bytes are here", limit_s = FETCH_ATTEMPT_TIMEOUT.as_secs())]
    Silent { blob: &'static str, id: BlobId, verified: u64 },
}

impl InputError {
    /// Whether another attempt may do better: not when the relay does not have the blob, or has another one than it says.
    fn is_passing(&self) -> bool {
        match self {
            Self::NoStream { .. } | Self::Silent { .. } => true,
            Self::Fetch { source, .. } => match source {
                FetchError::Framed(_) | FetchError::Closed { .. } | FetchError::Refused(BlobRefusalCode::Busy) => true,
                FetchError::Refused(_)
                | FetchError::Malformed(_)
                | FetchError::OutOfOrder { .. }
                | FetchError::TooLarge { .. }
                | FetchError::Shrunk { .. }
                | FetchError::Disputed { .. }
                | FetchError::Sources { .. }
                | FetchError::CreditExceeded { .. } => false,
                // Resuming keeps every good group; a link that flips bits is not the relay's fault.
                FetchError::Slice(_) => true,
            },
        }
    }
}

/// A blob that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What it is to the unit.
    pub(crate) blob: &'static str,
    pub(crate) id: BlobId,
    /// Longest that is taken, bytes.
    pub(crate) max_len: u64,
}

/// A blob that is here.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) bytes: Bytes,
    /// Bytes of it that came by the network now; zero if it was in the cache.
    pub(crate) fetched: u64,
    /// Bytes a second that the relay's connection carried, where it alone carried enough to tell.
    pub(crate) rate: Option<u64>,
}

/// Gets blobs.
pub(crate) struct Fetcher<P> {
    platform: P,
    relay: PeerId,
    cache: Cache,
    down: Limiter<P>,
    http: Option<Rc<dyn HttpClient>>,
    loopback_sources: bool,
    transfers: Transfers,
}

impl<P: Platform> Fetcher<P> {
    pub(crate) fn new(
        platform: P,
        relay: PeerId,
        cache: Cache,
        down: Limiter<P>,
        transfers: Transfers,
        loopback_sources: bool,
    ) -> Self {
        Self { platform, relay, cache, down, http: None, loopback_sources, transfers }
    }

    pub(crate) fn set_http(&mut self, http: Rc<dyn HttpClient>) {
        self.http = Some(http);
    }

    /// What is kept over runs, if anything.
    pub(crate) fn stored(&self) -> Option<&Rc<StoredCache>> {
        self.cache.stored()
    }

    /// The volunteer's limit on everything that comes.
    pub(crate) fn down(&self) -> &Limiter<P> {
        &self.down
    }

    pub(crate) fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// A blob, from wherever it can be had.
    pub(crate) async fn fetch(&self, control: &Control, wanted: Wanted) -> Result<Input, InputError> {
        if let Some(bytes) = self.cache.get(&wanted.id).await {
            return Ok(Input { bytes, fetched: 0, rate: None });
        }
        loop {
            let (download, restored) = self.download(&wanted).await;
            let before = download.verified_len();
            let (begun, unlimited) = (self.platform.now(), self.is_unlimited());
            let mut transfer = Transfer::new(self, control.clone(), wanted, download.clone(), &restored);
            let bytes = transfer.run().await?;
            let took = self.platform.now().saturating_sub(begun);
            self.transfers.finished(&wanted.id);
            transfer.saved().await;
            // Groups were verified as they came, but kept pieces only by a hash that whoever changed them could change too.
            if !download.has_restored() || BlobId::of(&bytes) == wanted.id {
                self.cache.put(wanted.id, bytes.clone()).await;
                let fetched = bytes.len() as u64 - before;
                let telling = fetched >= MIN_MEASURED_LEN && transfer.relay_alone && unlimited && self.is_unlimited();
                let rate = telling.then(|| (fetched as f64 / took.as_secs_f64()) as u64);
                return Ok(Input { bytes, fetched, rate });
            }
            tracing::warn!(blob = %wanted.id, "kept pieces were not of this blob");
            if let Some(stored) = self.cache.stored() {
                stored.forget_pieces(&wanted.id).await;
            }
        }
    }

    /// The download under way, or a new one with the pieces that were kept; and which those are.
    async fn download(&self, wanted: &Wanted) -> (Download, BTreeSet<u32>) {
        if let Some(download) = self.transfers.download(&wanted.id) {
            // Pieces of an earlier run may be in it.
            return (download, self.kept_pieces(&wanted.id));
        }
        let download = Download::new(wanted.id, wanted.max_len).with_lanes(FETCH_LANES);
        let mut restored = BTreeSet::new();
        if let Some(stored) = self.cache.stored() {
            for index in stored.pieces(&wanted.id) {
                if let Some(piece) = stored.piece(&wanted.id, index).await
                    && download.restore(index, piece.size, &piece.bytes)
                {
                    restored.insert(index);
                }
            }
        }
        self.transfers.keep(download.clone());
        (download, restored)
    }

    fn is_unlimited(&self) -> bool {
        self.down.burst() == u64::MAX
    }

    fn kept_pieces(&self, id: &BlobId) -> BTreeSet<u32> {
        self.cache.stored().map(|stored| stored.pieces(id).into_iter().collect()).unwrap_or_default()
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

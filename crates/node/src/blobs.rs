//! Getting a unit's inputs from the relay, and giving outputs to it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use libp2p::{PeerId, StreamProtocol};
use shoal_transport::{
    blob::{Blob, BlobSource, Download, FetchError},
    streams::Control,
};
use shoal_wire::{ids::BlobId, proto::BlobRefusalCode, version::BLOB_PROTOCOL};

use crate::{
    limits::{FETCH_ATTEMPT_TIMEOUT, FETCH_RETRY, MAX_FRUITLESS_ATTEMPTS, MAX_KEPT_OUTPUTS},
    platform::{Platform, timeout},
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

/// Fetches one blob of at most `max_len` bytes, resuming as long as attempts bring something new.
pub(crate) async fn fetch_input<P: Platform>(
    platform: &P,
    control: Control,
    relay: PeerId,
    blob: &'static str,
    id: BlobId,
    max_len: u64,
) -> Result<Bytes, InputError> {
    let mut download = Download::new(id, max_len);
    let mut fruitless = 0;
    loop {
        let before = download.verified_len();
        let attempt = async {
            let stream = control
                .open_stream(relay, StreamProtocol::new(BLOB_PROTOCOL))
                .await
                .map_err(|error| InputError::NoStream { blob, id, reason: error.to_string() })?;
            download.run(stream).await.map_err(|source| InputError::Fetch { blob, id, source })
        };
        let error = match timeout(platform, FETCH_ATTEMPT_TIMEOUT, attempt).await {
            Some(Ok(())) => {
                let bytes = download.into_bytes().expect("a run that succeeds finishes the transfer");
                return Ok(Bytes::from(bytes));
            }
            Some(Err(error)) => error,
            None => InputError::Silent { blob, id, verified: download.verified_len() },
        };
        fruitless = if download.verified_len() > before { 0 } else { fruitless + 1 };
        if fruitless >= MAX_FRUITLESS_ATTEMPTS || !is_passing(&error) {
            return Err(error);
        }
        tracing::debug!(%error, fruitless, "blob attempt failed, resuming");
        platform.sleep(FETCH_RETRY * 2_u32.pow(fruitless)).await;
    }
}

/// Whether another attempt may do better: not when the relay does not have the blob, or has another one than it says.
fn is_passing(error: &InputError) -> bool {
    match error {
        InputError::NoStream { .. } | InputError::Silent { .. } => true,
        InputError::Fetch { source, .. } => match source {
            FetchError::Framed(_) | FetchError::Closed { .. } | FetchError::Refused(BlobRefusalCode::Busy) => true,
            FetchError::Refused(_)
            | FetchError::Malformed(_)
            | FetchError::OutOfOrder { .. }
            | FetchError::TooLarge { .. }
            | FetchError::Shrunk { .. }
            | FetchError::CreditExceeded { .. } => false,
            // Resuming keeps every good group; a link that flips bits is not the relay's fault.
            FetchError::Slice(_) => true,
        },
    }
}

/// Outputs that the relay may fetch: those it has acknowledged a commitment to. The newest few are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs(Arc<Mutex<VecDeque<Blob>>>);

impl Outputs {
    pub(crate) fn reveal(&self, blob: Blob) {
        let mut kept = self.0.lock().expect("no panic while held");
        if kept.len() == MAX_KEPT_OUTPUTS {
            kept.pop_front();
        }
        kept.push_back(blob);
    }
}

impl BlobSource for Outputs {
    async fn blob(&self, id: &BlobId) -> Option<Blob> {
        self.0.lock().expect("no panic while held").iter().find(|blob| blob.id() == *id).cloned()
    }
}

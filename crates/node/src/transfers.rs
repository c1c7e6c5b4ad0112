//! The blobs under way, both directions: the worker keeps them here, whoever watches it looks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_transport::blob::Download;
use shoal_wire::ids::BlobId;

use crate::limits::MAX_KEPT_DOWNLOADS;

/// Clones are the same transfers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Unfinished ones, the latest last.
    downloads: Vec<Download>,
    uploads: u32,
}

impl Transfers {
    pub(crate) fn download(&self, id: &BlobId) -> Option<Download> {
        self.state().downloads.iter().find(|kept| kept.id() == *id).cloned()
    }

    /// Keeps a download until it is finished, or [`MAX_KEPT_DOWNLOADS`] others came after it.
    pub(crate) fn keep(&self, download: Download) {
        let downloads = &mut self.state().downloads;
        if downloads.len() == MAX_KEPT_DOWNLOADS {
            downloads.remove(0);
        }
        downloads.push(download);
    }

    pub(crate) fn finished(&self, id: &BlobId) {
        self.state().downloads.retain(|kept| kept.id() != *id);
    }

    /// Counts an upload for as long as the guard lives.
    pub(crate) fn upload(&self) -> Upload {
        self.state().uploads += 1;
        Upload(self.clone())
    }

    pub(crate) fn downloads(&self) -> Vec<Download> {
        self.state().downloads.clone()
    }

    pub(crate) fn uploads(&self) -> u32 {
        self.state().uploads
    }

    /// Nothing that holds the lock can panic halfway through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Transfers::upload`].
pub(crate) struct Upload(Transfers);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.state().uploads -= 1;
    }
}

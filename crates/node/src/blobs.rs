//! Giving outputs to the relay.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use shoal_transport::blob::{Blob, BlobSource};
use shoal_wire::ids::BlobId;

use crate::limits::MAX_KEPT_OUTPUTS;

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

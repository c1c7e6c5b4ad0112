//! What every part of the relay shares: the store, the key, the metrics, and who is told of progress.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError, RwLock},
};

use shoal_wire::{
    api::JoinInfo,
    envelope::NodeKey,
    ids::{JobId, NodeId},
};
use tokio::sync::broadcast;

use crate::{
    connections::Connections,
    metrics::Metrics,
    store::{Store, blobs::BlobStore, files::BlobFiles, hashed::HashedBlobs},
};

/// Progress notes a slow listener may lag behind. A note only says which job to look at again, so a listener that
/// misses some looks at its job at once and has missed nothing.
const PROGRESS_QUEUE: usize = 64;

/// Shared by all tasks.
#[derive(Debug)]
pub struct Context {
    /// Rows.
    pub store: Store,
    /// Rows, for HTTP requests of anybody.
    pub public_store: Store,
    /// Blobs.
    pub blobs: BlobStore,
    /// Blobs to send ranges of to workers.
    pub hashed: HashedBlobs,
    /// Blobs, for HTTP requests of anybody.
    pub public_blobs: BlobFiles,
    /// The relay's key, bound to its network.
    pub key: NodeKey,
    /// Counters and gauges.
    pub metrics: Metrics,
    /// The connections of the swarm.
    pub connections: Connections,
    join: RwLock<Option<JoinInfo>>,
    connected: Mutex<HashSet<NodeId>>,
    progress: broadcast::Sender<JobId>,
}

impl Context {
    /// A context over an open store.
    pub fn new(store: Store, blobs: BlobStore, key: NodeKey, connections: Connections) -> Self {
        let (progress, _) = broadcast::channel(PROGRESS_QUEUE);
        let (join, connected) = (RwLock::default(), Mutex::default());
        let (public_store, public_blobs) = (store.public(), BlobFiles::new(blobs.clone()));
        let hashed = HashedBlobs::new(blobs.clone());
        let metrics = Metrics::new(&connections);
        Self { store, public_store, blobs, hashed, public_blobs, key, metrics, connections, join, connected, progress }
    }

    /// Tells whoever watches a job to look at it again.
    pub fn note_progress(&self, job: JobId) {
        // Nobody listening is no error.
        let _ = self.progress.send(job);
    }

    /// Notes of progress from now on.
    pub fn progress(&self) -> broadcast::Receiver<JobId> {
        self.progress.subscribe()
    }

    /// How to join; `None` until everything listens.
    pub fn join_info(&self) -> Option<JoinInfo> {
        self.join.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or changes how to join.
    pub fn set_join_info(&self, info: JoinInfo) {
        *self.join.write().unwrap_or_else(PoisonError::into_inner) = Some(info);
    }

    /// Changes how to join, if that is known.
    pub fn update_join_info(&self, change: impl FnOnce(&mut JoinInfo)) {
        if let Some(info) = self.join.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(info);
        }
    }

    /// Whether a worker has a session.
    pub fn is_connected(&self, node: &NodeId) -> bool {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).contains(node)
    }

    /// Notes that a worker's session began or ended.
    pub fn set_connected(&self, node: NodeId, connected: bool) {
        let mut set = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if connected {
            set.insert(node)
        } else {
            set.remove(&node)
        };
    }
}

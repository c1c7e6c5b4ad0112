//! A visit to a relay: connect, be welcomed, fetch blobs, leave. No work is asked for.
//!
//! For programs that put load on a relay or look into it. Dialling, session and fetching are the worker's own, so that what
//! they show is what workers do. Left out: reconnecting, and reading what the relay says after its welcome.

use bytes::Bytes;
use futures::FutureExt as _;
use libp2p::PeerId;
use shoal_compute::Backend;
use shoal_transport::streams::Control;
use shoal_wire::ids::BlobId;

use super::{CLOSE_TIMEOUT, Connected, Core, Worker};
use crate::{
    error::VisitError,
    fetch::Wanted,
    limits::WELCOME_TIMEOUT,
    platform::{Platform, timeout},
    session::{self, SessionEnd},
};

/// A worker with a session, as long as its visit lasts.
pub struct Visit<'a, P, G> {
    core: &'a Core<P, G>,
    control: Control,
}

impl<P: Platform, G: Backend> Visit<'_, P, G> {
    /// A blob of at most `max_len` bytes, from wherever a unit's input would come from.
    ///
    /// # Errors
    /// [`VisitError::Blob`] when all attempts have failed.
    pub async fn fetch(&self, id: BlobId, max_len: u64) -> Result<Bytes, VisitError> {
        let input = self.core.fetcher.fetch(&self.control, Wanted { blob: "visited", id, max_len }).await;
        input.map(|input| input.bytes).map_err(|error| VisitError::Blob(error.to_string()))
    }

    /// Opens streams of any protocol.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The relay, as streams are opened to it.
    pub fn relay(&self) -> PeerId {
        self.core.relay.0
    }
}

impl<P: Platform, G: Backend> Worker<P, G> {
    /// Connects once, holds a session while `stay` runs, and closes the connection.
    ///
    /// # Errors
    /// A relay that cannot be reached or does not welcome this worker, and a session lost before `stay` has ended.
    pub async fn visit<T>(mut self, stay: impl AsyncFnOnce(Visit<'_, P, G>) -> T) -> Result<T, VisitError> {
        match self.connect().await {
            Connected::Yes => {}
            Connected::Failed(reason) => return Err(VisitError::Unreachable(reason)),
            Connected::Stopped => return Err(VisitError::Stopped),
        }
        let (core, control) = (&self.core, self.streams.control.clone());
        let visiting = async {
            let opened = timeout(&core.platform, WELCOME_TIMEOUT, session::open(core, control.clone())).await;
            match opened.ok_or(VisitError::NoWelcome)? {
                // Dropped halves would end the session.
                Ok(_halves) => Ok(stay(Visit { core, control }).await),
                Err(SessionEnd::Refused(error)) => Err(VisitError::Refused(error)),
                Err(SessionEnd::Lost { reason, .. }) => Err(VisitError::Lost(reason)),
                Err(SessionEnd::Stopped) => Err(VisitError::Stopped),
            }
        };
        let stayed = {
            let (visiting, drive) = (visiting.fuse(), self.network.drive().fuse());
            let (mut visiting, mut drive) = (std::pin::pin!(visiting), std::pin::pin!(drive));
            futures::select_biased! {
                stayed = visiting => stayed,
                reason = drive => Err(VisitError::Lost(reason)),
            }
        };
        self.network.disconnect();
        timeout(&self.core.platform, CLOSE_TIMEOUT, self.network.flush()).await;
        stayed
    }
}

//! What tasks hold: a handle to open and accept streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use libp2p::PeerId;
use libp2p::swarm::{Stream, StreamProtocol};

use super::OPEN_TIMEOUT;
use super::handler::OpenRequest;
use super::registry::Registry;

/// Why no stream was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no connection to the peer, or it ended meanwhile.
    #[error("not connected to {0}")]
    NotConnected(PeerId),
    /// The peer does not speak the protocol now.
    #[error("the peer does not accept {0}")]
    Unsupported(StreamProtocol),
    /// The peer did not agree in time.
    #[error("no answer within {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
    /// The stream failed during the negotiation.
    #[error("stream failed: {0}")]
    Io(#[from] io::Error),
}

/// The protocol is accepted by another task already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is accepted already")]
pub struct AlreadyAccepted(pub StreamProtocol);

/// Opens and accepts streams of the [`Behaviour`](super::Behaviour) it came from. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    registry: Arc<Registry>,
}

impl Control {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Opens a stream to a connected peer, over its newest connection.
    ///
    /// # Errors
    /// [`OpenError`]; at once if there is no connection.
    pub async fn open_stream(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let gone = || OpenError::NotConnected(peer);
        let opener = self.registry.opener(&peer).ok_or_else(gone)?;
        let (reply, opened) = oneshot::channel();
        opener.send(OpenRequest { protocol, reply }).await.map_err(|_| gone())?;
        opened.await.map_err(|_| gone())?
    }

    /// Accepts the streams that peers open for `protocol`, until the returned handle is dropped.
    ///
    /// # Errors
    /// [`AlreadyAccepted`] while another handle for it is held.
    pub fn accept(&self, protocol: StreamProtocol) -> Result<IncomingStreams, AlreadyAccepted> {
        let streams = self.registry.accept(protocol)?;
        Ok(IncomingStreams { streams: Box::pin(streams) })
    }
}

/// The streams that peers open for one protocol, with who opened each.
#[must_use = "peers wait until their streams are taken"]
pub struct IncomingStreams {
    streams: Pin<Box<async_channel::Receiver<(PeerId, Stream)>>>,
}

impl futures::stream::FusedStream for IncomingStreams {
    fn is_terminated(&self) -> bool {
        self.streams.is_terminated()
    }
}

impl futures::Stream for IncomingStreams {
    type Item = (PeerId, Stream);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.streams.as_mut().poll_next(cx)
    }
}

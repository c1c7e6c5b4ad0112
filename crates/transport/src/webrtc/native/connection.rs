//! A [`Session`] shared between the task that drives it, the muxer and the streams.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use str0m::channel::ChannelId;
use tokio::sync::Notify;

use super::error::CloseReason;
use super::session::Session;
use crate::telemetry::PathFigures;

/// One connection. The last handle to go closes it.
#[derive(Debug)]
pub(super) struct Connection {
    session: Mutex<Session>,
    /// Rings when the driving task has output to poll.
    pub(super) changed: Notify,
}

impl Connection {
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self { session: Mutex::new(session), changed: Notify::new() })
    }

    /// A panic inside the session ends its driving task, which marks it failed; others need not panic too.
    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection from this side.
    pub(super) fn close(&self) {
        self.lock().close(CloseReason::Local);
        self.changed.notify_one();
    }
}

/// The streams of an authenticated connection: a libp2p [`StreamMuxer`]. Dropping it closes the connection.
pub struct Muxer {
    connection: Arc<Connection>,
}

impl Muxer {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// What SCTP sees of the path, kept current as long as the connection stands.
    pub fn path(&self) -> Arc<PathFigures> {
        self.connection.lock().path.clone()
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl fmt::Debug for Muxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muxer").finish_non_exhaustive()
    }
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = CloseReason;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, CloseReason>> {
        self.connection.lock().poll_inbound(cx).map_ok(|id| Substream::new(self.connection.clone(), id))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, CloseReason>> {
        let opened = self.connection.lock().poll_outbound(cx);
        self.connection.changed.notify_one();
        opened.map_ok(|id| Substream::new(self.connection.clone(), id))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.connection.close();
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, CloseReason>> {
        self.connection.lock().poll_closed(cx).map(Err)
    }
}

/// One stream of a connection. Dropping it unfinished resets it.
pub struct Substream {
    connection: Arc<Connection>,
    id: ChannelId,
}

impl Substream {
    pub(super) fn new(connection: Arc<Connection>, id: ChannelId) -> Self {
        Self { connection, id }
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        self.connection.lock().release(self.id);
        self.connection.changed.notify_one();
    }
}

impl fmt::Debug for Substream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Substream").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.connection.lock().poll_read(self.id, cx, buf)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.connection.lock().poll_write(self.id, cx, buf);
        if written.is_ready() {
            self.connection.changed.notify_one();
        }
        written
    }

    /// Frames leave as soon as they are written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Queues FIN behind the data. The channel stays until the peer acknowledged it, also after the stream is dropped.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let finished = self.connection.lock().finish_write(self.id);
        self.connection.changed.notify_one();
        Poll::Ready(finished)
    }
}

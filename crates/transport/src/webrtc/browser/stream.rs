//! The streams of a browser's connection: what an application does with one, and how its frames reach the data channel.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite};
use send_wrapper::SendWrapper;

use super::channel::Channel;
use super::connection::{Connection, wake};
use crate::webrtc::frame;
use crate::webrtc::stream_core::{ReadOutcome, StreamCore};

/// A stream and who waits for it.
pub(super) struct Stream {
    pub(super) core: StreamCore,
    /// Absent until the page sends it.
    channel: Option<Channel>,
    channel_closed: bool,
    released: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            core: StreamCore::new(),
            channel: None,
            channel_closed: false,
            released: false,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn attach(&mut self, channel: Channel) {
        if self.channel_closed {
            channel.close();
        }
        self.channel = Some(channel);
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    pub(super) fn handle_channel_closed(&mut self) {
        self.core.handle_channel_closed();
        self.channel_closed = true;
        self.wake();
    }

    /// Ends the stream's channel, whatever is still outstanding.
    pub(super) fn close_channel(&mut self) {
        if let Some(channel) = &self.channel
            && !self.channel_closed
        {
            channel.close();
        }
        self.handle_channel_closed();
    }

    /// The channel, if frames can be sent on it.
    fn open_channel(&self) -> Option<&Channel> {
        self.channel.as_ref().filter(|channel| !self.channel_closed && channel.is_open())
    }

    /// Sends control frames. Returns whether the stream is still needed.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(frame) = self.core.next_control() {
            match self.open_channel().map(|channel| channel.send(&frame)) {
                Some(Ok(())) => self.core.control_sent(),
                Some(Err(_)) => self.handle_channel_closed(),
                None => break,
            }
        }
        // A tab is always the dialler, so it is on this side to close, see `stream_core`.
        if self.core.is_over() && !self.channel_closed {
            self.close_channel();
        }
        !(self.released && self.channel_closed)
    }

    fn read(&mut self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.core.read(buf) {
            ReadOutcome::Data(n) => Poll::Ready(Ok(n)),
            ReadOutcome::EndOfFile => Poll::Ready(Ok(0)),
            ReadOutcome::Error(kind) => Poll::Ready(Err(kind.into())),
            ReadOutcome::Pending => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn write(&mut self, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.core.check_writable()?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(channel) = self.open_channel().filter(|channel| channel.has_room()) else {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let (taken, frame) = frame::encode_data(buf);
        if channel.send(&frame).is_err() {
            self.handle_channel_closed();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(taken))
    }

    /// The application let go.
    pub(super) fn release(&mut self) {
        self.core.abandon();
        self.released = true;
    }
}

/// One stream of a connection. Dropping it unfinished resets it.
///
/// Bound to the worker it was made in: using it in another thread panics, which JavaScript's share-nothing workers rule
/// out.
pub struct Substream {
    connection: SendWrapper<Rc<Connection>>,
    key: u32,
}

impl Substream {
    pub(super) fn new(connection: Rc<Connection>, key: u32) -> Self {
        Self { connection: SendWrapper::new(connection), key }
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        Connection::release(&self.connection, self.key);
    }
}

impl fmt::Debug for Substream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Substream").field("key", &self.key).finish_non_exhaustive()
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.connection.with_stream(self.key, |stream| stream.read(cx, buf))
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.with_stream(self.key, |stream| stream.write(cx, buf))
    }

    /// Frames leave as soon as they are written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN behind the data. The channel stays until the peer acknowledged it, also after the stream is dropped.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.with_stream(self.key, |stream| {
            let finished = stream.core.finish_write();
            stream.flush();
            Poll::Ready(finished.map_err(io::Error::from))
        })
    }
}

//! The streams of a [`Session`]: what an application does with one, and how its frames reach the data channel.

use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use str0m::channel::ChannelId;
use str0m::{Rtc, RtcError};

use super::session::{Session, wake};
use crate::webrtc::frame;
use crate::webrtc::limits::{FIN_ACK_TIMEOUT, FRAME_OVERHEAD, MAX_UNSENT, RESERVED_PER_STREAM};
use crate::webrtc::stream_core::{ReadOutcome, StreamCore};

/// A stream and who waits for it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) core: StreamCore,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Whether it is on this side to close the channel, see [`crate::webrtc::stream_core`].
    closes: bool,
    channel_closed: bool,
    released: Released,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Released {
    /// The application holds the stream.
    No,
    /// It let go, the channel is not flushed yet.
    JustNow,
    /// It let go; the channel waits for FIN_ACK until then.
    Until(Instant),
}

impl Stream {
    pub(super) fn new(closes: bool) -> Self {
        Self {
            closes,
            core: StreamCore::new(),
            reader: None,
            writer: None,
            channel_closed: false,
            released: Released::No,
        }
    }

    pub(super) fn wake(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    pub(super) fn wake_writer(&mut self) {
        wake(&mut self.writer);
    }

    pub(super) fn handle_channel_closed(&mut self) {
        self.core.handle_channel_closed();
        self.channel_closed = true;
        self.wake();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.released {
            Released::Until(deadline) => Some(deadline),
            Released::No | Released::JustNow => None,
        }
    }

    pub(super) fn expired(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Sends control frames as far as the channel takes them. Returns whether the stream is still needed.
    pub(super) fn flush(&mut self, now: Instant, id: ChannelId, rtc: &mut Rtc, send_blocked: &mut bool) -> bool {
        if !self.channel_closed
            && let Some(mut channel) = rtc.channel(id)
        {
            while let Some(frame) = self.core.next_control() {
                match channel.write(true, &frame) {
                    Ok(true) => self.core.control_sent(),
                    Ok(false) => {
                        *send_blocked = true;
                        break;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "control frame not sent");
                        self.handle_channel_closed();
                        break;
                    }
                }
            }
        }
        let mine_to_close = self.closes && self.core.is_over();
        if !self.channel_closed && (mine_to_close || self.expired(now)) {
            rtc.direct_api().close_data_channel(id);
            self.channel_closed = true;
        }
        if self.channel_closed {
            return self.released == Released::No;
        }
        if self.released == Released::JustNow {
            self.released = Released::Until(now + FIN_ACK_TIMEOUT);
        }
        true
    }
}

/// What the application's stream handle calls. A stream the session does not know (any more) is a broken pipe.
impl Session {
    pub(super) fn poll_read(&mut self, id: ChannelId, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = self.streams.get_mut(&id) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match stream.core.read(buf) {
            ReadOutcome::Data(n) => Poll::Ready(Ok(n)),
            ReadOutcome::EndOfFile => Poll::Ready(Ok(0)),
            ReadOutcome::Error(kind) => Poll::Ready(Err(kind.into())),
            ReadOutcome::Pending => {
                stream.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Writes one frame of `buf`; pending while the channel is opening, or the send window full and `buf` beyond the stream's
    /// reserve.
    pub(super) fn poll_write(&mut self, id: ChannelId, cx: &Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = self.streams.get(&id) else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        stream.core.check_writable()?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written =
            if self.has_room() || self.is_reserved(id, buf.len()) { self.write_frame(id, buf) } else { Ok(None) };
        let stream = self.streams.get_mut(&id).expect("present above");
        match written {
            Ok(Some(taken)) => Poll::Ready(Ok(taken)),
            Ok(None) => {
                stream.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(error) => {
                stream.handle_channel_closed();
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, error)))
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.send_blocked =
            self.send_blocked || self.unsent >= MAX_UNSENT || self.in_flight() >= self.send_window.limit();
        !self.send_blocked
    }

    /// Whether the stream has so little in flight that a message of `len` bytes may go ahead of who waits.
    fn is_reserved(&mut self, id: ChannelId, len: usize) -> bool {
        let Some(mut channel) = self.rtc.channel(id) else { return false };
        len + FRAME_OVERHEAD + channel.buffered_amount() <= RESERVED_PER_STREAM
    }

    /// `None` if the channel is not open yet or takes nothing now.
    fn write_frame(&mut self, id: ChannelId, buf: &[u8]) -> Result<Option<usize>, RtcError> {
        let Some(mut channel) = self.rtc.channel(id) else { return Ok(None) };
        let (taken, frame) = frame::encode_data(buf);
        if !channel.write(true, &frame)? {
            self.send_blocked = true;
            return Ok(None);
        }
        self.send_window.wrote(Instant::now(), frame.len());
        self.unsent += frame.len();
        Ok(Some(taken))
    }

    pub(super) fn finish_write(&mut self, id: ChannelId) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&id) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        stream.core.finish_write()?;
        self.needs_flush = true;
        Ok(())
    }

    /// The application let go of the stream.
    pub(super) fn release(&mut self, id: ChannelId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.core.abandon();
            stream.released = Released::JustNow;
            self.needs_flush = true;
        }
    }
}

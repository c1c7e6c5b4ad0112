//! One stream on one data channel, without I/O: framing, half-closing, resets and the bounded inbox.
//!
//! Driving it:
//! 1. Give every channel message to [`StreamCore::handle_message`] and the end of the channel to
//!    [`StreamCore::handle_channel_closed`].
//! 2. Send what [`StreamCore::next_control`] gives, each followed by [`StreamCore::control_sent`]; control frames come
//!    after the data written before them.
//! 3. The application reads with [`StreamCore::read`], and writes frames for which [`StreamCore::check_writable`] is fine.
//! 4. When the application lets go, call [`StreamCore::abandon`].
//! 5. The dialler closes the channel once [`StreamCore::is_over`]; the listener waits for that. Either closes it
//!    [`super::limits::FIN_ACK_TIMEOUT`] after the application let go at the latest.
//!
//! Who closes matters, because a channel's id may be used again only after both directions were reset (RFC 8831, section
//! 6.7): sctp-proto 0.10.8 as published, when it resets first, resets a second time in reply to the peer's reset, which may then hit a
//! new stream of the same id. Browsers reset once; so the browser, who is always the dialler, goes first.
//!
//! The states follow QUIC's two independent halves (RFC 9000, section 3), with FIN_ACK so that no channel is closed under
//! data still in flight.

use std::collections::VecDeque;
use std::io;

use bytes::{Buf, Bytes};

use super::frame::{self, Flag, Frame, FrameError, FrameReader};
use super::limits::{MAX_UNREAD_MESSAGES_PER_STREAM, MAX_UNREAD_PER_STREAM};

/// Why a stream was reset from this side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamViolation {
    /// The peer sent something that is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer sent more than the reader took.
    #[error("{bytes} bytes in {messages} messages are unread, more than a stream may hold")]
    Overflow {
        /// Unread bytes.
        bytes: usize,
        /// Unread messages.
        messages: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadHalf {
    Open,
    /// FIN arrived: end of file after the unread bytes.
    Finished,
    /// We asked the peer to stop; what still comes is thrown away, flags aside.
    Stopped,
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteHalf {
    Open,
    /// FIN is queued or sent, its acknowledgement is outstanding.
    Finishing,
    Finished,
    /// The peer reads no more.
    Stopped,
    Reset,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Data(usize),
    EndOfFile,
    Pending,
    Error(io::ErrorKind),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct StreamCore {
    reader: FrameReader,
    unread: VecDeque<Bytes>,
    unread_len: usize,
    read: ReadHalf,
    write: WriteHalf,
    control: VecDeque<Flag>,
    /// After a violation the rest of the channel means nothing.
    broken: bool,
}

impl StreamCore {
    pub(crate) fn new() -> Self {
        Self {
            reader: FrameReader::default(),
            unread: VecDeque::new(),
            unread_len: 0,
            read: ReadHalf::Open,
            write: WriteHalf::Open,
            control: VecDeque::new(),
            broken: false,
        }
    }

    /// Bytes waiting for the reader.
    pub(crate) fn unread_len(&self) -> usize {
        self.unread_len
    }

    /// Takes one message of the channel. A violation resets the stream in both directions.
    pub(crate) fn handle_message(&mut self, message: Bytes) -> Result<(), StreamViolation> {
        if self.broken {
            return Ok(());
        }
        let mut frames = Vec::new();
        let mut result = self.reader.push(message, &mut frames).map_err(StreamViolation::from);
        for frame in frames {
            if let Err(violation) = self.handle_frame(frame) {
                result = Err(violation);
                break;
            }
        }
        if result.is_err() {
            self.broken = true;
            self.reset();
        }
        result
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<(), StreamViolation> {
        if !frame.data.is_empty() && self.read == ReadHalf::Open {
            let (bytes, messages) = (self.unread_len + frame.data.len(), self.unread.len() + 1);
            if bytes > MAX_UNREAD_PER_STREAM || messages > MAX_UNREAD_MESSAGES_PER_STREAM {
                return Err(StreamViolation::Overflow { bytes, messages });
            }
            self.unread_len = bytes;
            self.unread.push_back(frame.data);
        }
        match frame.flag {
            Some(Flag::Fin) => {
                if self.read == ReadHalf::Open {
                    self.read = ReadHalf::Finished;
                }
                self.queue(Flag::FinAck);
            }
            Some(Flag::Reset) => self.reset_read(),
            Some(Flag::StopSending) if matches!(self.write, WriteHalf::Open | WriteHalf::Finishing) => {
                self.write = WriteHalf::Stopped;
            }
            Some(Flag::FinAck) if self.write == WriteHalf::Finishing => self.write = WriteHalf::Finished,
            Some(Flag::StopSending | Flag::FinAck) | None => {}
        }
        Ok(())
    }

    /// The channel is gone. Whatever was not finished properly is reset.
    pub(crate) fn handle_channel_closed(&mut self) {
        self.control.clear();
        if self.read == ReadHalf::Open {
            self.reset_read();
        }
        if self.write != WriteHalf::Finished {
            self.write = WriteHalf::Reset;
        }
    }

    /// Copies unread bytes into `buf`.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> ReadOutcome {
        if let Some(front) = self.unread.front_mut() {
            let n = front.len().min(buf.len());
            front.copy_to_slice(&mut buf[..n]);
            if front.is_empty() {
                self.unread.pop_front();
            }
            self.unread_len -= n;
            return ReadOutcome::Data(n);
        }
        match self.read {
            ReadHalf::Open => ReadOutcome::Pending,
            ReadHalf::Finished => ReadOutcome::EndOfFile,
            ReadHalf::Stopped => ReadOutcome::Error(io::ErrorKind::BrokenPipe),
            ReadHalf::Reset => ReadOutcome::Error(io::ErrorKind::ConnectionReset),
        }
    }

    /// Whether data may be written.
    pub(crate) fn check_writable(&self) -> Result<(), io::ErrorKind> {
        match self.write {
            WriteHalf::Open => Ok(()),
            WriteHalf::Finishing | WriteHalf::Finished | WriteHalf::Stopped => Err(io::ErrorKind::BrokenPipe),
            WriteHalf::Reset => Err(io::ErrorKind::ConnectionReset),
        }
    }

    /// Ends writing: FIN follows the data written so far. Ending twice is fine.
    pub(crate) fn finish_write(&mut self) -> Result<(), io::ErrorKind> {
        match self.write {
            WriteHalf::Open => {
                self.write = WriteHalf::Finishing;
                self.queue(Flag::Fin);
                Ok(())
            }
            WriteHalf::Finishing | WriteHalf::Finished | WriteHalf::Stopped => Ok(()),
            WriteHalf::Reset => Err(io::ErrorKind::ConnectionReset),
        }
    }

    /// The application dropped the stream: unfinished writing is reset, unfinished reading stopped.
    pub(crate) fn abandon(&mut self) {
        if self.write == WriteHalf::Open {
            self.write = WriteHalf::Reset;
            self.queue(Flag::Reset);
        }
        if self.read == ReadHalf::Open {
            self.read = ReadHalf::Stopped;
            self.queue(Flag::StopSending);
        }
        self.forget_unread();
    }

    fn reset(&mut self) {
        if matches!(self.write, WriteHalf::Open | WriteHalf::Finishing) {
            self.write = WriteHalf::Reset;
            self.queue(Flag::Reset);
        }
        if self.read == ReadHalf::Open {
            self.queue(Flag::StopSending);
        }
        self.reset_read();
    }

    fn reset_read(&mut self) {
        self.read = ReadHalf::Reset;
        self.forget_unread();
    }

    fn forget_unread(&mut self) {
        self.unread.clear();
        self.unread_len = 0;
    }

    /// Each flag is queued once at most, whatever the peer repeats.
    fn queue(&mut self, flag: Flag) {
        if !self.control.contains(&flag) {
            self.control.push_back(flag);
        }
    }

    /// The next control frame to send.
    pub(crate) fn next_control(&self) -> Option<Vec<u8>> {
        self.control.front().map(|flag| frame::encode_flag(*flag))
    }

    /// The frame of [`Self::next_control`] was handed to the channel.
    pub(crate) fn control_sent(&mut self) {
        self.control.pop_front();
    }

    /// Whether both halves have ended and everything was said about it, so that the channel serves no more purpose.
    pub(crate) fn is_over(&self) -> bool {
        self.control.is_empty()
            && self.read != ReadHalf::Open
            && !matches!(self.write, WriteHalf::Open | WriteHalf::Finishing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webrtc::frame::{encode_data, encode_flag};

    fn feed(core: &mut StreamCore, bytes: Vec<u8>) -> Result<(), StreamViolation> {
        core.handle_message(bytes.into())
    }

    fn controls(core: &mut StreamCore) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(frame) = core.next_control() {
            out.push(frame);
            core.control_sent();
        }
        out
    }

    #[test]
    fn data_then_fin_is_read_to_the_end_and_acknowledged() {
        let mut core = StreamCore::new();
        feed(&mut core, encode_data(b"hello").1).unwrap();
        feed(&mut core, encode_flag(Flag::Fin)).unwrap();
        let mut buf = [0; 3];
        assert_eq!(core.read(&mut buf), ReadOutcome::Data(3));
        assert_eq!(core.read(&mut buf), ReadOutcome::Data(2));
        assert_eq!(core.read(&mut buf), ReadOutcome::EndOfFile);
        assert_eq!(controls(&mut core), [encode_flag(Flag::FinAck)]);
        assert!(core.check_writable().is_ok(), "the other half stays open");
    }

    #[test]
    fn the_channel_stays_until_fin_is_acknowledged() {
        let mut core = StreamCore::new();
        core.finish_write().unwrap();
        core.finish_write().unwrap();
        core.abandon();
        assert_eq!(controls(&mut core), [encode_flag(Flag::Fin), encode_flag(Flag::StopSending)]);
        assert!(!core.is_over());
        feed(&mut core, encode_data(b"late").1).unwrap();
        assert_eq!(core.unread_len(), 0, "what arrives after stopping is thrown away");
        feed(&mut core, encode_flag(Flag::FinAck)).unwrap();
        assert!(core.is_over());
    }

    #[test]
    fn dropping_an_open_stream_resets_it() {
        let mut core = StreamCore::new();
        core.abandon();
        assert!(!core.is_over());
        assert_eq!(controls(&mut core), [encode_flag(Flag::Reset), encode_flag(Flag::StopSending)]);
        assert!(core.is_over());
    }

    #[test]
    fn the_peers_flags_close_one_half_each() {
        let mut core = StreamCore::new();
        feed(&mut core, encode_flag(Flag::StopSending)).unwrap();
        assert_eq!(core.check_writable(), Err(io::ErrorKind::BrokenPipe));
        assert_eq!(core.read(&mut [0]), ReadOutcome::Pending);
        feed(&mut core, encode_data(b"x").1).unwrap();
        feed(&mut core, encode_flag(Flag::Reset)).unwrap();
        assert_eq!(core.read(&mut [0]), ReadOutcome::Error(io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_reader_who_does_not_read_costs_a_bounded_amount() {
        let mut core = StreamCore::new();
        let frame = encode_data(&[0; 16_000]).1;
        let end = (0..1000).find_map(|_| feed(&mut core, frame.clone()).err()).unwrap();
        assert!(matches!(end, StreamViolation::Overflow { .. }));
        assert_eq!(core.unread_len(), 0);
        assert_eq!(controls(&mut core), [encode_flag(Flag::Reset), encode_flag(Flag::StopSending)]);

        let mut core = StreamCore::new();
        let tiny = encode_data(b"x").1;
        assert!((0..5000).any(|_| feed(&mut core, tiny.clone()).is_err()));
    }

    #[test]
    fn a_channel_closed_without_fin_is_an_error_not_an_end() {
        let mut core = StreamCore::new();
        core.handle_channel_closed();
        assert_eq!(core.read(&mut [0]), ReadOutcome::Error(io::ErrorKind::ConnectionReset));
        let mut core = StreamCore::new();
        feed(&mut core, encode_data(b"x").1).unwrap();
        feed(&mut core, encode_flag(Flag::Fin)).unwrap();
        core.handle_channel_closed();
        assert_eq!(core.read(&mut [0; 4]), ReadOutcome::Data(1));
        assert_eq!(core.read(&mut [0; 4]), ReadOutcome::EndOfFile);
        assert_eq!(core.next_control(), None);
    }

    proptest::proptest! {
        #[test]
        fn garbage_never_panics(chunks in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..20), 0..200)) {
            let mut core = StreamCore::new();
            for chunk in chunks {
                let _ = feed(&mut core, chunk);
                let _ = core.read(&mut [0; 7]);
                let _ = core.check_writable();
                controls(&mut core);
            }
        }
    }
}

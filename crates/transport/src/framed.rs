//! Frames and signed envelopes over any byte stream.
//!
//! Wraps `futures` streams in the length-prefixed frames of `shoal_wire::frame`, and a pair of halves in a session of
//! signed envelopes. Memory is bounded by one frame and one read; waiting is not bounded here: whoever calls knows how
//! long a peer may take and wraps the call in its own timeout.

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use shoal_wire::{
    envelope::{EnvelopeError, NodeKey, Signed, Verified},
    frame::{self, FrameError},
    ids::NodeId,
};

/// Bytes asked of the stream at once: one bao group or one data-channel message.
const READ_LEN: usize = 16 * 1024;

/// Why a frame was not read or written. After any of these the stream is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FramedError {
    /// The stream failed.
    #[error("stream failed: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes are not frames of this protocol, or the frame to send is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream ended within a frame.
    #[error("stream ended within a frame")]
    Truncated,
}

/// The reading half.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    decoder: frame::Decoder,
    chunk: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from a stream.
    pub fn new(stream: R) -> Self {
        Self { stream, decoder: frame::Decoder::new(), chunk: vec![0; READ_LEN] }
    }

    /// The next frame's payload, or `None` when the stream ended between frames. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, FramedError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            let len = self.stream.read(&mut self.chunk).await?;
            if len == 0 {
                return if self.decoder.is_mid_frame() { Err(FramedError::Truncated) } else { Ok(None) };
            }
            self.decoder.push(&self.chunk[..len]);
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    buffer: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes frames to a stream.
    pub fn new(stream: W) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Writes one frame and flushes it. Dropping the future midway leaves half a frame: close the stream then.
    pub async fn send(&mut self, payload: &[u8]) -> Result<(), FramedError> {
        self.buffer.clear();
        frame::encode(payload, &mut self.buffer)?;
        self.stream.write_all(&self.buffer).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Ends the writing direction.
    pub async fn close(&mut self) -> Result<(), FramedError> {
        Ok(self.stream.close().await?)
    }
}

/// Both halves of a stream as frames.
pub fn framed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> (FrameReader<futures::io::ReadHalf<S>>, FrameWriter<futures::io::WriteHalf<S>>) {
    let (reader, writer) = stream.split();
    (FrameReader::new(reader), FrameWriter::new(writer))
}

/// Why an envelope was not received.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No frame.
    #[error(transparent)]
    Framed(#[from] FramedError),
    /// A frame that is not an envelope of the peer.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// Receives signed messages of one peer on one network.
#[derive(Debug)]
pub struct EnvelopeReader<R> {
    frames: FrameReader<R>,
    network: String,
    peer: NodeId,
}

impl<R: AsyncRead + Unpin> EnvelopeReader<R> {
    /// Accepts envelopes that `peer` signed for `network`, and no others.
    pub fn new(frames: FrameReader<R>, network: impl Into<String>, peer: NodeId) -> Self {
        Self { frames, network: network.into(), peer }
    }

    /// The next message, its signature checked, or `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Verified>, SessionError> {
        let Some(frame) = self.frames.next().await? else { return Ok(None) };
        Ok(Some(Verified::open_from(&frame, &self.network, &self.peer)?))
    }
}

/// Sends signed messages of this node.
#[derive(Debug)]
pub struct EnvelopeWriter<W> {
    frames: FrameWriter<W>,
    key: NodeKey,
}

impl<W: AsyncWrite + Unpin> EnvelopeWriter<W> {
    /// Signs what it sends with `key`.
    pub fn new(frames: FrameWriter<W>, key: NodeKey) -> Self {
        Self { frames, key }
    }

    /// Signs and sends one message.
    pub async fn send<M: Signed>(&mut self, message: &M) -> Result<(), FramedError> {
        self.frames.send(&self.key.seal_bytes(message)).await
    }

    /// Sends an envelope that was sealed and stored before.
    pub async fn send_sealed(&mut self, envelope: &[u8]) -> Result<(), FramedError> {
        self.frames.send(envelope).await
    }

    /// Ends the writing direction.
    pub async fn close(&mut self) -> Result<(), FramedError> {
        self.frames.close().await
    }
}

/// Both halves of a stream as signed messages between this node and `peer`; the network is the key's.
pub fn session<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    key: NodeKey,
    peer: NodeId,
) -> (EnvelopeReader<futures::io::ReadHalf<S>>, EnvelopeWriter<futures::io::WriteHalf<S>>) {
    let (reader, writer) = framed(stream);
    (EnvelopeReader::new(reader, key.network().to_owned(), peer), EnvelopeWriter::new(writer, key))
}

//! The sending end of a transfer.

use std::{ops::Range, sync::Arc};

use bao_tree::io::outboard::PreOrderMemOutboard;
use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use prost::Message as _;
use shoal_wire::{
    ids::{BlobId, IdError},
    limits::{BLOB_GROUP_LEN, MAX_BLOB_CHUNK, MAX_BLOB_CREDIT},
    proto::{BlobCredit, BlobHeader, BlobRefusal, BlobRefusalCode, BlobReply, BlobRequest, blob_reply::Reply},
};

use super::{
    rate::{Throttle, Unlimited},
    slice::{GROUP, SliceEncoder, group_count},
};
use crate::framed::{FrameReader, FrameWriter, FramedError, framed};

/// A blob in memory with the hash tree needed to send it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blob {
    id: BlobId,
    bytes: Bytes,
    outboard: Arc<PreOrderMemOutboard>,
}

impl Blob {
    /// Hashes the bytes once.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let outboard = PreOrderMemOutboard::create(&bytes, GROUP);
        Self { id: BlobId(*outboard.root.as_bytes()), bytes, outboard: Arc::new(outboard) }
    }

    /// Its content address.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Where the sending end finds blobs.
pub trait BlobSource {
    /// The blob, if it is here and the peer may have it.
    fn blob(&self, id: &BlobId) -> impl Future<Output = Option<Blob>> + Send;

    /// HTTPS URLs of the same bytes, at most `MAX_BLOB_SOURCES` of `MAX_BLOB_SOURCE_LEN` bytes.
    fn sources(&self, _blob: &Blob) -> Vec<String> {
        Vec::new()
    }
}

/// Why a transfer did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The stream failed or ended early.
    #[error(transparent)]
    Framed(#[from] FramedError),
    /// The receiver left before the last byte.
    #[error("receiver left after {sent} bytes of the slice")]
    Closed {
        /// Bytes of the slice sent until then.
        sent: u64,
    },
    /// Not a message of this protocol.
    #[error("malformed blob message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The request names no blob.
    #[error(transparent)]
    Id(#[from] IdError),
    /// More credit outstanding than one transfer may hold.
    #[error("credit of {credit} bytes is above the limit of {limit}")]
    TooMuchCredit {
        /// Outstanding with the last grant, bytes.
        credit: u64,
        /// Allowed, bytes.
        limit: u64,
    },
    /// The request was refused, and the receiver told so.
    #[error("refused {id}: {code:?}")]
    Refused {
        /// The blob asked for.
        id: BlobId,
        /// Why.
        code: BlobRefusalCode,
    },
}

/// A finished transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The blob.
    pub id: BlobId,
    /// Bytes of the slice sent.
    pub sent: u64,
}

/// Answers one request on one stream and returns when the receiver has closed its end, that is, has everything.
pub async fn serve<S>(stream: S, source: &impl BlobSource) -> Result<Served, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    serve_throttled(stream, source, &Unlimited).await
}

/// [`serve`], no faster than `throttle` lets it.
///
/// # Errors
/// As there.
pub async fn serve_throttled<S, T>(stream: S, source: &impl BlobSource, throttle: &T) -> Result<Served, ServeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Throttle,
{
    let (mut reader, mut writer) = framed(stream);
    let frame = reader.next().await?.ok_or(ServeError::Closed { sent: 0 })?;
    let request = BlobRequest::decode(frame.as_slice())?;
    let id = BlobId::try_from(&request.id)?;
    let mut credit = Credit(0);
    credit.add(request.credit)?;

    let Some(blob) = source.blob(&id).await else {
        return refuse(&mut writer, id, BlobRefusalCode::NotFound).await;
    };
    let size = blob.bytes.len() as u64;
    let Some(groups) = group_range(&request, size) else {
        return refuse(&mut writer, id, BlobRefusalCode::BadOffset).await;
    };
    reply(&mut writer, Reply::Header(BlobHeader { size, sources: source.sources(&blob) })).await?;

    let mut slice = SliceEncoder::new(&blob.bytes, &blob.outboard, &groups, request.part());
    let mut item = Bytes::new();
    let mut sent = 0;
    while slice.has_more(&mut item) {
        while credit.0 == 0 {
            let frame = reader.next().await?.ok_or(ServeError::Closed { sent })?;
            credit.add(BlobCredit::decode(frame.as_slice())?.bytes)?;
        }
        let chunk = next_chunk(&mut slice, &mut item, credit.chunk_len(throttle.burst()));
        let len = chunk.len() as u64;
        throttle.pass(len).await;
        reply(&mut writer, Reply::Chunk(chunk)).await?;
        credit.0 -= len;
        sent += len;
    }
    writer.close().await?;
    drain(&mut reader, &mut credit).await;
    Ok(Served { id, sent })
}

/// The groups that a request names, or `None` if it names none that exist.
fn group_range(request: &BlobRequest, size: u64) -> Option<Range<u64>> {
    const GROUP_LEN: u64 = BLOB_GROUP_LEN as u64;
    let within = request.offset < size || request.offset == 0;
    if !within || !request.offset.is_multiple_of(GROUP_LEN) || !request.length.is_multiple_of(GROUP_LEN) {
        return None;
    }
    let (start, count) = (request.offset / GROUP_LEN, group_count(size));
    let end = if request.length == 0 { count } else { (start + request.length / GROUP_LEN).min(count) };
    Some(start..end)
}

/// Bytes the receiver still wants to be sent.
struct Credit(u64);

impl Credit {
    fn add(&mut self, bytes: u64) -> Result<(), ServeError> {
        let credit = self.0.saturating_add(bytes);
        if credit > MAX_BLOB_CREDIT {
            return Err(ServeError::TooMuchCredit { credit, limit: MAX_BLOB_CREDIT });
        }
        self.0 = credit;
        Ok(())
    }

    fn chunk_len(&self, burst: u64) -> usize {
        usize::try_from(self.0.min(burst.max(1))).unwrap_or(usize::MAX).min(MAX_BLOB_CHUNK)
    }
}

/// The next bytes of the slice, at most `len`.
fn next_chunk(slice: &mut SliceEncoder<'_>, item: &mut Bytes, len: usize) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(len);
    while chunk.len() < len && slice.has_more(item) {
        let part = item.split_to(item.len().min(len - chunk.len()));
        chunk.extend_from_slice(&part);
    }
    chunk
}

/// Waits for the receiver to close. Its last grants are still on the way and mean nothing any more; what is not a
/// grant, or is too much of it, ends the wait, and so does a stream that fails once everything was sent.
async fn drain<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>, credit: &mut Credit) {
    while let Ok(Some(frame)) = reader.next().await {
        let Ok(grant) = BlobCredit::decode(frame.as_slice()) else { return };
        if grant.bytes == 0 || credit.add(grant.bytes).is_err() {
            return;
        }
    }
}

async fn refuse<W: AsyncWrite + Unpin>(
    writer: &mut FrameWriter<W>,
    id: BlobId,
    code: BlobRefusalCode,
) -> Result<Served, ServeError> {
    reply(writer, Reply::Refusal(BlobRefusal { code: code as i32 })).await?;
    writer.close().await?;
    Err(ServeError::Refused { id, code })
}

async fn reply<W: AsyncWrite + Unpin>(writer: &mut FrameWriter<W>, reply: Reply) -> Result<(), FramedError> {
    writer.send(&BlobReply { reply: Some(reply) }.encode_to_vec()).await
}

//! The receiving end of one stream.

use std::ops::Range;

use futures::{
    AsyncRead, AsyncWrite,
    io::{ReadHalf, WriteHalf},
};
use prost::Message as _;
use shoal_wire::{
    ids::BlobId,
    limits::{BLOB_GROUP_LEN, MAX_BLOB_CREDIT, MAX_BLOB_SOURCE_LEN, MAX_BLOB_SOURCES},
    proto::{BlobCredit, BlobHeader, BlobPart, BlobRefusalCode, BlobReply, BlobRequest, blob_reply::Reply},
};
use web_time::Instant;

use super::{
    credit::Credit,
    download::{Claim, Download},
    hashes::GroupHashes,
    plan::HeaderError,
    rate::Throttle,
    slice::{Item, SliceDecoder, SliceError, group_count},
};
use crate::framed::{FrameReader, FrameWriter, FramedError, framed};

/// Why a blob did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The stream failed or ended early.
    #[error(transparent)]
    Framed(#[from] FramedError),
    /// The sender closed before the last byte.
    #[error("sender left after {verified} verified bytes")]
    Closed {
        /// Verified so far, bytes; the next attempt resumes there.
        verified: u64,
    },
    /// Not a message of this protocol.
    #[error("malformed blob message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A message that the protocol does not allow here.
    #[error("expected {expected}, got {got}")]
    OutOfOrder {
        /// What would have been right.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// The sender does not have it, or will not send it.
    #[error("refused: {0:?}")]
    Refused(BlobRefusalCode),
    /// The header announces more than the caller takes.
    #[error("blob of {size} bytes is above the limit of {limit}")]
    TooLarge {
        /// Announced, bytes.
        size: u64,
        /// The caller's limit, bytes.
        limit: u64,
    },
    /// The header announces less than what was asked for.
    #[error("blob of {size} bytes has nothing at byte {offset}")]
    Shrunk {
        /// Announced, bytes.
        size: u64,
        /// Asked for, bytes.
        offset: u64,
    },
    /// The header announces another size than was proven, or than another sender says.
    #[error("blob of {size} bytes, {before} before")]
    Disputed {
        /// Announced, bytes.
        size: u64,
        /// Proven or announced before, bytes.
        before: u64,
    },
    /// The header names more or longer sources than it may.
    #[error("{count} sources, the longest of {len} bytes")]
    Sources {
        /// How many.
        count: usize,
        /// The longest URL, bytes.
        len: usize,
    },
    /// The sender sent more than it was granted.
    #[error("chunk of {len} bytes with {credit} bytes of credit")]
    CreditExceeded {
        /// The chunk, bytes.
        len: u64,
        /// What was left of the grant, bytes.
        credit: u64,
    },
    /// The bytes are not that blob.
    #[error(transparent)]
    Slice(#[from] SliceError),
}

impl From<HeaderError> for FetchError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::TooLarge { size, limit } => Self::TooLarge { size, limit },
            HeaderError::Shrunk { size, offset } => Self::Shrunk { size, offset },
            HeaderError::Disputed { size, before } => Self::Disputed { size, before },
        }
    }
}

/// Fetches a whole blob of at most `max_len` bytes over one stream.
///
/// # Errors
/// A stream that broke, or a sender that is not honest.
pub async fn fetch<S>(stream: S, id: BlobId, max_len: u64) -> Result<Vec<u8>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let download = Download::new(id, max_len);
    download.run(stream).await?;
    Ok(download.into_bytes().expect("a run that succeeds finishes the transfer"))
}

/// Fetches the range of a claim.
pub(super) async fn receive<S, T>(claim: &mut Claim, stream: S, throttle: &T) -> Result<(), FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Throttle,
{
    let (id, groups) = (claim.id(), claim.groups());
    let length = if claim.is_open() { 0 } else { (groups.end - groups.start) * BLOB_GROUP_LEN as u64 };
    let credit = Credit::new(Instant::now(), claim.window(), throttle.burst());
    let request = BlobRequest {
        id: id.to_vec(),
        offset: groups.start * BLOB_GROUP_LEN as u64,
        credit: credit.outstanding(),
        length,
        part: BlobPart::Unspecified as i32,
    };
    let (mut receiver, header) = Receiver::open(stream, request, credit, throttle, claim.verified_len()).await?;
    let groups = claim.header(header.size)?;
    claim.name_sources(header.sources);
    let mut slice = SliceDecoder::new(&id, header.size, &groups, BlobPart::Unspecified);
    let mut store = |item: Item<'_>| match item {
        Item::Group { group, bytes } => claim.store(group, bytes),
        Item::Hash(_) => unreachable!("a whole slice has no bare hashes"),
    };
    // An empty blob has an empty slice: no chunk will come.
    slice.push(&[], &mut store)?;
    while !slice.is_finished() {
        let chunk = receiver.next_chunk(|| claim.verified_len()).await?;
        slice.push(&chunk, &mut store)?;
        receiver.verified(slice.is_finished()).await?;
    }
    receiver.close().await;
    Ok(())
}

/// Fetches the hash pairs of a whole blob.
pub(super) async fn receive_hashes<S, T>(
    stream: S,
    id: BlobId,
    max_len: u64,
    throttle: &T,
) -> Result<GroupHashes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Throttle,
{
    let credit = Credit::new(Instant::now(), MAX_BLOB_CREDIT, throttle.burst());
    let part = BlobPart::Outboard as i32;
    let request = BlobRequest { id: id.to_vec(), offset: 0, credit: credit.outstanding(), length: 0, part };
    let (mut receiver, header) = Receiver::open(stream, request, credit, throttle, 0).await?;
    let size = header.size;
    if size > max_len {
        return Err(FetchError::TooLarge { size, limit: max_len });
    }
    let mut hashes = Vec::new();
    let all: Range<u64> = 0..group_count(size);
    let mut slice = SliceDecoder::new(&id, size, &all, BlobPart::Outboard);
    let mut keep = |item: Item<'_>| match item {
        Item::Hash(hash) => hashes.push(hash),
        Item::Group { .. } => unreachable!("an outboard has no groups"),
    };
    slice.push(&[], &mut keep)?;
    while !slice.is_finished() {
        let chunk = receiver.next_chunk(|| 0).await?;
        slice.push(&chunk, &mut keep)?;
        receiver.verified(slice.is_finished()).await?;
    }
    receiver.close().await;
    Ok(GroupHashes::new(size, hashes))
}

/// One stream after its request: chunks come in, credit goes out.
struct Receiver<'a, S, T: Throttle> {
    reader: FrameReader<ReadHalf<S>>,
    writer: FrameWriter<WriteHalf<S>>,
    throttle: &'a T,
    credit: Credit,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin, T: Throttle> Receiver<'a, S, T> {
    async fn open(
        stream: S,
        request: BlobRequest,
        credit: Credit,
        throttle: &'a T,
        verified: u64,
    ) -> Result<(Self, BlobHeader), FetchError> {
        let (reader, writer) = framed(stream);
        throttle.pass(request.credit).await;
        let mut receiver = Self { reader, writer, throttle, credit };
        receiver.writer.send(&request.encode_to_vec()).await?;
        let reply = next_reply(receiver.reader.next().await?, verified)?;
        receiver.credit.answered(Instant::now());
        match reply {
            Reply::Header(header) => {
                let len = header.sources.iter().map(String::len).max().unwrap_or(0);
                let count = header.sources.len();
                if count > MAX_BLOB_SOURCES || len > MAX_BLOB_SOURCE_LEN {
                    return Err(FetchError::Sources { count, len });
                }
                Ok((receiver, header))
            }
            Reply::Refusal(refusal) => Err(FetchError::Refused(refusal.code())),
            Reply::Chunk(_) => Err(FetchError::OutOfOrder { expected: "a header", got: "a chunk" }),
        }
    }

    async fn next_chunk(&mut self, verified: impl FnOnce() -> u64) -> Result<Vec<u8>, FetchError> {
        let chunk = match next_reply(self.reader.next().await?, verified())? {
            Reply::Chunk(chunk) if !chunk.is_empty() => chunk,
            Reply::Chunk(_) => return Err(out_of_order("an empty chunk")),
            Reply::Header(_) => return Err(out_of_order("a header")),
            Reply::Refusal(_) => return Err(out_of_order("a refusal")),
        };
        let (len, credit) = (chunk.len() as u64, self.credit.outstanding());
        if self.credit.take(len) { Ok(chunk) } else { Err(FetchError::CreditExceeded { len, credit }) }
    }

    /// A chunk was verified: its bytes may be granted again. In halves of the window: few grants, and the sender never
    /// runs dry on a healthy link.
    async fn verified(&mut self, finished: bool) -> Result<(), FetchError> {
        let bytes = if finished { 0 } else { self.credit.due(Instant::now(), self.throttle.burst()) };
        if bytes > 0 {
            self.throttle.pass(bytes).await;
            self.writer.send(&BlobCredit { bytes }.encode_to_vec()).await?;
            self.credit.granted(Instant::now(), bytes);
        }
        Ok(())
    }

    /// Tells the sender that everything arrived; the blob is whole whether or not it hears it.
    async fn close(mut self) {
        let _ = self.writer.close().await;
    }
}

impl<S, T: Throttle> Drop for Receiver<'_, S, T> {
    fn drop(&mut self) {
        // What was granted and did not come, as after a short blob, may pass elsewhere.
        self.throttle.give_back(self.credit.outstanding());
    }
}

fn next_reply(frame: Option<Vec<u8>>, verified: u64) -> Result<Reply, FetchError> {
    let frame = frame.ok_or(FetchError::Closed { verified })?;
    let reply = BlobReply::decode(frame.as_slice())?.reply;
    reply.ok_or(FetchError::OutOfOrder { expected: "a header, a chunk or a refusal", got: "nothing" })
}

fn out_of_order(got: &'static str) -> FetchError {
    FetchError::OutOfOrder { expected: "a chunk", got }
}

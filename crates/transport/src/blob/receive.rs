//! The receiving end of a transfer.

use futures::{AsyncRead, AsyncWrite};
use prost::Message as _;
use shoal_wire::{
    ids::BlobId,
    limits::{BLOB_GROUP_LEN, INITIAL_BLOB_CREDIT, MAX_BLOB_CREDIT},
    proto::{BlobCredit, BlobRefusalCode, BlobReply, BlobRequest, blob_reply::Reply},
};

use super::slice::{SliceDecoder, SliceError};
use crate::framed::{FramedError, framed};

/// Most bytes set aside on the word of an unverified header; beyond it memory grows with what has been verified.
const TRUSTED_CAPACITY: u64 = 1024 * 1024;

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
    /// The header announces less than was verified before.
    #[error("blob of {size} bytes cannot resume at byte {offset}")]
    Shrunk {
        /// Announced, bytes.
        size: u64,
        /// Verified before, bytes.
        offset: u64,
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

/// A transfer that survives its streams: what was verified stays, and the next stream resumes there.
#[derive(Debug)]
pub struct Download {
    id: BlobId,
    max_len: u64,
    window: u64,
    verified: Vec<u8>,
    finished: bool,
}

impl Download {
    /// Wants a blob of at most `max_len` bytes.
    pub fn new(id: BlobId, max_len: u64) -> Self {
        Self { id, max_len, window: INITIAL_BLOB_CREDIT, verified: Vec::new(), finished: false }
    }

    /// Lets the sender have at most `window` bytes in flight, 1 to [`MAX_BLOB_CREDIT`].
    pub fn with_window(mut self, window: u64) -> Self {
        self.window = window.clamp(1, MAX_BLOB_CREDIT);
        self
    }

    /// Bytes verified so far.
    pub fn verified_len(&self) -> u64 {
        self.verified.len() as u64
    }

    /// The blob, once [`run`](Self::run) has succeeded.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        self.finished.then_some(self.verified)
    }

    /// Transfers what is missing over a new stream. After an error, call it again with another stream.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S) -> Result<(), FetchError> {
        if self.finished {
            return Ok(());
        }
        let (mut reader, mut writer) = framed(stream);
        let offset = self.verified_len();
        debug_assert!(offset.is_multiple_of(BLOB_GROUP_LEN as u64), "only the last group is shorter");
        let mut credit = self.window;
        let request = BlobRequest { id: self.id.to_vec(), offset, credit };
        writer.send(&request.encode_to_vec()).await?;

        let size = match next_reply(reader.next().await?, offset)? {
            Reply::Header(header) => header.size,
            Reply::Refusal(refusal) => return Err(FetchError::Refused(refusal.code())),
            Reply::Chunk(_) => return Err(FetchError::OutOfOrder { expected: "a header", got: "a chunk" }),
        };
        if size > self.max_len {
            return Err(FetchError::TooLarge { size, limit: self.max_len });
        }
        if size <= offset && offset > 0 {
            return Err(FetchError::Shrunk { size, offset });
        }
        let missing = (size - offset).min(TRUSTED_CAPACITY);
        self.verified.reserve(usize::try_from(missing).expect("at most the trusted capacity"));

        let mut slice = SliceDecoder::new(&self.id, size, offset);
        // An empty blob has an empty slice: no chunk will come.
        slice.push(&[], &mut self.verified)?;
        let mut used = 0;
        while !slice.is_finished() {
            let chunk = match next_reply(reader.next().await?, self.verified_len())? {
                Reply::Chunk(chunk) if !chunk.is_empty() => chunk,
                Reply::Chunk(_) => return Err(out_of_order("an empty chunk")),
                Reply::Header(_) => return Err(out_of_order("a header")),
                Reply::Refusal(_) => return Err(out_of_order("a refusal")),
            };
            let len = chunk.len() as u64;
            credit = credit.checked_sub(len).ok_or(FetchError::CreditExceeded { len, credit })?;
            slice.push(&chunk, &mut self.verified)?;
            used += len;
            // Handed back in halves of the window: few grants, and the sender never runs dry on a healthy link.
            if used >= self.window / 2 && !slice.is_finished() {
                writer.send(&BlobCredit { bytes: used }.encode_to_vec()).await?;
                credit += used;
                used = 0;
            }
        }
        self.finished = true;
        // Tells the sender that everything arrived; the blob is whole whether or not it hears it.
        let _ = writer.close().await;
        Ok(())
    }
}

/// Fetches a whole blob of at most `max_len` bytes over one stream.
pub async fn fetch<S>(stream: S, id: BlobId, max_len: u64) -> Result<Vec<u8>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut download = Download::new(id, max_len);
    download.run(stream).await?;
    Ok(download.into_bytes().expect("a run that succeeds finishes the transfer"))
}

fn next_reply(frame: Option<Vec<u8>>, verified: u64) -> Result<Reply, FetchError> {
    let frame = frame.ok_or(FetchError::Closed { verified })?;
    let reply = BlobReply::decode(frame.as_slice())?.reply;
    reply.ok_or(FetchError::OutOfOrder { expected: "a header, a chunk or a refusal", got: "nothing" })
}

fn out_of_order(got: &'static str) -> FetchError {
    FetchError::OutOfOrder { expected: "a chunk", got }
}

//! A blob on its way: the plan of what is missing, and the bytes that are here.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use shoal_wire::{
    ids::BlobId,
    limits::{BLOB_GROUP_LEN, MAX_BLOB_CREDIT},
};

use super::{
    hashes::GroupHashes,
    plan::{PIECE_GROUPS, Plan, Ticket},
    rate::Unlimited,
    receive::{self, FetchError},
    slice::{group_count, group_len},
};

/// Length of a piece, bytes.
const PIECE_LEN: u64 = PIECE_GROUPS * BLOB_GROUP_LEN as u64;

/// A transfer that survives its streams: what was verified stays, and later streams bring the rest. Cheap to clone;
/// clones are the same transfer, so that whoever wants the same blob shares it.
#[derive(Clone, Debug)]
pub struct Download {
    id: BlobId,
    window: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    /// Groups verified before the size was proven: memory grows by what was verified, not by what is promised.
    early: BTreeMap<u64, Vec<u8>>,
    /// The blob from then on, zero where groups are missing.
    bytes: Vec<u8>,
    /// The blob when it is whole.
    whole: Option<Bytes>,
    sources: Vec<String>,
    /// Some pieces came from an earlier download.
    restored: bool,
    /// Counts what [`Download::changed`] tells of.
    changes: u64,
    waiting: Vec<Waker>,
}

impl Download {
    /// Wants a blob of at most `max_len` bytes, over one stream at a time.
    pub fn new(id: BlobId, max_len: u64) -> Self {
        let state = State {
            plan: Plan::new(max_len),
            early: BTreeMap::new(),
            bytes: Vec::new(),
            whole: None,
            sources: Vec::new(),
            restored: false,
            changes: 0,
            waiting: Vec::new(),
        };
        Self { id, window: MAX_BLOB_CREDIT, state: Arc::new(Mutex::new(state)) }
    }

    /// Lets each sender have at most `window` bytes in flight, at least 1. It has no more than half a mebibyte in any case.
    #[must_use]
    pub fn with_window(mut self, window: u64) -> Self {
        self.window = window.clamp(1, MAX_BLOB_CREDIT);
        self
    }

    /// Cuts the blob so that `lanes` streams can work on it at once; more claims than that are never out.
    #[must_use]
    pub fn with_lanes(self, lanes: usize) -> Self {
        self.state().plan.set_lanes(lanes);
        self
    }

    /// What is being fetched.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Bytes verified so far.
    pub fn verified_len(&self) -> u64 {
        self.state().plan.verified_bytes()
    }

    /// Bytes of the whole blob as a sender said or the last group proved.
    pub fn size(&self) -> Option<u64> {
        self.state().plan.likely_size()
    }

    /// HTTPS URLs that a sender named for the same bytes. Unchecked.
    pub fn sources(&self) -> Vec<String> {
        self.state().sources.clone()
    }

    /// Whether the blob is whole.
    pub fn is_finished(&self) -> bool {
        self.state().whole.is_some()
    }

    /// The blob, once it is whole.
    pub fn bytes(&self) -> Option<Bytes> {
        self.state().whole.clone()
    }

    /// The blob, once it is whole; without a copy if this is the last handle.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        let whole = self.state().whole.take();
        whole.map(Vec::from)
    }

    /// The next range to fetch; `None` while nothing is free, or as many claims are out as may be.
    pub fn claim(&self) -> Option<Claim> {
        let (ticket, groups) = self.state().plan.claim()?;
        Some(Claim { download: self.clone(), ticket, groups, size: None })
    }

    /// Transfers the next range over a new stream; with one lane that is everything up to the next verified group. After
    /// an error, call it again with another stream. Returns at once when nothing is free.
    ///
    /// # Errors
    /// A stream that broke, or a sender that is not honest.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<(), FetchError> {
        match self.claim() {
            Some(claim) => claim.receive(stream, &Unlimited).await,
            None => Ok(()),
        }
    }

    /// Waits until a claim has ended, a size has become known or a piece may have become whole since `seen`, and returns
    /// what to wait with next. Start with zero.
    pub async fn changed(&self, seen: u64) -> u64 {
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            if state.changes != seen {
                return Poll::Ready(state.changes);
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Indices of the pieces (1 MiB each, the last one shorter) that are whole, once the size is proven.
    pub fn whole_pieces(&self) -> Vec<u32> {
        let state = self.state();
        let Some(size) = state.plan.proven_size() else { return Vec::new() };
        let pieces = u32::try_from(size.div_ceil(PIECE_LEN)).expect("a blob has at most a few hundred pieces");
        (0..pieces).filter(|piece| piece_groups(*piece, size).all(|group| state.plan.contains(group))).collect()
    }

    /// The bytes of a whole piece and the blob's size.
    pub fn piece(&self, piece: u32) -> Option<(u64, Vec<u8>)> {
        let state = self.state();
        let size = state.plan.proven_size()?;
        if state.whole.is_some() || u64::from(piece) * PIECE_LEN >= size {
            return None;
        }
        let groups = piece_groups(piece, size);
        groups.clone().all(|group| state.plan.contains(group)).then(|| {
            let range = byte_range(groups, size);
            (size, state.bytes[range].to_vec())
        })
    }

    /// Takes a piece that an earlier download of the same blob verified; the caller answers for it. Returns whether it
    /// fits. Whether all such pieces were right shows in the hash of the whole.
    pub fn restore(&self, piece: u32, size: u64, bytes: &[u8]) -> bool {
        let mut state = self.state();
        let fits = state.plan.proven_size().is_none_or(|proven| proven == size)
            && u64::from(piece) * PIECE_LEN < size.max(1)
            && state.plan.takes(size);
        let groups = piece_groups(piece, size);
        if !fits || bytes.len() as u64 != (size - u64::from(piece) * PIECE_LEN).min(PIECE_LEN) {
            return false;
        }
        for group in groups {
            let start = usize::try_from(group * BLOB_GROUP_LEN as u64 - u64::from(piece) * PIECE_LEN).expect("small");
            state.store(group, size, &bytes[start..start + group_len(size, group)]);
        }
        state.restored = true;
        state.note();
        true
    }

    /// Whether some of it is only said to be verified, see [`Self::restore`].
    pub fn has_restored(&self) -> bool {
        self.state().restored
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while held")
    }
}

fn piece_groups(piece: u32, size: u64) -> Range<u64> {
    let start = u64::from(piece) * PIECE_GROUPS;
    start..(start + PIECE_GROUPS).min(group_count(size)).max(start)
}

fn byte_range(groups: Range<u64>, size: u64) -> Range<usize> {
    let at = |group: u64| usize::try_from((group * BLOB_GROUP_LEN as u64).min(size)).expect("a blob is addressable");
    at(groups.start)..at(groups.end)
}

impl State {
    fn store(&mut self, group: u64, size: u64, bytes: &[u8]) {
        if !self.plan.verified(group, size) {
            return;
        }
        match self.plan.proven_size() {
            None => {
                self.early.insert(group, bytes.to_vec());
            }
            Some(size) => {
                if self.bytes.is_empty() {
                    self.bytes = vec![0; usize::try_from(size).expect("a blob is addressable")];
                    for (group, early) in std::mem::take(&mut self.early) {
                        self.bytes[byte_range(group..group + 1, size)].copy_from_slice(&early);
                    }
                }
                self.bytes[byte_range(group..group + 1, size)].copy_from_slice(bytes);
            }
        }
        if self.plan.is_complete() {
            self.whole = Some(std::mem::take(&mut self.bytes).into());
        }
        if (group + 1).is_multiple_of(PIECE_GROUPS) {
            self.note();
        }
    }

    fn note(&mut self) {
        self.changes += 1;
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// The right to fetch a range that nobody else fetches meanwhile. Dropping it gives back what is missing of the range.
#[derive(Debug)]
pub struct Claim {
    download: Download,
    ticket: Ticket,
    groups: Range<u64>,
    /// The blob's size as the sender of this claim says.
    size: Option<u64>,
}

impl Claim {
    /// Fetches the range over one stream from a peer that speaks the blob protocol.
    ///
    /// # Errors
    /// A stream that broke, or a sender that is not honest. What was verified before is kept.
    pub async fn receive<S, T>(mut self, stream: S, throttle: &T) -> Result<(), FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        T: super::Throttle,
    {
        receive::receive(&mut self, stream, throttle).await
    }

    /// Bytes of the blob that the range covers, when the size is the one of `hashes`.
    ///
    /// # Errors
    /// A blob of another size than was proven or said before, or none that has this range.
    pub fn expect(&mut self, hashes: &GroupHashes) -> Result<Range<u64>, FetchError> {
        self.header(hashes.size())?;
        let bytes = byte_range(self.groups.clone(), hashes.size());
        Ok(bytes.start as u64..bytes.end as u64)
    }

    /// Takes the next group of the range (its last is shorter when the blob ends there), verified against `hashes`.
    /// Returns whether it was right, and nothing is kept if not.
    ///
    /// # Panics
    /// Without a successful [`Self::expect`] before, or beyond the end of the range.
    pub fn accept(&mut self, bytes: &[u8], hashes: &GroupHashes) -> bool {
        assert!(self.size == Some(hashes.size()) && !self.groups.is_empty(), "a group of the range that was expected");
        let group = self.groups.start;
        let right = hashes.fits(group, bytes);
        if right {
            self.store(group, bytes);
            self.groups.start += 1;
        }
        right
    }

    /// What is missing of the range.
    pub fn is_finished(&self) -> bool {
        self.size.is_some() && self.groups.is_empty()
    }

    pub(super) fn id(&self) -> BlobId {
        self.download.id
    }

    pub(super) fn window(&self) -> u64 {
        self.download.window
    }

    pub(super) fn groups(&self) -> Range<u64> {
        self.groups.clone()
    }

    /// Whether the range reaches the end of the blob for all that is known.
    pub(super) fn is_open(&self) -> bool {
        let state = self.download.state();
        match state.plan.likely_size() {
            Some(size) => self.groups.end >= group_count(size),
            None => state.plan.is_limit(self.groups.end),
        }
    }

    pub(super) fn verified_len(&self) -> u64 {
        self.download.verified_len()
    }

    pub(super) fn header(&mut self, size: u64) -> Result<Range<u64>, FetchError> {
        let mut state = self.download.state();
        self.groups = state.plan.header(self.ticket, size)?;
        self.size = Some(size);
        state.note();
        Ok(self.groups.clone())
    }

    pub(super) fn name_sources(&self, sources: Vec<String>) {
        let mut state = self.download.state();
        if state.sources.is_empty() && !sources.is_empty() {
            state.sources = sources;
            state.note();
        }
    }

    pub(super) fn store(&self, group: u64, bytes: &[u8]) {
        let size = self.size.expect("a header came before the first group");
        self.download.state().store(group, size, bytes);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.download.state();
        state.plan.release(self.ticket);
        state.note();
    }
}

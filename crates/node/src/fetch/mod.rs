//! Getting a unit's inputs: from the cache, from the relay over several streams at once, and from HTTPS sources that the
//! relay names.
//!
//! One [`Download`] a blob, kept over lost sessions and shared by whoever wants the blob meanwhile. Where there is a
//! storage, its whole pieces are kept as they arrive, so that the next run goes on where this one ended. Sources come
//! before the relay, whose uplink everybody shares; the relay is asked for the hashes to verify them, and for
//! everything that no source delivers.

mod source;

use std::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{Fuse, FusedFuture as _, LocalBoxFuture},
    stream::FuturesUnordered,
};
use libp2p::{PeerId, StreamProtocol};
use shoal_transport::{
    blob::{Claim, Download, FetchError, GroupHashes, Throttle as _, fetch_hashes},
    streams::Control,
};
use shoal_wire::{ids::BlobId, proto::BlobRefusalCode, version::BLOB_PROTOCOL};

use self::source::{SourceError, Sources};
use crate::{
    cache::{Cache, Piece, StoredCache},
    http::HttpClient,
    limiter::Limiter,
    limits::{FETCH_ATTEMPT_TIMEOUT, FETCH_LANES, FETCH_RETRY, MAX_FRUITLESS_ATTEMPTS, MIN_KEPT_LEN, MIN_MEASURED_LEN},
    platform::{Platform, timeout},
    transfers::Transfers,
};

/// Why an input did not arrive, whatever was tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{blob} {id}: {source}")]
    Fetch { blob: &'static str, id: BlobId, source: FetchError },
    #[error("{blob} {id}: no stream: {reason}")]
    NoStream { blob: &'static str, id: BlobId, reason: String },
    #[error("{blob} {id}: nothing came within {limit_s} s, {verified} bytes are here", limit_s = FETCH_ATTEMPT_TIMEOUT.as_secs())]
    Silent { blob: &'static str, id: BlobId, verified: u64 },
}

impl InputError {
    /// Whether another attempt may do better: not when the relay does not have the blob, or has another one than it says.
    fn is_passing(&self) -> bool {
        match self {
            Self::NoStream { .. } | Self::Silent { .. } => true,
            Self::Fetch { source, .. } => match source {
                FetchError::Framed(_) | FetchError::Closed { .. } | FetchError::Refused(BlobRefusalCode::Busy) => true,
                FetchError::Refused(_)
                | FetchError::Malformed(_)
                | FetchError::OutOfOrder { .. }
                | FetchError::TooLarge { .. }
                | FetchError::Shrunk { .. }
                | FetchError::Disputed { .. }
                | FetchError::Sources { .. }
                | FetchError::CreditExceeded { .. } => false,
                // Resuming keeps every good group; a link that flips bits is not the relay's fault.
                FetchError::Slice(_) => true,
            },
        }
    }
}

/// A blob that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What it is to the unit.
    pub(crate) blob: &'static str,
    pub(crate) id: BlobId,
    /// Longest that is taken, bytes.
    pub(crate) max_len: u64,
}

/// A blob that is here.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) bytes: Bytes,
    /// Bytes of it that came by the network now; zero if it was in the cache.
    pub(crate) fetched: u64,
    /// Bytes a second that the relay's connection carried, where it alone carried enough to tell.
    pub(crate) rate: Option<u64>,
}

/// Gets blobs.
pub(crate) struct Fetcher<P> {
    platform: P,
    relay: PeerId,
    cache: Cache,
    down: Limiter<P>,
    http: Option<Rc<dyn HttpClient>>,
    loopback_sources: bool,
    transfers: Transfers,
}

impl<P: Platform> Fetcher<P> {
    pub(crate) fn new(
        platform: P,
        relay: PeerId,
        cache: Cache,
        down: Limiter<P>,
        transfers: Transfers,
        loopback_sources: bool,
    ) -> Self {
        Self { platform, relay, cache, down, http: None, loopback_sources, transfers }
    }

    pub(crate) fn set_http(&mut self, http: Rc<dyn HttpClient>) {
        self.http = Some(http);
    }

    /// What is kept over runs, if anything.
    pub(crate) fn stored(&self) -> Option<&Rc<StoredCache>> {
        self.cache.stored()
    }

    /// The volunteer's limit on everything that comes.
    pub(crate) fn down(&self) -> &Limiter<P> {
        &self.down
    }

    pub(crate) fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// A blob, from wherever it can be had.
    pub(crate) async fn fetch(&self, control: &Control, wanted: Wanted) -> Result<Input, InputError> {
        if let Some(bytes) = self.cache.get(&wanted.id).await {
            return Ok(Input { bytes, fetched: 0, rate: None });
        }
        loop {
            let (download, restored) = self.download(&wanted).await;
            let before = download.verified_len();
            let (begun, unlimited) = (self.platform.now(), self.is_unlimited());
            let mut transfer = Transfer::new(self, control.clone(), wanted, download.clone(), &restored);
            let bytes = transfer.run().await?;
            let took = self.platform.now().saturating_sub(begun);
            self.transfers.finished(&wanted.id);
            // A piece that is just being kept: the storage may have locked something for it, which nobody else would unlock.
            if !transfer.saving.is_terminated() {
                (&mut transfer.saving).await;
            }
            // Groups were verified as they came, but kept pieces only by a hash that whoever changed them could change too.
            if !download.has_restored() || BlobId::of(&bytes) == wanted.id {
                self.cache.put(wanted.id, bytes.clone()).await;
                let fetched = bytes.len() as u64 - before;
                let telling = fetched >= MIN_MEASURED_LEN && transfer.relay_alone && unlimited && self.is_unlimited();
                let rate = telling.then(|| (fetched as f64 / took.as_secs_f64()) as u64);
                return Ok(Input { bytes, fetched, rate });
            }
            tracing::warn!(blob = %wanted.id, "kept pieces were not of this blob");
            if let Some(stored) = self.cache.stored() {
                stored.forget_pieces(&wanted.id).await;
            }
        }
    }

    /// The download under way, or a new one with the pieces that were kept; and which those are.
    async fn download(&self, wanted: &Wanted) -> (Download, BTreeSet<u32>) {
        if let Some(download) = self.transfers.download(&wanted.id) {
            // Pieces of an earlier run may be in it.
            return (download, self.kept_pieces(&wanted.id));
        }
        let download = Download::new(wanted.id, wanted.max_len).with_lanes(FETCH_LANES);
        let mut restored = BTreeSet::new();
        if let Some(stored) = self.cache.stored() {
            for index in stored.pieces(&wanted.id) {
                if let Some(piece) = stored.piece(&wanted.id, index).await
                    && download.restore(index, piece.size, &piece.bytes)
                {
                    restored.insert(index);
                }
            }
        }
        self.transfers.keep(download.clone());
        (download, restored)
    }

    fn is_unlimited(&self) -> bool {
        self.down.burst() == u64::MAX
    }

    fn kept_pieces(&self, id: &BlobId) -> BTreeSet<u32> {
        self.cache.stored().map(|stored| stored.pieces(id).into_iter().collect()).unwrap_or_default()
    }
}

/// Something that ended.
enum Done {
    Relay(Result<(), InputError>),
    Hashes(Result<GroupHashes, InputError>),
    Source(Rc<str>, Result<(), SourceError>),
}

/// What a transfer waits for.
enum Step {
    Done(Done),
    Changed(u64),
    Ready,
}

/// One blob on its way.
struct Transfer<'a, P> {
    fetcher: &'a Fetcher<P>,
    control: Control,
    wanted: Wanted,
    download: Download,
    /// `None` until the relay has said which there are.
    sources: Option<Sources>,
    /// No source was asked, and no attempt failed.
    relay_alone: bool,
    running: FuturesUnordered<LocalBoxFuture<'a, Done>>,
    /// While it runs, no more is begun: the link has just failed.
    pause: Fuse<LocalBoxFuture<'a, ()>>,
    saving: Fuse<LocalBoxFuture<'a, ()>>,
    saved: BTreeSet<u32>,
    /// Failures in a row that brought nothing, and how much was here at the last one.
    fruitless: u32,
    mark: u64,
}

impl<'a, P: Platform> Transfer<'a, P> {
    fn new(
        fetcher: &'a Fetcher<P>,
        control: Control,
        wanted: Wanted,
        download: Download,
        restored: &BTreeSet<u32>,
    ) -> Self {
        Self {
            fetcher,
            control,
            wanted,
            mark: download.verified_len(),
            download,
            sources: None,
            relay_alone: true,
            running: FuturesUnordered::new(),
            pause: Fuse::terminated(),
            saving: Fuse::terminated(),
            saved: restored.clone(),
            fruitless: 0,
        }
    }

    /// Goes on as long as attempts bring something new.
    async fn run(&mut self) -> Result<Bytes, InputError> {
        let mut seen = 0;
        loop {
            if let Some(bytes) = self.download.bytes() {
                return Ok(bytes);
            }
            self.plan();
            let download = self.download.clone();
            let step = futures::select_biased! {
                done = self.running.select_next_some() => Step::Done(done),
                change = download.changed(seen).boxed_local().fuse() => Step::Changed(change),
                () = &mut self.pause => Step::Ready,
                () = &mut self.saving => Step::Ready,
            };
            match step {
                Step::Done(done) => self.done(done)?,
                Step::Changed(change) => seen = change,
                Step::Ready => {}
            }
        }
    }

    /// Begins what can be begun.
    fn plan(&mut self) {
        self.look_for_sources();
        if self.saving.is_terminated() {
            self.save();
        }
        if !self.pause.is_terminated() {
            return;
        }
        while !matches!(self.sources, Some(Sources::Waiting(_)))
            && let Some(claim) = self.download.claim()
        {
            match self.sources.as_mut().and_then(Sources::next) {
                Some((url, hashes)) => self.ask_source(claim, url, hashes),
                None => self.ask_relay(claim),
            }
        }
    }

    /// Asks the relay for the hashes as soon as it has named sources.
    fn look_for_sources(&mut self) {
        if self.sources.is_some() || self.fetcher.http.is_none() || self.download.size().is_none() {
            return;
        }
        let urls = self.download.sources();
        if urls.is_empty() {
            return;
        }
        let sources = Sources::new(&urls, self.fetcher.loopback_sources);
        if matches!(sources, Sources::Waiting(_)) {
            let (fetcher, control, wanted) = (self.fetcher, self.control.clone(), self.wanted);
            let attempt = async move {
                let attempt = async {
                    let stream = open(&control, fetcher.relay, &wanted).await?;
                    let hashes = fetch_hashes(stream, wanted.id, wanted.max_len, &fetcher.down).await;
                    hashes.map_err(|source| InputError::Fetch { blob: wanted.blob, id: wanted.id, source })
                };
                let hashes = timeout(&fetcher.platform, FETCH_ATTEMPT_TIMEOUT, attempt).await;
                Done::Hashes(hashes.unwrap_or(Err(silent(&wanted, 0))))
            };
            self.running.push(attempt.boxed_local());
        }
        self.sources = Some(sources);
    }

    fn ask_relay(&self, claim: Claim) {
        let (fetcher, control, wanted) = (self.fetcher, self.control.clone(), self.wanted);
        let download = self.download.clone();
        let attempt = async move {
            let attempt = async {
                let stream = open(&control, fetcher.relay, &wanted).await?;
                let received = claim.receive(stream, &fetcher.down).await;
                received.map_err(|source| InputError::Fetch { blob: wanted.blob, id: wanted.id, source })
            };
            let received = timeout(&fetcher.platform, FETCH_ATTEMPT_TIMEOUT, attempt).await;
            Done::Relay(received.unwrap_or_else(|| Err(silent(&wanted, download.verified_len()))))
        };
        self.running.push(attempt.boxed_local());
    }

    fn ask_source(&mut self, claim: Claim, url: Rc<str>, hashes: Rc<GroupHashes>) {
        self.relay_alone = false;
        let fetcher = self.fetcher;
        let http = fetcher.http.clone().expect("sources are looked for with a client only");
        let attempt = async move {
            let received = source::receive(&fetcher.platform, &*http, &fetcher.down, claim, &url, &hashes).await;
            Done::Source(url, received)
        };
        self.running.push(attempt.boxed_local());
    }

    fn done(&mut self, done: Done) -> Result<(), InputError> {
        match done {
            Done::Relay(Ok(())) => Ok(()),
            Done::Relay(Err(error)) => self.failed(error),
            Done::Hashes(Ok(hashes)) => {
                self.sources.get_or_insert(Sources::None).ready(hashes);
                Ok(())
            }
            Done::Hashes(Err(error)) => {
                tracing::info!(%error, "sources are of no use without hashes");
                self.sources = Some(Sources::None);
                Ok(())
            }
            Done::Source(url, Ok(())) => {
                self.sources.iter_mut().for_each(|sources| sources.praise(&url));
                Ok(())
            }
            Done::Source(url, Err(error)) => {
                self.sources.iter_mut().for_each(|sources| sources.blame(&url, &error));
                Ok(())
            }
        }
    }

    /// The relay failed: pauses before it is asked again, or gives up. Streams that fail together count once.
    fn failed(&mut self, error: InputError) -> Result<(), InputError> {
        self.relay_alone = false;
        if !error.is_passing() {
            return Err(error);
        }
        if !self.pause.is_terminated() {
            return Ok(());
        }
        let verified = self.download.verified_len();
        self.fruitless = if verified > self.mark { 0 } else { self.fruitless + 1 };
        self.mark = verified;
        if self.fruitless >= MAX_FRUITLESS_ATTEMPTS {
            return Err(error);
        }
        tracing::debug!(%error, fruitless = self.fruitless, "blob attempt failed, resuming");
        let sleep = self.fetcher.platform.clone();
        let pause = FETCH_RETRY * 2_u32.pow(self.fruitless);
        self.pause = async move { sleep.sleep(pause).await }.boxed_local().fuse();
        Ok(())
    }

    /// Keeps one more whole piece, if this blob is worth it.
    fn save(&mut self) {
        let Some(stored) = self.fetcher.cache.stored() else { return };
        if self.download.size().is_none_or(|size| size < MIN_KEPT_LEN) {
            return;
        }
        let next = self.download.whole_pieces().into_iter().find(|piece| !self.saved.contains(piece));
        let Some(index) = next else { return };
        self.saved.insert(index);
        if let Some((size, bytes)) = self.download.piece(index) {
            let id = self.wanted.id;
            self.saving =
                async move { stored.put_piece(&id, &Piece { index, size, bytes }).await }.boxed_local().fuse();
        }
    }
}

async fn open(control: &Control, relay: PeerId, wanted: &Wanted) -> Result<libp2p::swarm::Stream, InputError> {
    let opened = control.open_stream(relay, StreamProtocol::new(BLOB_PROTOCOL)).await;
    opened.map_err(|error| InputError::NoStream { blob: wanted.blob, id: wanted.id, reason: error.to_string() })
}

fn silent(wanted: &Wanted, verified: u64) -> InputError {
    InputError::Silent { blob: wanted.blob, id: wanted.id, verified }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

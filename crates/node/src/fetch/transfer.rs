//! One blob on its way: which ranges are asked of whom, what is kept meanwhile, and when to give up.

use std::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{Fuse, FusedFuture as _, LocalBoxFuture},
    stream::FuturesUnordered,
};
use libp2p::{PeerId, StreamProtocol};
use shoal_transport::{
    blob::{Claim, Download, GroupHashes, fetch_hashes},
    streams::Control,
};
use shoal_wire::version::BLOB_PROTOCOL;

use super::{
    Fetcher, InputError, Wanted,
    source::{self, SourceError, Sources},
};
use crate::{
    cache::Piece,
    limits::{FETCH_ATTEMPT_TIMEOUT, FETCH_RETRY, MAX_FRUITLESS_ATTEMPTS, MIN_KEPT_LEN},
    platform::{Platform, timeout},
};

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
pub(super) struct Transfer<'a, P> {
    fetcher: &'a Fetcher<P>,
    control: Control,
    wanted: Wanted,
    download: Download,
    /// `None` until the relay has said which there are.
    sources: Option<Sources>,
    /// No source was asked, and no attempt failed.
    pub(super) relay_alone: bool,
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
    pub(super) fn new(
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
    pub(super) async fn run(&mut self) -> Result<Bytes, InputError> {
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

    /// Waits for a piece that is just being kept: the storage may have locked something for it, which nobody else would
    /// unlock.
    pub(super) async fn saved(&mut self) {
        if !self.saving.is_terminated() {
            (&mut self.saving).await;
        }
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

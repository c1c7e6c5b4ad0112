//! The HTTPS sources of one blob: who is asked next, and who is asked no more.

use std::{ops::Range, rc::Rc, time::Duration};

use futures::StreamExt as _;
use shoal_transport::blob::{Claim, FetchError, GroupHashes, Throttle};
use shoal_wire::{limits::BLOB_GROUP_LEN, source::is_source_url};

use crate::{
    http::{HttpBody, HttpClient, HttpError},
    limits::{MAX_SOURCE_FAULTS, MIN_SOURCE_RATE, SOURCE_PATIENCE},
    platform::{Platform, timeout},
};

/// Why a source did not deliver a range.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("wrong bytes in the group at byte {offset}")]
    Wrong { offset: u64 },
    #[error("{excess} bytes more than were asked for")]
    Excess { excess: usize },
    #[error("ended {missing} bytes early")]
    Short { missing: u64 },
    #[error("slower than {MIN_SOURCE_RATE} bytes/s")]
    Slow,
    #[error(transparent)]
    Size(#[from] FetchError),
}

impl SourceError {
    /// Whether the source may do better next time. One that sends wrong bytes, refuses or is slow is dropped at once.
    fn is_passing(&self) -> bool {
        match self {
            Self::Http(HttpError::NoAnswer(_) | HttpError::Broken(_)) | Self::Short { .. } => true,
            Self::Http(HttpError::Status(status)) => *status >= 500,
            Self::Http(HttpError::Malformed | HttpError::LedAway | HttpError::OutOfReach)
            | Self::Wrong { .. }
            | Self::Excess { .. }
            | Self::Slow
            | Self::Size(_) => false,
        }
    }
}

/// What is known of a blob's sources.
#[derive(Debug)]
pub(super) enum Sources {
    /// The relay names none, or all are dropped: the relay sends everything.
    None,
    /// The hashes to verify them are on their way from the relay.
    Waiting(Vec<Source>),
    Ready {
        hashes: Rc<GroupHashes>,
        sources: Vec<Source>,
        turn: usize,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) url: Rc<str>,
    faults: u32,
}

impl Sources {
    /// Those of `urls` that may be asked.
    pub(super) fn new(urls: &[String], loopback: bool) -> Self {
        let allowed = urls.iter().filter(|url| is_source_url(url, loopback));
        let sources: Vec<_> = allowed.map(|url| Source { url: url.as_str().into(), faults: 0 }).collect();
        if sources.is_empty() { Self::None } else { Self::Waiting(sources) }
    }

    /// The hashes came.
    pub(super) fn ready(&mut self, hashes: GroupHashes) {
        if let Self::Waiting(sources) = std::mem::replace(self, Self::None) {
            *self = Self::Ready { hashes: Rc::new(hashes), sources, turn: 0 };
        }
    }

    /// The source whose turn it is.
    pub(super) fn next(&mut self) -> Option<(Rc<str>, Rc<GroupHashes>)> {
        let Self::Ready { hashes, sources, turn } = self else { return None };
        *turn += 1;
        Some((sources[*turn % sources.len()].url.clone(), hashes.clone()))
    }

    /// A source delivered.
    pub(super) fn praise(&mut self, url: &str) {
        if let Self::Ready { sources, .. } = self
            && let Some(source) = sources.iter_mut().find(|source| &*source.url == url)
        {
            source.faults = 0;
        }
    }

    /// A source did not deliver. Whoever does so too often, or in a way that will not change, is asked no more.
    pub(super) fn blame(&mut self, url: &str, error: &SourceError) {
        let Self::Ready { sources, .. } = self else { return };
        sources.retain_mut(|source| {
            if &*source.url != url {
                return true;
            }
            source.faults += 1;
            let stays = error.is_passing() && source.faults < MAX_SOURCE_FAULTS;
            tracing::info!(url, %error, stays, "source failed");
            stays
        });
        if sources.is_empty() {
            *self = Self::None;
        }
    }
}

/// Fetches a claim's range from a source, each group verified before it is kept.
pub(super) async fn receive<P: Platform>(
    platform: &P,
    http: &dyn HttpClient,
    throttle: &impl Throttle,
    mut claim: Claim,
    url: &str,
    hashes: &GroupHashes,
) -> Result<(), SourceError> {
    let Range { start, end } = claim.expect(hashes)?;
    let mut patience = Patience::new(end - start);
    let mut body = patience.wait(platform, http.get(url, start..end)).await??;
    let (mut at, mut pending) = (start, Vec::new());
    while at < end {
        let chunk = next_chunk(&mut body, platform, &mut patience).await?;
        let missing = end - at - pending.len() as u64;
        let chunk = chunk.ok_or(SourceError::Short { missing })?;
        throttle.pass(chunk.len() as u64).await;
        if chunk.len() as u64 > missing {
            return Err(SourceError::Excess { excess: chunk.len() - missing as usize });
        }
        pending.extend_from_slice(&chunk);
        let mut used = 0;
        while at < end {
            let len = (end - at).min(BLOB_GROUP_LEN as u64) as usize;
            let Some(group) = pending.get(used..used + len) else { break };
            if !claim.accept(group, hashes) {
                return Err(SourceError::Wrong { offset: at });
            }
            used += len;
            at += len as u64;
        }
        pending.drain(..used);
    }
    Ok(())
}

async fn next_chunk<P: Platform>(
    body: &mut HttpBody,
    platform: &P,
    patience: &mut Patience,
) -> Result<Option<bytes::Bytes>, SourceError> {
    Ok(patience.wait(platform, body.next()).await?.transpose()?)
}

/// How long a source may still be waited for. Time spent on this side, for instance under a volunteer's limit, does not
/// count.
struct Patience(Duration);

impl Patience {
    fn new(len: u64) -> Self {
        Self(SOURCE_PATIENCE + Duration::from_secs(len / MIN_SOURCE_RATE))
    }

    async fn wait<P: Platform, F: Future>(&mut self, platform: &P, future: F) -> Result<F::Output, SourceError> {
        let begun = platform.now();
        let output = timeout(platform, self.0, future).await.ok_or(SourceError::Slow)?;
        self.0 = self.0.saturating_sub(platform.now().saturating_sub(begun));
        Ok(output)
    }
}

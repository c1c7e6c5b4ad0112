//! The libp2p [`Transport`](libp2p::core::Transport) of the browser side. It only dials.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};
use futures_timer::Delay;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use send_wrapper::SendWrapper;
use web_sys::MessagePort;

use super::connection::Muxer;
use super::error::{CloseReason, Error};
use super::page::Page;
use crate::webrtc::address::ListenerAddress;
use crate::webrtc::credentials::{self, Version};
use crate::webrtc::limits::{HANDSHAKE_TIMEOUT, V2_HEAD_START};
use crate::webrtc::noise;
use crate::webrtc::sdp::Offer;

type Upgrade = BoxFuture<'static, Result<(PeerId, Muxer), Error>>;

/// Which versions a dial tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versions {
    /// Version 2, and version 1 beside it if that is not done after [`V2_HEAD_START`]: for listeners that know only
    /// version 1. Nobody says which version a listener speaks; one that does not know it stays silent.
    #[default]
    Both,
    /// One version only.
    Only(Version),
}

/// webrtc-direct through the page that `port` leads to. Bound to the worker it was made in.
pub struct Transport {
    page: SendWrapper<Rc<Page>>,
    identity: Keypair,
    versions: Versions,
}

impl Transport {
    /// A transport whose page side (`serveWebRtc` of the worker package) has the other end of `port`.
    pub fn new(port: MessagePort, identity: Keypair) -> Self {
        Self { page: SendWrapper::new(Page::new(port)), identity, versions: Versions::default() }
    }

    /// Tries `versions` instead of both.
    #[must_use]
    pub fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, Muxer);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, _: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(addr))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let listener = match ListenerAddress::from_multiaddr(&addr) {
            Some(listener) if opts.role.is_dialer() => listener,
            Some(_) | None => return Err(TransportError::MultiaddrNotSupported(addr)),
        };
        let dial = dial((*self.page).clone(), self.identity.clone(), listener, self.versions);
        Ok(SendWrapper::new(dial).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        Poll::Pending
    }
}

async fn dial(
    page: Rc<Page>,
    identity: Keypair,
    listener: ListenerAddress,
    versions: Versions,
) -> Result<(PeerId, Muxer), Error> {
    let connect = |version| pin_local(connect(page.clone(), &identity, &listener, version));
    let connecting = async {
        match versions {
            Versions::Only(version) => connect(version).await,
            Versions::Both => {
                v2_then_v1(connect(Version::V2), Delay::new(V2_HEAD_START), || connect(Version::V1)).await
            }
        }
    };
    // Whatever is unfinished is dropped with its future, and its connection is closed then.
    match select(pin!(connecting), Delay::new(HANDSHAKE_TIMEOUT)).await {
        Either::Left((connected, _)) => connected,
        Either::Right(((), _)) => Err(Error::HandshakeTimeout { remote: listener.socket }),
    }
}

/// The first of two dials to succeed, the second started after the head start or when the first fails. If both fail, what the
/// first failed with: the second is for listeners that the first could not tell from silence.
async fn v2_then_v1<T, E, F>(first: F, head_start: impl Future<Output = ()>, second: impl FnOnce() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    let first = match select(first, pin!(head_start)).await {
        Either::Left((Ok(connected), _)) => return Ok(connected),
        Either::Left((Err(error), _)) => return second().await.map_err(|_| error),
        Either::Right(((), first)) => first,
    };
    match select(first, second()).await {
        Either::Left((Ok(connected), _)) | Either::Right((Ok(connected), _)) => Ok(connected),
        Either::Left((Err(error), second)) => second.await.map_err(|_| error),
        Either::Right((Err(_), first)) => first.await,
    }
}

type LocalDial<'a> = Pin<Box<dyn Future<Output = Result<(PeerId, Muxer), Error>> + 'a>>;

fn pin_local<'a>(dial: impl Future<Output = Result<(PeerId, Muxer), Error>> + 'a) -> LocalDial<'a> {
    Box::pin(dial)
}

async fn connect(
    page: Rc<Page>,
    identity: &Keypair,
    listener: &ListenerAddress,
    version: Version,
) -> Result<(PeerId, Muxer), Error> {
    let shared = match version {
        Version::V1 => Some(credentials::shared_ufrag()?),
        Version::V2 => None,
    };
    let connection = page.connect(shared.as_deref());
    let ListenerAddress { socket: remote, fingerprint, peer: expected } = *listener;
    let closed = |reason: CloseReason| Error::Closed { remote, reason };
    let offer = Offer::from_sdp(&connection.offer().await.map_err(closed)?)?;
    let ufrag = match shared {
        Some(ufrag) => ufrag,
        None => credentials::server_ufrag(&offer.ice_pwd)?,
    };
    connection.answer(&offer.answer(remote, fingerprint, &ufrag));
    let stream = connection.negotiated();
    let found = noise::dial(identity, stream, offer.fingerprint, fingerprint).await.map_err(|source| {
        // A channel that broke says little; why the connection ended says more.
        connection.reason().map_or(Error::Noise { remote, source: source.into() }, closed)
    })?;
    match expected {
        Some(expected) if expected != found => Err(Error::PeerId { expected: expected.into(), found: found.into() }),
        Some(_) | None => Ok((found, Muxer::new(connection))),
    }
}

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

use super::connection::{Connection, Muxer};
use super::error::{CloseReason, Error};
use super::page::Page;
use crate::webrtc::address::ListenerAddress;
use crate::webrtc::limits::HANDSHAKE_TIMEOUT;
use crate::webrtc::noise;
use crate::webrtc::sdp::Offer;

type Upgrade = BoxFuture<'static, Result<(PeerId, Muxer), Error>>;

/// webrtc-direct v2 through the page that `port` leads to. Bound to the worker it was made in.
pub struct Transport {
    page: SendWrapper<Rc<Page>>,
    identity: Keypair,
}

impl Transport {
    /// A transport whose page side (`serveWebRtc` of the worker package) has the other end of `port`.
    pub fn new(port: MessagePort, identity: Keypair) -> Self {
        Self { page: SendWrapper::new(Page::new(port)), identity }
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
        let dial = dial((*self.page).clone(), self.identity.clone(), listener);
        Ok(SendWrapper::new(dial).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        Poll::Pending
    }
}

async fn dial(page: Rc<Page>, identity: Keypair, listener: ListenerAddress) -> Result<(PeerId, Muxer), Error> {
    // Dropped with the future, should the dial be given up, and the connection with it.
    let connection = page.connect();
    let handshake = pin!(handshake(&connection, &identity, &listener));
    match select(handshake, Delay::new(HANDSHAKE_TIMEOUT)).await {
        Either::Left((peer, _)) => Ok((peer?, Muxer::new(connection.clone()))),
        Either::Right(((), _)) => Err(Error::HandshakeTimeout { remote: listener.socket }),
    }
}

async fn handshake(
    connection: &Rc<Connection>,
    identity: &Keypair,
    listener: &ListenerAddress,
) -> Result<PeerId, Error> {
    let ListenerAddress { socket: remote, fingerprint, peer: expected } = *listener;
    let closed = |reason: CloseReason| Error::Closed { remote, reason };
    let offer = Offer::from_sdp(&connection.offer().await.map_err(closed)?)?;
    connection.answer(&offer.answer(remote, fingerprint)?);
    let stream = connection.negotiated();
    let found = noise::dial(identity, stream, offer.fingerprint, fingerprint).await.map_err(|source| {
        // A channel that broke says little; why the connection ended says more.
        connection.reason().map_or(Error::Noise { remote, source: source.into() }, closed)
    })?;
    match expected {
        Some(expected) if expected != found => Err(Error::PeerId { expected: expected.into(), found: found.into() }),
        Some(_) | None => Ok(found),
    }
}

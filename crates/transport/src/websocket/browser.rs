//! The browser side: dials from a worker or a page. It only dials; nobody can reach a tab.

mod connection;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Ready},
};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise,
};
use send_wrapper::SendWrapper;

use super::{limits::HANDSHAKE_TIMEOUT, url::url, yamux_config};

pub use connection::{Connection, Error};

/// WebSocket with Noise and Yamux. Bound to the thread it dials in.
pub fn transport(identity: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    Transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(identity).expect("an Ed25519 key signs a Noise key"))
        .multiplex(yamux_config())
        .timeout(HANDSHAKE_TIMEOUT)
        .boxed()
}

/// The bytes of WebSockets, before Noise and Yamux.
#[derive(Debug, Default)]
pub struct Transport;

impl libp2p::core::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = Ready<Result<Connection, Error>>;
    type Dial = BoxFuture<'static, Result<Connection, Error>>;

    fn listen_on(&mut self, _: ListenerId, addr: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(addr))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        match url(&addr) {
            Ok(url) if opts.role.is_dialer() => Ok(SendWrapper::new(Connection::open(url)).boxed()),
            Ok(_) | Err(_) => Err(TransportError::MultiaddrNotSupported(addr)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

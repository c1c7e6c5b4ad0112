//! The native side: listens for tabs, and dials other listeners by IP address.

use std::time::Duration;

use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise,
};
use libp2p_websocket as websocket;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{
    limits::{HANDSHAKE_TIMEOUT, MAX_MESSAGE_LEN},
    yamux_config,
};
use crate::tcp;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file is not PEM.
    #[error("the certificate file: {0}")]
    Certificate(rustls_pki_types::pem::Error),
    /// The certificate file holds none.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// The key file is not PEM, or holds no private key.
    #[error("the key file: {0}")]
    Key(rustls_pki_types::pem::Error),
    /// The key is of no known form.
    #[error("the private key is neither PKCS#8, PKCS#1 nor SEC1")]
    KeyForm,
    /// Key and certificates do not fit each other, or a trusted one is malformed.
    #[error(transparent)]
    Refused(#[from] websocket::tls::Error),
}

/// A certificate with its key, so that the listener may serve `/tls/ws`.
#[derive(Clone, Debug)]
pub struct Tls(websocket::tls::Config);

impl Tls {
    /// From PEM: the chain with the listener's own certificate first, and its key.
    ///
    /// # Errors
    /// Anything that is not that.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        // The library panics on what it cannot tell apart.
        PrivateKeyDer::try_from(key.secret_der()).map_err(|_| TlsError::KeyForm)?;
        let key = websocket::tls::PrivateKey::new(key.secret_der().to_vec());
        Ok(Self(websocket::tls::Config::new(key, chain)?))
    }

    /// For a dialler that trusts these certificates (PEM) besides the public authorities.
    ///
    /// # Errors
    /// Anything that is not that.
    pub fn trusting(authorities: &[u8]) -> Result<Self, TlsError> {
        let mut builder = websocket::tls::Config::builder();
        for certificate in certificates(authorities)? {
            builder.add_trust(&certificate)?;
        }
        Ok(Self(builder.finish()))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<websocket::tls::Certificate>, TlsError> {
    let read = |found: Result<CertificateDer<'_>, _>| {
        found.map(|der| websocket::tls::Certificate::new(der.as_ref().to_vec())).map_err(TlsError::Certificate)
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).map(read).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(TlsError::NoCertificate) } else { Ok(found) }
}

/// WebSocket over TCP with Noise and Yamux. Listens on `/ip4|ip6/…/tcp/…/ws`, with `tls` on `/tls/ws` too, and dials both.
/// Needs a tokio runtime.
pub fn transport(identity: &Keypair, tls: Option<Tls>) -> Boxed<(PeerId, StreamMuxerBox)> {
    within(HANDSHAKE_TIMEOUT, identity, tls)
}

fn within(handshake: Duration, identity: &Keypair, tls: Option<Tls>) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut websocket = websocket::Config::new(tcp::transport());
    websocket.set_max_data_size(MAX_MESSAGE_LEN);
    if let Some(Tls(config)) = tls {
        websocket.set_tls_config(config);
    }
    websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(identity).expect("an Ed25519 key signs a Noise key"))
        .multiplex(yamux_config())
        .timeout(handshake)
        .boxed()
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::Pin};

    use libp2p::core::transport::{ListenerId, TransportEvent};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A listener, and sockets that stop after their first bytes: nothing, half a request, a request and nothing more.
    #[tokio::test]
    async fn sockets_that_fall_silent_are_closed() {
        const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                               Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        let mut listener = within(Duration::from_millis(50), &Keypair::generate_ed25519(), None);
        listener.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0/ws".parse().unwrap()).unwrap();
        let event = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await;
        let address = event.into_new_address().unwrap();
        let port: u16 = address.to_string().split('/').nth(4).unwrap().parse().unwrap();
        for said in ["", &REQUEST[..40], REQUEST] {
            let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            socket.write_all(said.as_bytes()).await.unwrap();
            let event = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await;
            let TransportEvent::Incoming { upgrade, .. } = event else { panic!("{event:?}") };
            assert!(upgrade.await.is_err(), "{said:?}");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.unwrap();
        }
    }
}

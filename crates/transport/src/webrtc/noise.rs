//! Authentication over channel 0: Noise XX with both certificate fingerprints in the prologue.
//!
//! The listener starts the handshake, since it is the one that can send first after DTLS 1.2; so the dialler is Noise
//! responder. When it is done, the stream has served its purpose and is closed.

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};

use super::fingerprint::{Fingerprint, noise_prologue};

fn config(identity: &Keypair, dialler: Fingerprint, listener: Fingerprint) -> Result<noise::Config, noise::Error> {
    Ok(noise::Config::new(identity)?.with_prologue(noise_prologue(dialler, listener)))
}

fn protocol(config: &noise::Config) -> &'static str {
    config.protocol_info().next().expect("Noise names one protocol")
}

/// The listener's side. Returns who dialled.
///
/// # Errors
/// Whatever the handshake fails with: other fingerprints, another protocol, a closed channel.
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(crate) async fn accept<T>(
    identity: &Keypair,
    stream: T,
    dialler: Fingerprint,
    listener: Fingerprint,
) -> Result<PeerId, noise::Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = config(identity, dialler, listener)?;
    let info = protocol(&config);
    let (peer, mut stream) = config.upgrade_outbound(stream, info).await?;
    end(&mut stream).await;
    Ok(peer)
}

/// The dialler's side. Returns who listened.
///
/// # Errors
/// As for [`accept`].
pub(crate) async fn dial<T>(
    identity: &Keypair,
    stream: T,
    dialler: Fingerprint,
    listener: Fingerprint,
) -> Result<PeerId, noise::Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = config(identity, dialler, listener)?;
    let info = protocol(&config);
    let (peer, mut stream) = config.upgrade_inbound(stream, info).await?;
    end(&mut stream).await;
    Ok(peer)
}

/// Both sides close the channel as soon as they know the other, so the peer may well have been first.
async fn end(stream: &mut (impl AsyncWrite + Unpin)) {
    if let Err(error) = stream.close().await {
        tracing::trace!(%error, "the handshake channel was closed already");
    }
}

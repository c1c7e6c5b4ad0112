//! `webrtc_peer listen`.

use std::error::Error;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Stream};
use shoal_transport::blob::{Blob, fetch, serve};
use shoal_transport::streams::Control;
use shoal_transport::webrtc::native::{Certificate, Config, Transport};
use shoal_wire::ids::BlobId;

use crate::{BLOBS, Behaviour, ECHO, MAX_BLOB, OneBlob, TAKE, echo_back, pattern};

/// Serves at `listen` for ever, with one blob of `blob_bytes`.
pub(crate) async fn run(listen: &str, blob_bytes: usize) -> Result<(), Box<dyn Error>> {
    let blob = OneBlob(Blob::new(pattern(blob_bytes)));
    let certificate = Certificate::generate()?;
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })?
        .with_behaviour(|_| Behaviour::new())?
        .build();
    let control = swarm.behaviour().stream.new_control();
    let mut echoes = control.accept(ECHO)?;
    let mut requests = control.accept(BLOBS)?;
    let mut takes = control.accept(TAKE)?;
    swarm.listen_on(listen.parse()?)?;
    println!("blob {}", hex::encode(blob.0.id().0));
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address, .. } => {
                    println!("listening {}", address.with(Protocol::P2p(*swarm.local_peer_id())));
                }
                // Comes as soon as a peer's connection has something allocated and channel 0 is open.
                SwarmEvent::IncomingConnection { send_back_addr, .. } => println!("incoming {send_back_addr}"),
                SwarmEvent::IncomingConnectionError { error, .. } => println!("refused {error}"),
                SwarmEvent::ConnectionEstablished { peer_id, .. } => println!("connected {peer_id}"),
                SwarmEvent::ConnectionClosed { peer_id, cause, .. } => println!("closed {peer_id} {cause:?}"),
                _ => {}
            },
            Some((_, stream)) = echoes.next() => {
                tokio::spawn(async move { report("echo", echo_back(stream).await) });
            }
            Some((_, stream)) = requests.next() => {
                let blob = blob.clone();
                tokio::spawn(async move { report("serve", serve(stream, &blob).await.map(drop)) });
            }
            Some((peer, stream)) = takes.next() => {
                let control = control.clone();
                tokio::spawn(async move { report("take", take(control, peer, stream).await) });
            }
        }
    }
}

/// Fetches the blob that `stream` names from `peer`, and answers with the hash of what came.
async fn take(control: Control, peer: PeerId, mut stream: Stream) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut id = [0; 32];
    stream.read_exact(&mut id).await?;
    let bytes = fetch(control.open_stream(peer, BLOBS).await?, BlobId(id), MAX_BLOB).await?;
    stream.write_all(blake3::hash(&bytes).as_bytes()).await?;
    stream.close().await?;
    Ok(())
}

fn report<E: std::fmt::Display>(what: &str, result: Result<(), E>) {
    match result {
        Ok(()) => println!("{what} done"),
        Err(error) => println!("{what} failed: {error}"),
    }
}

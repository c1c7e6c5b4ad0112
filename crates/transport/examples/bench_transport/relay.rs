//! Our listeners, WebRTC and its fallback, as a relay has them.

use std::error::Error;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Stream, Transport as _};
use shoal_transport::streams::{Behaviour, Control};
use shoal_transport::webrtc::native::{Certificate, Config, Transport};
use shoal_transport::websocket;

use crate::protocol::{BETWEEN_MEASUREMENTS, BYTES, COMMANDS, Command, DONE};
use crate::transfers::{Blobs, fetch_all, serve_all};

/// Bytes written at once to peers that do not speak the blob protocol: what one chunk of a blob has.
const WRITE_LEN: usize = 32 * 1024;

pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let certificate = Certificate::generate()?;
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })?
        .with_other_transport(|identity| websocket::native::transport(identity, None))?
        .with_behaviour(|_| Behaviour::new())?
        // Nothing is open between two measurements.
        .with_swarm_config(|config| config.with_idle_connection_timeout(BETWEEN_MEASUREMENTS))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0/ws".parse()?)?;
    let control = swarm.behaviour().new_control();
    let blobs = Blobs::default();
    let spawn = |transfer| {
        tokio::spawn(transfer);
    };
    tokio::spawn(serve_all(control.clone(), blobs.clone(), spawn));
    tokio::spawn(answer_commands(control.clone(), blobs));
    tokio::spawn(answer_bytes(control));
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("listening {}", address.with(Protocol::P2p(*swarm.local_peer_id())));
            }
            SwarmEvent::ConnectionClosed { cause: Some(cause), .. } => eprintln!("closed: {cause}"),
            SwarmEvent::IncomingConnectionError { error, .. } => eprintln!("refused: {error}"),
            _ => {}
        }
    }
}

async fn answer_commands(control: Control, blobs: Blobs) {
    let Ok(mut incoming) = control.accept(COMMANDS) else { return };
    while let Some((peer, stream)) = incoming.next().await {
        let (control, blobs) = (control.clone(), blobs.clone());
        tokio::spawn(async move {
            if let Err(error) = answer_command(stream, peer, control, blobs).await {
                eprintln!("a command failed: {error}");
            }
        });
    }
}

async fn answer_command(mut stream: Stream, peer: PeerId, control: Control, blobs: Blobs) -> Result<(), String> {
    match Command::read(&mut stream).await.map_err(|error| error.to_string())? {
        Command::Prepare { count, len } => {
            let made = tokio::task::spawn_blocking(move || blobs.prepare(count, len)).await;
            made.map_err(|error| error.to_string())?;
        }
        Command::Fetch { count, len } => fetch_all(&control, peer, &blobs.prepare(count, len)).await?,
        other @ (Command::Up { .. } | Command::Down { .. }) => {
            return Err(format!("{other:?} is not for this protocol"));
        }
    }
    let answer = async {
        stream.write_all(&[DONE]).await?;
        stream.close().await
    };
    answer.await.map_err(|error| error.to_string())
}

async fn answer_bytes(control: Control) {
    let Ok(mut incoming) = control.accept(BYTES) else { return };
    while let Some((_, stream)) = incoming.next().await {
        tokio::spawn(async move {
            if let Err(error) = move_bytes(stream).await {
                eprintln!("a transfer failed: {error}");
            }
        });
    }
}

async fn move_bytes(mut stream: Stream) -> std::io::Result<()> {
    match Command::read(&mut stream).await? {
        Command::Up { len } => {
            let moved = futures::io::copy((&mut stream).take(u64::from(len)), &mut futures::io::sink()).await?;
            if moved < u64::from(len) {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            stream.write_all(&[DONE]).await?;
        }
        Command::Down { len } => {
            let chunk = vec![0x5a; WRITE_LEN];
            let mut left = len as usize;
            while left > 0 {
                let len = left.min(chunk.len());
                stream.write_all(&chunk[..len]).await?;
                left -= len;
            }
        }
        Command::Prepare { .. } | Command::Fetch { .. } => return Err(std::io::ErrorKind::InvalidData.into()),
    }
    stream.close().await
}

//! A relay and a tab that echo each other's streams over webrtc-direct or WebSocket, to try the transports in a real
//! browser.
//!
//! Natively it is the relay: it listens on the loopback interface, prints its multiaddrs, answers pings and echo streams,
//! and echoes a mebibyte (16 over WebSocket, which has flow control) off every tab that connects, printing what came of it. For WebAssembly it is a module with one
//! function, `run`, for a dedicated worker: it connects, pings, echoes as much off the relay, and answers the relay's
//! echo. `examples/webrtc_echo.mjs` puts both together in a headless browser.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{PeerId, StreamProtocol, ping};
use libp2p_stream as stream;
use shoal_transport::race::Kind;

const ECHO: StreamProtocol = StreamProtocol::new("/shoal/example/echo/1");
const MIB: usize = 1024 * 1024;

/// How much is echoed over a connection to or from this address.
fn echoed_len(address: &libp2p::Multiaddr) -> usize {
    if Kind::of(address) == Some(Kind::WebSocket) { 16 * MIB } else { MIB }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    stream: stream::Behaviour,
}

impl Behaviour {
    fn new() -> Self {
        let ping = ping::Config::new().with_interval(std::time::Duration::from_millis(500));
        Self { ping: ping::Behaviour::new(ping), stream: stream::Behaviour::new() }
    }
}

/// Sends `len` bytes to `peer` and checks that they come back.
async fn echo_off(mut control: stream::Control, peer: PeerId, len: usize) -> Result<(), String> {
    let data: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    let stream = control.open_stream(peer, ECHO).await.map_err(|e| e.to_string())?;
    let (mut read, mut write) = stream.split();
    let mut back = Vec::new();
    let send = async {
        write.write_all(&data).await?;
        write.close().await
    };
    futures::try_join!(send, read.read_to_end(&mut back)).map_err(|e| e.to_string())?;
    if back == data { Ok(()) } else { Err(format!("{} bytes came back wrong", back.len())) }
}

/// Sends everything back that comes on `stream`; how much it was.
async fn echo_back(stream: libp2p::Stream) -> std::io::Result<u64> {
    let (read, mut write) = stream.split();
    let bytes = futures::io::copy(read, &mut write).await?;
    write.close().await?;
    Ok(bytes)
}

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Instant;

    use libp2p::Transport as _;
    use libp2p::core::muxing::StreamMuxerBox;
    use libp2p::multiaddr::Protocol;
    use libp2p::swarm::SwarmEvent;
    use shoal_transport::webrtc::native::{Certificate, Config, Transport};

    let certificate = Certificate::generate()?;
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })?
        .with_other_transport(|identity| shoal_transport::websocket::native::transport(identity, None))?
        .with_behaviour(|_| Behaviour::new())?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0/ws".parse()?)?;
    let control = swarm.behaviour().stream.new_control();
    let mut incoming = control.clone().accept(ECHO)?;
    tokio::spawn(async move {
        while let Some((_, stream)) = incoming.next().await {
            tokio::spawn(echo_back(stream));
        }
    });
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                let kind = Kind::of(&address).map_or("?", Kind::name);
                println!("{kind} {}", address.with(Protocol::P2p(*swarm.local_peer_id())));
            }
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                let len = echoed_len(endpoint.get_remote_address());
                let (control, end) = (control.clone(), control.clone());
                tokio::spawn(async move {
                    let start = Instant::now();
                    let result = echo_off(control, peer_id, len).await;
                    println!("echoed off the tab in {} ms: {result:?}", start.elapsed().as_millis());
                    // The tab takes another stream for the sign that it may go.
                    let _ = echo_off(end, peer_id, 1).await;
                });
            }
            SwarmEvent::ConnectionClosed { cause, .. } => println!("closed {cause:?}"),
            SwarmEvent::IncomingConnectionError { error, .. } => println!("refused {error}"),
            _ => {}
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(target_arch = "wasm32")]
pub mod tab {
    use libp2p::Transport as _;
    use libp2p::core::muxing::StreamMuxerBox;
    use libp2p::multiaddr::{Multiaddr, Protocol};
    use libp2p::swarm::SwarmEvent;
    use shoal_transport::webrtc::browser::Transport;
    use wasm_bindgen::prelude::wasm_bindgen;
    use wasm_bindgen_futures::spawn_local;
    use web_sys::MessagePort;

    use super::*;

    fn now_ms() -> f64 {
        js_sys::Date::now()
    }

    /// Connects to `address` through the page at the other end of `port`. What each step took, in words.
    #[wasm_bindgen]
    pub async fn run(port: MessagePort, address: String) -> Result<String, String> {
        let address: Multiaddr = address.parse().map_err(|e| format!("{e}"))?;
        let Some(Protocol::P2p(relay)) = address.iter().last() else { return Err("no peer id".to_owned()) };
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_wasm_bindgen()
            .with_other_transport(|identity| {
                Transport::new(port, identity.clone())
                    .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                    .or_transport(shoal_transport::websocket::browser::transport(identity))
                    .map(|either, _| either.into_inner())
            })
            .map_err(|e| format!("{e}"))?
            .with_behaviour(|_| Behaviour::new())
            .map_err(|e| format!("{e}"))?
            .build();
        let len = echoed_len(&address);
        let control = swarm.behaviour().stream.new_control();
        let mut incoming = control.clone().accept(ECHO).map_err(|e| e.to_string())?;
        let start = now_ms();
        swarm.dial(address).map_err(|e| e.to_string())?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        }
        let connected = now_ms();
        let round_trip = loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) = swarm.select_next_some().await {
                break event.result.map_err(|e| e.to_string())?;
            }
        };
        spawn_local(async move { while swarm.next().await.is_some() {} });
        let answered = async {
            let (_, stream) = incoming.next().await.ok_or_else(|| "no stream from the relay".to_owned())?;
            let bytes = echo_back(stream).await.map_err(|e| e.to_string())?;
            // The relay opens another one when it has everything.
            incoming.next().await.ok_or_else(|| "the relay did not get everything".to_owned())?;
            Ok::<u64, String>(bytes)
        };
        let asked = async {
            let start = now_ms();
            echo_off(control.clone(), relay, len).await?;
            let took = now_ms() - start;
            // Short streams in quick succession use the same channel ids again and again.
            for i in 0..400 {
                echo_off(control.clone(), relay, i * 10).await.map_err(|error| format!("short stream {i}: {error}"))?;
            }
            Ok(took)
        };
        let (answered, asked) = futures::try_join!(answered, asked)?;
        Ok(format!(
            "connected in {} ms, ping {} us, {} MiB off the relay in {asked} ms, {answered} bytes for the relay",
            connected - start,
            round_trip.as_micros(),
            len / MIB
        ))
    }
}

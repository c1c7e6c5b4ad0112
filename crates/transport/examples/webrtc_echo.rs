//! A relay that echoes, and a tab that reaches it by webrtc-direct: the least that uses this crate. The README says how to
//! run it; `webrtc_echo.html` is the page.
#![cfg_attr(target_arch = "wasm32", allow(missing_docs))]

use libp2p::StreamProtocol;

const ECHO: StreamProtocol = StreamProtocol::new("/example/echo/1");

/// The relay, a native program.
#[cfg(not(target_arch = "wasm32"))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
    use libp2p::core::{Transport as _, muxing::StreamMuxerBox};
    use libp2p::{multiaddr::Protocol, swarm::SwarmEvent};
    use shoal_transport::{
        streams,
        webrtc::native::{Certificate, Config, Transport},
    };

    // Keep the key and `certificate.to_bytes()` of a relay that should stay at the same address.
    let certificate = Certificate::generate()?;
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })?
        .with_behaviour(|_| streams::Behaviour::new())?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    let mut streams = swarm.behaviour().new_control().accept(ECHO)?;
    tokio::spawn(async move {
        while let Some((_, stream)) = streams.next().await {
            tokio::spawn(async move {
                let (read, mut write) = stream.split();
                futures::io::copy(read, &mut write).await?;
                write.close().await
            });
        }
    });
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            println!("{}", address.with(Protocol::P2p(*swarm.local_peer_id())));
        }
    }
}

/// The tab, a WebAssembly module for a dedicated worker.
#[cfg(target_arch = "wasm32")]
pub mod tab {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
    use libp2p::core::{Transport as _, muxing::StreamMuxerBox};
    use libp2p::{Multiaddr, swarm::SwarmEvent};
    use shoal_transport::{streams, webrtc::browser::Transport};
    use wasm_bindgen::prelude::wasm_bindgen;

    /// Sends `text` to the relay at `address` and returns what comes back. `port` leads to the page.
    #[wasm_bindgen]
    pub async fn echo(port: web_sys::MessagePort, address: String, text: String) -> Result<String, String> {
        run(port, &address, &text).await.map_err(|error| error.to_string())
    }

    async fn run(port: web_sys::MessagePort, address: &str, text: &str) -> Result<String, Box<dyn std::error::Error>> {
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_wasm_bindgen()
            .with_other_transport(|identity| {
                Transport::new(port, identity.clone()).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            })?
            .with_behaviour(|_| streams::Behaviour::new())?
            .build();
        swarm.dial(address.parse::<Multiaddr>()?)?;
        let relay = loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => break peer_id,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
                _ => {}
            }
        };
        let control = swarm.behaviour().new_control();
        wasm_bindgen_futures::spawn_local(async move { while swarm.next().await.is_some() {} });
        let mut stream = control.open_stream(relay, super::ECHO).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.close().await?;
        let mut back = String::new();
        stream.read_to_string(&mut back).await?;
        Ok(back)
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {}

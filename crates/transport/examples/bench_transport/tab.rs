//! The tab's end of our transport, in a dedicated worker.

use futures::{AsyncReadExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::multiaddr::{Multiaddr, Protocol};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Transport as _};
use shoal_transport::streams::{Behaviour, Control};
use shoal_transport::webrtc::browser::Transport;
use shoal_transport::websocket;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

use crate::protocol::{BETWEEN_MEASUREMENTS, COMMANDS, Command, DONE};
use crate::transfers::{Blobs, fetch_all, serve_all};

/// A connection to a relay.
#[wasm_bindgen]
pub struct Tab {
    control: Control,
    relay: PeerId,
    blobs: Blobs,
}

#[wasm_bindgen]
impl Tab {
    /// Connects to `address`, by WebSocket or by WebRTC through the page at the other end of `port`.
    pub async fn connect(port: MessagePort, address: String) -> Result<Tab, String> {
        let address: Multiaddr = address.parse().map_err(|error| format!("{error}"))?;
        let Some(Protocol::P2p(relay)) = address.iter().last() else { return Err("no peer id".to_owned()) };
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_wasm_bindgen()
            .with_other_transport(|identity| {
                Transport::new(port, identity.clone()).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            })
            .map_err(|error| format!("{error}"))?
            .with_other_transport(websocket::browser::transport)
            .map_err(|error| format!("{error}"))?
            .with_behaviour(|_| Behaviour::new())
            .map_err(|error| format!("{error}"))?
            // Nothing is open between two measurements.
            .with_swarm_config(|config| config.with_idle_connection_timeout(BETWEEN_MEASUREMENTS))
            .build();
        let control = swarm.behaviour().new_control();
        swarm.dial(address).map_err(|error| error.to_string())?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        }
        spawn_local(async move { while swarm.next().await.is_some() {} });
        let blobs = Blobs::default();
        spawn_local(serve_all(control.clone(), blobs.clone(), |transfer| spawn_local(transfer)));
        Ok(Self { control, relay, blobs })
    }

    /// Makes the blobs of a measurement at both ends.
    pub async fn prepare(&self, count: u32, len: u32) -> Result<(), String> {
        self.blobs.prepare(count, len);
        self.command(Command::Prepare { count, len }).await
    }

    /// Fetches `count` blobs of `len` bytes at once.
    pub async fn down(&self, count: u32, len: u32) -> Result<(), String> {
        fetch_all(&self.control, self.relay, &self.blobs.prepare(count, len)).await
    }

    /// Lets the relay fetch them.
    pub async fn up(&self, count: u32, len: u32) -> Result<(), String> {
        self.command(Command::Fetch { count, len }).await
    }
}

impl Tab {
    async fn command(&self, command: Command) -> Result<(), String> {
        let mut stream =
            self.control.clone().open_stream(self.relay, COMMANDS).await.map_err(|error| error.to_string())?;
        let asked = async {
            command.write(&mut stream).await?;
            let mut answer = [0];
            stream.read_exact(&mut answer).await?;
            Ok::<_, std::io::Error>(answer == [DONE])
        };
        match asked.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the relay did not do {command:?}")),
            Err(error) => Err(format!("{command:?}: {error}")),
        }
    }
}

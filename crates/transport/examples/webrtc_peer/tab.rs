//! The worker's side, one object for JavaScript. Every method answers with the milliseconds that it took.

use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::multiaddr::{Multiaddr, Protocol};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, ping};
use shoal_transport::blob::{Blob, fetch, serve};
use shoal_transport::streams::Control;
use shoal_transport::webrtc::browser::{Transport, Versions};
use shoal_transport::webrtc::credentials::Version;
use shoal_wire::ids::BlobId;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessagePort;

use crate::{BLOBS, Behaviour, BehaviourEvent, ECHO, MAX_BLOB, OneBlob, TAKE, echo_back, echo_off, pattern};

/// A connection to one relay.
#[wasm_bindgen]
pub struct Tab {
    control: Control,
    relay: PeerId,
    connect_ms: f64,
    round_trip: Duration,
}

#[wasm_bindgen]
impl Tab {
    /// Connects to `address` through the page at the other end of `port`, and waits for the first ping. `version` is the
    /// only one of webrtc-direct to try, or 0 for what the transport does by itself.
    pub async fn connect(port: MessagePort, address: String, version: u32) -> Result<Tab, String> {
        let versions = match version {
            0 => Versions::default(),
            1 => Versions::Only(Version::V1),
            2 => Versions::Only(Version::V2),
            other => return Err(format!("no version {other}")),
        };
        let address: Multiaddr = address.parse().map_err(text)?;
        let Some(Protocol::P2p(relay)) = address.iter().last() else { return Err("no peer id".to_owned()) };
        let mut swarm = libp2p::SwarmBuilder::with_new_identity()
            .with_wasm_bindgen()
            .with_other_transport(|identity| {
                let transport = Transport::new(port, identity.clone()).with_versions(versions);
                transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            })
            .map_err(text)?
            .with_behaviour(|_| Behaviour::new())
            .map_err(text)?
            .build();
        let control = swarm.behaviour().stream.new_control();
        let mut echoes = control.clone().accept(ECHO).map_err(text)?;
        spawn_local(async move {
            while let Some((_, stream)) = echoes.next().await {
                // A stream that breaks is seen by whoever opened it.
                spawn_local(async move { drop(echo_back(stream).await) });
            }
        });
        let start = now_ms();
        swarm.dial(address).map_err(text)?;
        let connect_ms = loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break now_ms() - start,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        };
        let round_trip = loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { result, .. })) =
                swarm.select_next_some().await
            {
                break result.map_err(text)?;
            }
        };
        spawn_local(async move { while swarm.next().await.is_some() {} });
        Ok(Tab { control, relay, connect_ms, round_trip })
    }

    /// Milliseconds from the dial to the authenticated connection.
    #[wasm_bindgen(getter, js_name = connectMs)]
    pub fn connect_ms(&self) -> f64 {
        self.connect_ms
    }

    /// Milliseconds of the first ping's round trip.
    #[wasm_bindgen(getter, js_name = pingMs)]
    pub fn ping_ms(&self) -> f64 {
        self.round_trip.as_secs_f64() * 1e3
    }

    /// Echoes `len` bytes off the relay on one stream.
    pub async fn echo(&self, len: usize) -> Result<f64, String> {
        let start = now_ms();
        echo_off(self.control.clone(), self.relay, len).await?;
        Ok(now_ms() - start)
    }

    /// Fetches the relay's blob of `len` bytes, and compares every byte.
    pub async fn download(&self, id: String, len: usize) -> Result<f64, String> {
        let id = BlobId(blake3::Hash::from_hex(id).map_err(text)?.into());
        let start = now_ms();
        let stream = self.control.clone().open_stream(self.relay, BLOBS).await.map_err(text)?;
        let bytes = fetch(stream, id, MAX_BLOB).await.map_err(text)?;
        let took = now_ms() - start;
        if bytes == pattern(len) { Ok(took) } else { Err(format!("{} other bytes came", bytes.len())) }
    }

    /// Has the relay fetch a blob of `len` bytes from here, and compares the hash of what it got.
    pub async fn upload(&self, len: usize) -> Result<f64, String> {
        let blob = OneBlob(Blob::new(pattern(len)));
        let control = self.control.clone();
        let mut requests = control.accept(BLOBS).map_err(text)?;
        let start = now_ms();
        let mut stream = control.open_stream(self.relay, TAKE).await.map_err(text)?;
        let ask = async {
            stream.write_all(&blob.0.id().0).await.map_err(text)?;
            let mut hash = [0; 32];
            stream.read_exact(&mut hash).await.map_err(text)?;
            Ok::<_, String>(hash)
        };
        let answer = async {
            let (_, stream) = requests.next().await.ok_or("the relay asked for nothing")?;
            serve(stream, &blob).await.map_err(text)
        };
        let (hash, _) = futures::try_join!(ask, answer)?;
        let took = now_ms() - start;
        if hash == blob.0.id().0 { Ok(took) } else { Err("the relay got other bytes".to_owned()) }
    }
}

fn now_ms() -> f64 {
    js_sys::Date::now()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

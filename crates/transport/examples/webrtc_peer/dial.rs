//! `webrtc_peer dial`.

use std::error::Error;

use futures::StreamExt as _;
use libp2p::Multiaddr;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::swarm::SwarmEvent;
use shoal_transport::webrtc::credentials::Version;
use shoal_transport::webrtc::native::{Certificate, Config, Transport};

use crate::{Behaviour, BehaviourEvent, echo_off};

/// Dials, waits for a ping, echoes `bytes` and leaves.
pub(crate) async fn run(address: &str, version: &str, bytes: usize) -> Result<(), Box<dyn Error>> {
    let version = match version {
        "1" => Version::V1,
        "2" => Version::V2,
        other => return Err(format!("no version {other}").into()),
    };
    let certificate = Certificate::generate()?;
    let mut swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).dialling(version).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })?
        .with_behaviour(|_| Behaviour::new())?
        .build();
    swarm.dial(address.parse::<Multiaddr>()?)?;
    let listener = loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => break peer_id,
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    };
    let round_trip = loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) = swarm.select_next_some().await {
            break ping.result?;
        }
    };
    println!("pinged in {} us", round_trip.as_micros());
    let control = swarm.behaviour().stream.new_control();
    tokio::select! {
        echoed = echo_off(control, listener, bytes) => echoed?,
        () = async { while swarm.next().await.is_some() {} } => {}
    }
    println!("echoed {bytes}");
    Ok(())
}

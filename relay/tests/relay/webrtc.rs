//! The same session over webrtc-direct: the transport that tabs use, dialled natively.

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, StreamProtocol, SwarmBuilder,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use shoal_transport::{
    framed::session,
    peer::keypair,
    streams,
    webrtc::native::{Certificate, Config, Transport},
};
use shoal_wire::{
    envelope::NodeKey,
    proto::{LeaseRequest, MessageType, NoWork},
    version::WORK_PROTOCOL,
};

use crate::common::{TestRelay, peer::hello};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_over_webrtc() {
    let relay = TestRelay::start_with(|config| {
        config.webrtc_addr = shoal_relay::config::ListenAddr::On("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let join = relay.api.ready.join.clone();
    let address: Multiaddr = join.addresses.iter().find(|a| a.contains("/webrtc-direct/")).unwrap().parse().unwrap();
    let mut swarm = SwarmBuilder::with_existing_identity(keypair(&[7; 32]))
        .with_tokio()
        .with_other_transport(|key| {
            Transport::new(Config { identity: key.clone(), certificate: Certificate::generate().unwrap() })
        })
        .unwrap()
        .with_behaviour(|_| streams::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(crate::common::PATIENCE))
        .build();
    let control = behaviour(&mut swarm).new_control();
    swarm.dial(address).unwrap();
    while !matches!(swarm.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let swarm = tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let relay_peer = shoal_transport::peer::peer_id(&join.relay).unwrap();
    let stream = control.open_stream(relay_peer, StreamProtocol::new(WORK_PROTOCOL)).await.unwrap();
    let (mut reader, mut writer) = session(stream, NodeKey::from_seed(&[7; 32], join.network), join.relay);
    writer.send(&hello()).await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().message_type(), MessageType::Welcome);
    writer.send(&LeaseRequest { max_units: 1 }).await.unwrap();
    let answer: NoWork = reader.next().await.unwrap().unwrap().message().unwrap();
    assert_eq!(answer.reason, "nothing to compute until the next round or job");
    swarm.abort();
    relay.stop().await;
}

fn behaviour<B: NetworkBehaviour>(swarm: &mut libp2p::Swarm<B>) -> &mut B {
    swarm.behaviour_mut()
}

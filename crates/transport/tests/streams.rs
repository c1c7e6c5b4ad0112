//! Streams by protocol name, over real webrtc-direct connections.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::time::Duration;

use futures::future::join_all;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, StreamProtocol, Swarm, Transport as _};
use shoal_transport::streams::{AlreadyAccepted, Behaviour, Control, IncomingStreams, MAX_HANDED_OVER, OpenError};
use shoal_transport::webrtc::native::{Certificate, Config, Transport};

const NAME: StreamProtocol = StreamProtocol::new("/test/name/1");
const OTHER: StreamProtocol = StreamProtocol::new("/test/other/1");
/// More than are handed over at once, fewer than are negotiated at once (128 unless the swarm is told otherwise).
const WAITING: u8 = 100;
const _: () = assert!(WAITING as usize > MAX_HANDED_OVER);
/// More than are negotiated at once, fewer than a connection has channels.
const MANY: u8 = 200;

fn swarm() -> Swarm<Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity| {
            let certificate = Certificate::generate().unwrap();
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })
        .unwrap()
        .with_behaviour(|_| Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build()
}

fn drive(mut swarm: Swarm<Behaviour>) {
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
}

/// A dialler's control, connected to a listener: its id and its control.
async fn connected() -> (Control, PeerId, Control) {
    let (mut listener, mut dialler) = (swarm(), swarm());
    listener.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = listener.select_next_some().await {
            break address.with(Protocol::P2p(*listener.local_peer_id()));
        }
    };
    let (peer, theirs) = (*listener.local_peer_id(), listener.behaviour().new_control());
    drive(listener);
    dialler.dial(address).unwrap();
    while !matches!(dialler.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    let own = dialler.behaviour().new_control();
    drive(dialler);
    (own, peer, theirs)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(50), future).await.expect("in time")
}

/// Reads each stream to its end: one byte. A stream that is dropped before its end is reset, which its writer may hear while
/// it closes.
async fn names(incoming: &mut IncomingStreams, count: u8) -> Vec<u8> {
    let mut names = Vec::new();
    for _ in 0..count {
        let (_, mut stream) = incoming.next().await.unwrap();
        let mut name = Vec::new();
        stream.read_to_end(&mut name).await.unwrap();
        assert_eq!(name.len(), 1);
        names.extend(name);
    }
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_many_streams_opened_in_one_instant_is_lost() {
    within(async {
        let (control, peer, theirs) = connected().await;
        let mut incoming = theirs.accept(NAME).unwrap();
        let open = move |name: u8| {
            let control = control.clone();
            async move {
                let mut stream = control.open_stream(peer, NAME).await.unwrap();
                stream.write_all(&[name]).await.unwrap();
                stream.close().await.unwrap();
            }
        };
        // All of these stand before the first is taken: a few are handed over, the others wait in their negotiation.
        join_all((0..WAITING).map(&open)).await;
        let opening = tokio::spawn(join_all((WAITING..MANY).map(open)));
        assert_eq!(names(&mut incoming, MANY).await, (0..MANY).collect::<Vec<_>>());
        opening.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_is_accepted_once_and_until_its_handle_goes() {
    within(async {
        let (control, peer, theirs) = connected().await;
        let incoming = theirs.accept(NAME).unwrap();
        assert_eq!(theirs.accept(NAME).err(), Some(AlreadyAccepted(NAME)));
        let refused = control.open_stream(peer, OTHER).await.err();
        assert!(matches!(&refused, Some(OpenError::Unsupported(protocol)) if *protocol == OTHER), "{refused:?}");
        drop(incoming);
        let refused = control.open_stream(peer, NAME).await.err();
        assert!(matches!(&refused, Some(OpenError::Unsupported(protocol)) if *protocol == NAME), "{refused:?}");
        let mut incoming = theirs.accept(NAME).unwrap();
        let mut stream = control.open_stream(peer, NAME).await.unwrap();
        stream.write_all(&[7]).await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(names(&mut incoming, 1).await, [7]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_opening_fails_at_once() {
    let control = swarm().behaviour().new_control();
    let stranger = PeerId::random();
    let refused = within(control.open_stream(stranger, NAME)).await.err();
    assert!(matches!(refused, Some(OpenError::NotConnected(peer)) if peer == stranger), "{refused:?}");
}

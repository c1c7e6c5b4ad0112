//! The native listener against the native dialler: whole libp2p swarms over UDP on the loopback interface.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{DialError, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, ping};
use shoal_transport::streams;
use shoal_transport::webrtc::fingerprint::Fingerprint;
use shoal_transport::webrtc::native::{Certificate, Config, Transport};

const ECHO: StreamProtocol = StreamProtocol::new("/test/echo/1");
const MIB: usize = 1024 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    stream: streams::Behaviour,
}

fn swarm(certificate: Certificate) -> Swarm<Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_other_transport(|identity: &Keypair| {
            let config = Config { identity: identity.clone(), certificate };
            Transport::new(config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })
        .unwrap()
        .with_behaviour(|_| Behaviour {
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(200))),
            stream: streams::Behaviour::new(),
        })
        .unwrap()
        .build()
}

fn new_swarm() -> Swarm<Behaviour> {
    swarm(Certificate::generate().unwrap())
}

/// Listens on a free port and returns the full address.
async fn listen(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/udp/0/webrtc-direct".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address.with(Protocol::P2p(*swarm.local_peer_id()));
        }
    }
}

/// Answers every echo stream, then polls `swarm` for ever.
fn serve_echo(mut swarm: Swarm<Behaviour>) {
    let mut streams = swarm.behaviour().stream.new_control().accept(ECHO).unwrap();
    tokio::spawn(async move {
        while let Some((_, stream)) = streams.next().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                if futures::io::copy(&mut read, &mut write).await.is_ok() {
                    let _ = write.close().await;
                }
            });
        }
    });
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
}

async fn echo(control: streams::Control, peer: PeerId, data: Vec<u8>) -> Vec<u8> {
    let stream = control.open_stream(peer, ECHO).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut back = Vec::new();
    let write = async {
        write.write_all(&data).await.unwrap();
        write.close().await.unwrap();
    };
    let (_, read) = futures::join!(write, read.read_to_end(&mut back));
    read.unwrap();
    back
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

async fn connect(swarm: &mut Swarm<Behaviour>, address: Multiaddr) {
    swarm.dial(address).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return,
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
}

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

#[tokio::test]
async fn ping_goes_both_ways() {
    let (mut a, mut b) = (new_swarm(), new_swarm());
    let address = listen(&mut a).await;
    b.dial(address).unwrap();
    let (mut pinged_a, mut pinged_b) = (false, false);
    within(20, async {
        while !(pinged_a && pinged_b) {
            let (event, side) = tokio::select! {
                event = a.select_next_some() => (event, &mut pinged_a),
                event = b.select_next_some() => (event, &mut pinged_b),
            };
            match event {
                SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) => *side |= ping.result.is_ok(),
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                SwarmEvent::IncomingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mebibyte_is_echoed_in_both_directions() {
    let (mut listener, mut dialler) = (new_swarm(), new_swarm());
    let address = listen(&mut listener).await;
    let (from_listener, from_dialler) =
        (listener.behaviour().stream.new_control(), dialler.behaviour().stream.new_control());
    let (listener_id, dialler_id) = (*listener.local_peer_id(), *dialler.local_peer_id());
    serve_echo(listener);
    within(20, connect(&mut dialler, address)).await;
    serve_echo(dialler);
    let data = pattern(MIB);
    within(60, async {
        assert!(echo(from_dialler, listener_id, data.clone()).await == data);
        assert!(echo(from_listener, dialler_id, data.clone()).await == data);
    })
    .await;
}

#[tokio::test]
async fn another_certificate_or_identity_is_refused() {
    let (mut listener, mut dialler) = (new_swarm(), new_swarm());
    let address = listen(&mut listener).await;
    let peer = *listener.local_peer_id();
    serve_echo(listener);
    let other = Protocol::P2p(PeerId::random());
    let wrong_peer: Multiaddr = address.iter().filter(|p| !matches!(p, Protocol::P2p(_))).chain([other]).collect();
    within(30, refused(&mut dialler, wrong_peer)).await;
    let hash = Protocol::Certhash(Fingerprint::new([9; 32]).to_multihash());
    let wrong_certificate: Multiaddr =
        address.iter().map(|p| if matches!(p, Protocol::Certhash(_)) { hash.clone() } else { p }).collect();
    within(30, refused(&mut dialler, wrong_certificate)).await;
    assert!(!dialler.is_connected(&peer));
    within(20, connect(&mut dialler, address)).await;
}

async fn refused(swarm: &mut Swarm<Behaviour>, address: Multiaddr) {
    swarm.dial(address).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                assert!(matches!(error, DialError::Transport(_) | DialError::WrongPeerId { .. }), "{error:?}");
                return;
            }
            SwarmEvent::ConnectionEstablished { .. } => panic!("must not connect"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn both_sides_notice_when_one_goes() {
    let (mut listener, mut dialler) = (new_swarm(), new_swarm());
    let address = listen(&mut listener).await;
    let serve = async {
        loop {
            if let SwarmEvent::ConnectionClosed { .. } = listener.select_next_some().await {
                return;
            }
        }
    };
    let leave = async {
        connect(&mut dialler, address).await;
        drop(dialler);
    };
    within(20, futures::future::join(serve, leave)).await;
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let (mut listener, mut dialler) = (new_swarm(), new_swarm());
    let address = listen(&mut listener).await;
    let peer = *listener.local_peer_id();
    let control = dialler.behaviour().stream.new_control();
    let port = address.iter().find_map(|p| if let Protocol::Udp(port) = p { Some(port) } else { None }).unwrap();
    serve_echo(listener);
    within(20, connect(&mut dialler, address)).await;
    serve_echo(dialler);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut noise = 12_345u32;
    for first in 0..=255u8 {
        for len in [0usize, 1, 19, 20, 48, 1500] {
            let mut datagram: Vec<u8> = (0..len)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .collect();
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            socket.send_to(&datagram, ("127.0.0.1", port)).await.unwrap();
        }
    }
    assert!(within(30, echo(control, peer, pattern(100_000))).await == pattern(100_000));
}

#[test]
fn a_stored_certificate_keeps_the_address() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let certhash = |certificate: Certificate| {
        runtime.block_on(async {
            let address = listen(&mut swarm(certificate)).await;
            address.iter().find(|p| matches!(p, Protocol::Certhash(_))).map(|p| p.to_string())
        })
    };
    let certificate = Certificate::generate().unwrap();
    let restored = Certificate::from_bytes(&certificate.to_bytes()).unwrap();
    assert_eq!(certhash(certificate), certhash(restored));
}

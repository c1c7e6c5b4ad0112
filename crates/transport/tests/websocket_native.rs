//! The native WebSocket transport at both ends: bytes both ways over `/ws` and `/tls/ws`, and what is refused.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::{future::poll_fn, pin::Pin, task::Poll};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId, Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
};
use shoal_transport::websocket::{
    limits::MAX_MESSAGE_LEN,
    native::{Tls, TlsError, transport},
};

type Transport = Boxed<(PeerId, StreamMuxerBox)>;

/// A certificate for 127.0.0.1, and its key, as PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.key_pair.serialize_pem())
}

async fn listen(transport: &mut Transport, address: &str) -> Multiaddr {
    transport.listen_on(ListenerId::next(), address.parse().unwrap()).unwrap();
    let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx)).await;
    event.into_new_address().unwrap()
}

/// A proven peer and a stream to it.
struct End {
    peer: PeerId,
    stream: oneshot::Receiver<SubstreamBox>,
}

/// Connects two transports, the first of which listens.
async fn connect(mut listener: Transport, mut dialler: Transport, address: Multiaddr) -> std::io::Result<[End; 2]> {
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dial = dialler.dial(address, opts).unwrap();
    let accepted = tokio::spawn(async move {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await {
                return upgrade.await;
            }
        }
    });
    let (peer, muxer) = dial.await?;
    // Driven at once: the last negotiation is lazy, and goes out with the first bytes.
    let dialled = End { peer, stream: stream(muxer, true) };
    let (peer, muxer) = accepted.await.unwrap()?;
    Ok([End { peer, stream: stream(muxer, false) }, dialled])
}

/// Keeps a connection going and gives one stream of it.
fn stream(mut muxer: StreamMuxerBox, open: bool) -> oneshot::Receiver<SubstreamBox> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let mut sender = Some(sender);
        poll_fn(move |cx| {
            if sender.is_some() {
                let polled = if open { muxer.poll_outbound_unpin(cx) } else { muxer.poll_inbound_unpin(cx) };
                if let Poll::Ready(Ok(stream)) = polled {
                    let _ = sender.take().unwrap().send(stream);
                }
            }
            muxer.poll_unpin(cx).map(drop)
        })
        .await;
    });
    receiver
}

/// Bytes that no shift or swap leaves alone.
fn payload(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8).collect()
}

async fn both_ways([accepted, dialled]: [End; 2]) {
    const LEN: usize = 3 * 1024 * 1024 + 17;
    let exchange = |stream: oneshot::Receiver<SubstreamBox>, own: u32, other: u32| async move {
        let (mut reader, mut writer) = stream.await.unwrap().split();
        let write = async move {
            writer.write_all(&payload(LEN, own)).await.unwrap();
            writer.close().await.unwrap();
        };
        let read = async move {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).await.unwrap();
            assert!(read == payload(LEN, other), "{} bytes differ", read.len());
        };
        futures::join!(write, read);
    };
    futures::join!(exchange(accepted.stream, 1, 2), exchange(dialled.stream, 2, 1));
}

#[tokio::test]
async fn bytes_go_both_ways_without_tls() {
    let (server, client) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let mut listener = transport(&server, None);
    let address = listen(&mut listener, "/ip4/127.0.0.1/tcp/0/ws").await;
    let ends = connect(listener, transport(&client, None), address).await.unwrap();
    assert_eq!(ends[0].peer, client.public().to_peer_id());
    assert_eq!(ends[1].peer, server.public().to_peer_id());
    both_ways(ends).await;
}

#[tokio::test]
async fn bytes_go_both_ways_with_a_given_certificate() {
    let (server, client) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (chain, key) = certificate();
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let mut listener = transport(&server, Some(tls));
    let address = listen(&mut listener, "/ip4/127.0.0.1/tcp/0/tls/ws").await;
    assert!(address.to_string().ends_with("/tls/ws"), "{address}");
    let trusting = Tls::trusting(chain.as_bytes()).unwrap();
    let ends = connect(listener, transport(&client, Some(trusting)), address).await.unwrap();
    both_ways(ends).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (server, client) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (chain, key) = certificate();
    let mut listener = transport(&server, Some(Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()));
    let address = listen(&mut listener, "/ip4/127.0.0.1/tcp/0/tls/ws").await;
    let error = connect(listener, transport(&client, None), address).await.err().expect("refused").to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn without_a_certificate_nobody_listens_for_tls() {
    let mut listener = transport(&Keypair::generate_ed25519(), None);
    let address = "/ip4/127.0.0.1/tcp/0/tls/ws".parse().unwrap();
    assert!(listener.listen_on(ListenerId::next(), address).is_err());
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_name() {
    let ((chain, key), (_, stranger)) = (certificate(), certificate());
    let refused = |chain: &str, key: &str| Tls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(refused("", &key), TlsError::NoCertificate));
    assert!(matches!(refused(&key, &key), TlsError::NoCertificate));
    assert!(matches!(refused("-----BEGIN CERTIFICATE-----\n!", &key), TlsError::Certificate(_)));
    assert!(matches!(refused(&chain, ""), TlsError::Key(_)));
    assert!(matches!(refused(&chain, &chain), TlsError::Key(_)));
    assert!(matches!(refused(&chain, &stranger), TlsError::Refused(_)));
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused(&chain, nonsense), TlsError::KeyForm));
}

#[tokio::test]
async fn a_message_longer_than_allowed_ends_the_connection() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut listener = transport(&Keypair::generate_ed25519(), None);
    let address = listen(&mut listener, "/ip4/127.0.0.1/tcp/0/ws").await;
    let port: u16 = address.to_string().split('/').nth(4).unwrap().parse().unwrap();
    let accepting = tokio::spawn(async move {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await {
                return upgrade.await;
            }
        }
    });
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    // A masked binary frame of twice the allowed length: thrown away as it comes, then the connection ends.
    let len = 2 * MAX_MESSAGE_LEN;
    let mut frame = vec![0x82, 0xff];
    frame.extend((len as u64).to_be_bytes());
    frame.extend(vec![0; 4 + len]);
    socket.write_all(&frame).await.unwrap();
    let error = format!("{:?}", accepting.await.unwrap().expect_err("refused"));
    assert!(error.contains("TooLarge"), "{error}");
    let _ = socket.read_to_end(&mut answer).await;
}

//! The proxies between real sockets.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shoal_netem::{Conditions, TcpProxy, UdpProxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const LOOPBACK: &str = "127.0.0.1:0";
const ROUND_TRIP: Duration = Duration::from_millis(50);

async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    address
}

async fn tcp_echo() -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
        }
    });
    address
}

/// Sends 200 numbered datagrams, few enough for the echo's socket to hold all, through a proxy of that seed; the numbers that came back.
async fn survivors(seed: u64) -> Vec<u16> {
    const LAST: u16 = 200;
    let proxy = UdpProxy::open(udp_echo().await, Conditions::new(ROUND_TRIP, 100), seed).await.unwrap();
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(proxy.address()).await.unwrap();
    for number in 0..LAST {
        socket.send(&number.to_be_bytes()).await.unwrap();
    }
    let mut back = Vec::new();
    let mut buffer = [0; 2];
    // Nothing overtakes, so when a last one comes back, and one of many will, all others have.
    let mut again = tokio::time::interval(ROUND_TRIP);
    while back.last() != Some(&LAST) {
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                assert_eq!(received.unwrap(), 2);
                back.push(u16::from_be_bytes(buffer));
            }
            _ = again.tick() => {
                socket.send(&LAST.to_be_bytes()).await.unwrap();
            }
        }
    }
    assert_eq!(proxy.counts().overflowed(), 0);
    assert!(proxy.counts().lost() > 0);
    back.pop();
    back
}

#[tokio::test]
async fn a_seed_decides_which_datagrams_are_lost() {
    let first = survivors(1).await;
    assert!(first.is_sorted(), "nothing overtakes");
    assert!((140..185).contains(&first.len()), "{} of 200 survived 10 % loss each way", first.len());
    assert_eq!(first, survivors(1).await);
    assert_ne!(first, survivors(2).await);
}

#[tokio::test]
async fn datagrams_take_the_round_trip() {
    let proxy = UdpProxy::open(udp_echo().await, Conditions::new(ROUND_TRIP, 0), 1).await.unwrap();
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(proxy.address()).await.unwrap();
    let start = Instant::now();
    socket.send(b"ping").await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(socket.recv(&mut buffer).await.unwrap(), 4);
    assert_eq!(&buffer[..4], b"ping");
    assert!(start.elapsed() >= ROUND_TRIP);
}

#[tokio::test]
async fn clients_have_flows_of_their_own() {
    let proxy = UdpProxy::open(udp_echo().await, Conditions::new(Duration::ZERO, 0), 1).await.unwrap();
    for text in [b"one", b"two"] {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.connect(proxy.address()).await.unwrap();
        socket.send(text).await.unwrap();
        let mut buffer = [0; 8];
        let len = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], text);
    }
}

#[tokio::test]
async fn a_stream_arrives_whole_in_spite_of_losses() {
    let proxy = TcpProxy::open(tcp_echo().await, Conditions::new(ROUND_TRIP, 50), 1).await.unwrap();
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let data: Vec<u8> = (0..300_000_u32).map(|i| (i / 7) as u8).collect();
    let (mut read, mut write) = stream.into_split();
    let start = Instant::now();
    let send = async {
        write.write_all(&data).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let receive = async {
        read.read_to_end(&mut back).await.unwrap();
    };
    tokio::join!(send, receive);
    assert!(back == data, "{} bytes came back", back.len());
    assert!(proxy.counts().lost() > 0);
    assert!(start.elapsed() >= ROUND_TRIP);
}

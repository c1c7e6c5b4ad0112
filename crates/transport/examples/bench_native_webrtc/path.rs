//! A UDP path with a round trip and losses between the dialler and the listener, the same at every run with a seed.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Datagrams on their way in one direction. More are dropped, as by a router: about 20 MB/s at 50 ms of round trip.
const MAX_ON_THE_WAY: usize = 4096;
const MAX_DATAGRAM_LEN: usize = 2000;
/// So that nothing is lost on the way in but what is to be lost.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Default)]
pub(crate) struct Path {
    pub(crate) round_trip: Duration,
    /// Datagrams lost of a hundred, each way.
    pub(crate) loss_percent: f64,
    pub(crate) seed: u64,
}

impl Path {
    pub(crate) fn is_direct(&self) -> bool {
        self.round_trip.is_zero() && self.loss_percent == 0.0
    }
}

/// Starts the path in a thread of its own; the address to dial instead of `listener`.
pub(crate) async fn start(path: Path, listener: Multiaddr) -> io::Result<Multiaddr> {
    let port = |part: &Protocol<'_>| if let Protocol::Udp(port) = part { Some(*port) } else { None };
    let listening = listener.iter().find_map(|part| port(&part)).ok_or(io::ErrorKind::InvalidInput)?;
    let near = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let far = std::net::UdpSocket::bind("127.0.0.1:0")?;
    far.connect(("127.0.0.1", listening))?;
    for socket in [&near, &far] {
        socket2::SockRef::from(socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    let entrance = near.local_addr()?.port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { carry(path, UdpSocket::from_std(near)?, UdpSocket::from_std(far)?).await })
    });
    Ok(listener.iter().map(|part| if port(&part).is_some() { Protocol::Udp(entrance) } else { part }).collect())
}

async fn carry(path: Path, near: UdpSocket, far: UdpSocket) -> io::Result<()> {
    let (mut up, mut down) = (Way::new(path, 1), Way::new(path, 2));
    let (mut near_buf, mut far_buf) = ([0; MAX_DATAGRAM_LEN], [0; MAX_DATAGRAM_LEN]);
    let mut dialler: Option<SocketAddr> = None;
    loop {
        tokio::select! {
            received = near.recv_from(&mut near_buf) => {
                let (len, source) = received?;
                dialler = Some(source);
                up.enter(&near_buf[..len]);
            }
            received = far.recv(&mut far_buf) => down.enter(&far_buf[..received?]),
            datagram = up.leave() => { far.send(&datagram).await?; }
            datagram = down.leave() => if let Some(dialler) = dialler { near.send_to(&datagram, dialler).await?; },
        }
    }
}

/// One direction.
struct Way {
    delay: Duration,
    loss_percent: f64,
    random: u64,
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Way {
    fn new(path: Path, number: u64) -> Self {
        let random = path.seed.wrapping_add(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { delay: path.round_trip / 2, loss_percent: path.loss_percent, random, on_the_way: VecDeque::new() }
    }

    fn enter(&mut self, datagram: &[u8]) {
        if self.on_the_way.len() < MAX_ON_THE_WAY && self.next_percent() >= self.loss_percent {
            self.on_the_way.push_back((Instant::now() + self.delay, datagram.to_vec()));
        }
    }

    async fn leave(&mut self) -> Vec<u8> {
        match self.on_the_way.front() {
            Some((at, _)) => tokio::time::sleep_until(*at).await,
            None => std::future::pending().await,
        }
        self.on_the_way.pop_front().map(|(_, datagram)| datagram).unwrap_or_default()
    }

    /// Uniform in 0..100: splitmix64.
    fn next_percent(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 * 100.0
    }
}

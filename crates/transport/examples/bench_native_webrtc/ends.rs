//! The two ends of the measured connection. Each stream starts with a request: what to do, and with how many bytes.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _};
use libp2p::core::muxing::StreamMuxer as _;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, multiaddr::Protocol};
use rustix::time::{ClockId, clock_gettime};
use shoal_transport::webrtc::native::{Certificate, Config, Muxer, Substream, Transport};

/// The bytes an application hands over at once: four frames, as a blob transfer does.
const PIECE: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// From the listener to the dialler.
    Down,
    Up,
}

impl Direction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

const SEND: u8 = 0;
const RECEIVE: u8 = 1;
const TELL_CPU_TIME: u8 = 2;
const REQUEST_LEN: usize = 1 + 8;

fn request(what: u8, len: u64) -> [u8; REQUEST_LEN] {
    let mut request = [what; REQUEST_LEN];
    request[1..].copy_from_slice(&len.to_be_bytes());
    request
}

/// Processor time of this process.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The dialler's end: the streams that carry, and one for questions, opened once so that opening is not measured.
pub(crate) struct Dialler {
    question: Substream,
    streams: Vec<Substream>,
    _muxer: Muxer,
}

impl Dialler {
    /// Processor time of the other end.
    pub(crate) async fn remote_cpu_time(&mut self) -> io::Result<Duration> {
        self.question.write_all(&request(TELL_CPU_TIME, 0)).await?;
        let mut nanos = [0; 8];
        self.question.read_exact(&mut nanos).await?;
        Ok(Duration::from_nanos(u64::from_be_bytes(nanos)))
    }

    /// Moves `len` bytes on each of the first `streams` streams.
    pub(crate) async fn transfer(&mut self, direction: Direction, streams: usize, len: u64) -> io::Result<()> {
        let transfers = self.streams.drain(..streams).map(|mut stream| {
            tokio::spawn(async move {
                match direction {
                    Direction::Down => {
                        stream.write_all(&request(SEND, len)).await?;
                        receive(&mut stream, len).await?;
                    }
                    Direction::Up => {
                        stream.write_all(&request(RECEIVE, len)).await?;
                        send(&mut stream, len).await?;
                        stream.read_exact(&mut [0]).await?;
                    }
                }
                Ok::<Substream, io::Error>(stream)
            })
            .map(|joined| joined.map_err(io::Error::other).flatten())
        });
        let streams = futures::future::try_join_all(transfers).await?;
        self.streams.extend(streams);
        Ok(())
    }
}

async fn send(stream: &mut Substream, mut len: u64) -> io::Result<()> {
    let piece: Vec<u8> = (0..PIECE).map(|i| (i * 7 + i / 251) as u8).collect();
    while len > 0 {
        let n = len.min(PIECE as u64) as usize;
        stream.write_all(&piece[..n]).await?;
        len -= n as u64;
    }
    Ok(())
}

async fn receive(stream: &mut Substream, mut len: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while len > 0 {
        let n = stream.read(&mut piece).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        len -= n as u64;
    }
    Ok(())
}

/// Answers the requests of one stream until it ends.
async fn serve(mut stream: Substream) -> io::Result<()> {
    loop {
        let mut request = [0; REQUEST_LEN];
        stream.read_exact(&mut request).await?;
        let (what, len) = request.split_at(1);
        let len = u64::from_be_bytes(len.try_into().expect("eight bytes"));
        match what[0] {
            SEND => send(&mut stream, len).await?,
            RECEIVE => {
                receive(&mut stream, len).await?;
                stream.write_all(&[1]).await?;
            }
            _ => stream.write_all(&(cpu_time().as_nanos() as u64).to_be_bytes()).await?,
        }
    }
}

fn transport() -> Result<Transport, Box<dyn Error + Send + Sync>> {
    Ok(Transport::new(Config { identity: Keypair::generate_ed25519(), certificate: Certificate::generate()? }))
}

/// Listens on loopback, prints the address and serves whoever dials.
pub(crate) async fn listen() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut transport = transport()?;
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    loop {
        match poll_fn(|cx| Pin::new(&mut transport).poll(cx)).await {
            TransportEvent::NewAddress { listen_addr, .. } => println!("{listen_addr}"),
            TransportEvent::Incoming { upgrade, .. } => {
                tokio::spawn(async move {
                    let mut muxer = upgrade.await.map_err(|error| eprintln!("{error}"))?.1;
                    while let Ok(stream) = poll_fn(|cx| Pin::new(&mut muxer).poll_inbound(cx)).await {
                        // A stream that ends is the dialler going.
                        tokio::spawn(serve(stream));
                    }
                    Ok::<(), ()>(())
                });
            }
            other => eprintln!("{other:?}"),
        }
    }
}

/// Connects to a listener, whatever its identity, with `streams` streams.
pub(crate) async fn dial(address: Multiaddr, streams: usize) -> Result<Dialler, Box<dyn Error>> {
    let mut transport = transport().map_err(|error| error.to_string())?;
    let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let address: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    let mut muxer = transport.dial(address, opts)?.await?.1;
    let mut opened = Vec::new();
    for _ in 0..=streams {
        opened.push(poll_fn(|cx| Pin::new(&mut muxer).poll_outbound(cx)).await?);
    }
    let question = opened.swap_remove(0);
    Ok(Dialler { question, streams: opened, _muxer: muxer })
}

//! The TCP proxy: carries connections to one target as [`Window`] says.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

use crate::conditions::{Conditions, Counts};
use crate::limits::{MAX_FLOWS, SEGMENT_LEN};
use crate::link::Fate;
use crate::window::Window;

/// A path to one target. Dropping it breaks its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl TcpProxy {
    /// Opens a path to `target` on a port of the loopback interface.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub async fn open(target: SocketAddr, conditions: Conditions, seed: u64) -> io::Result<Self> {
        Self::open_uneven(target, [conditions; 2], seed).await
    }

    /// The same with conditions of their own for what goes to the target and for what comes back: an access line.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_uneven(target: SocketAddr, conditions: [Conditions; 2], seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(accept(listener, target, conditions, seed, counts.clone()));
        Ok(Self { address, counts, task })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What became of the segments so far. None overflows: a stream waits.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    conditions: [Conditions; 2],
    seed: u64,
    counts: Arc<Counts>,
) {
    let mut flows = JoinSet::new();
    let mut opened = 0;
    loop {
        let client = tokio::select! {
            client = listener.accept() => client,
            Some(_) = flows.join_next() => continue,
        };
        // Out of descriptors, or a client that left again: the others are still there.
        let Ok((client, _)) = client else { continue };
        if flows.len() >= MAX_FLOWS {
            continue;
        }
        let directions = [0, 1].map(|direction| {
            let conditions = conditions[direction as usize];
            (Window::new(conditions, seed, 2 * opened + direction), conditions.queue_bytes)
        });
        flows.spawn(carry(client, target, directions, counts.clone()));
        opened += 1;
    }
}

/// Both directions, until both have ended or one has failed.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    [there, back]: [(Window, usize); 2],
    counts: Arc<Counts>,
) -> io::Result<()> {
    let mut target = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_target, to_target) = target.split();
    tokio::try_join!(
        Direction::new(there, &counts).run(from_client, to_target),
        Direction::new(back, &counts).run(from_target, to_client),
    )?;
    Ok(())
}

struct Direction<'a> {
    window: Window,
    counts: &'a Counts,
    queue_bytes: usize,
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl<'a> Direction<'a> {
    fn new((window, queue_bytes): (Window, usize), counts: &'a Counts) -> Self {
        Self { window, counts, queue_bytes, on_the_way: VecDeque::new(), bytes: 0 }
    }

    async fn run(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut buffer = [0; SEGMENT_LEN];
        let mut ended = false;
        while !ended || !self.on_the_way.is_empty() {
            let has_room = self.window.room() > 0 && self.bytes < self.queue_bytes;
            let next = [self.on_the_way.front().map(|(at, _)| *at), self.window.next_acknowledgement()];
            let event = async {
                match next.into_iter().flatten().min() {
                    Some(at) => sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                read = from.read(&mut buffer), if has_room && !ended => match read? {
                    0 => ended = true,
                    len => self.send(&buffer[..len]),
                },
                () = event => {
                    let now = Instant::now();
                    self.window.acknowledge(now);
                    // A receiver that does not read stops the path here.
                    while let Some((_, segment)) = self.on_the_way.pop_front_if(|(at, _)| *at <= now) {
                        self.bytes -= segment.len();
                        to.write_all(&segment).await?;
                    }
                }
            }
        }
        to.shutdown().await
    }

    fn send(&mut self, segment: &[u8]) {
        let (arrives, lost) = self.window.send(Instant::now(), segment.len());
        self.counts.count(if lost { Fate::Lost } else { Fate::Carried });
        self.bytes += segment.len();
        self.on_the_way.push_back((arrives, segment.to_vec()));
    }
}

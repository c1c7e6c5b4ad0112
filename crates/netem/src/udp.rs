//! The UDP proxy: clients on one side, one target on the other, a flow for each client in between.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use crate::conditions::{Conditions, Counts};
use crate::limits::{FLOW_BACKLOG, IDLE_FLOW, MAX_DATAGRAM_LEN, MAX_FLOWS, SOCKET_BUFFER};
use crate::link::{Fate, Link};

/// A path to one target. Who sends to [`Self::address`] reaches the target from a socket of its own, as behind a NAT, and
/// answers come back the same way. Dropping it closes the path.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl UdpProxy {
    /// Opens a path to `target` on a port of the loopback interface.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub async fn open(target: SocketAddr, conditions: Conditions, seed: u64) -> io::Result<Self> {
        let socket = Arc::new(socket()?);
        let address = socket.local_addr()?;
        let counts = Arc::new(Counts::default());
        let proxy = Proxy { socket, target, conditions, seed, counts: counts.clone() };
        Ok(Self { address, counts, task: tokio::spawn(proxy.run()) })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What became of the datagrams so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for UdpProxy {
    /// The flows end with the channels that lead to them.
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Proxy {
    socket: Arc<UdpSocket>,
    target: SocketAddr,
    conditions: Conditions,
    seed: u64,
    counts: Arc<Counts>,
}

impl Proxy {
    async fn run(self) {
        let mut flows: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
        let mut opened = 0;
        let mut buffer = vec![0; MAX_DATAGRAM_LEN];
        loop {
            // A client that went away makes an error of the next call; the others are still there.
            let Ok((len, client)) = self.socket.recv_from(&mut buffer).await else { continue };
            if flows.get(&client).is_none_or(mpsc::Sender::is_closed) {
                flows.retain(|_, flow| !flow.is_closed());
                if flows.len() >= MAX_FLOWS {
                    self.counts.count(Fate::Overflowed);
                    continue;
                }
                match self.open_flow(client, opened) {
                    Ok(flow) => flows.insert(client, flow),
                    Err(error) => {
                        tracing::warn!(%error, "no socket for a client");
                        continue;
                    }
                };
                opened += 1;
            }
            if flows[&client].try_send(buffer[..len].to_vec()).is_err() {
                self.counts.count(Fate::Overflowed);
            }
        }
    }

    fn open_flow(&self, client: SocketAddr, number: u64) -> io::Result<mpsc::Sender<Vec<u8>>> {
        let (sender, receiver) = mpsc::channel(FLOW_BACKLOG);
        let flow = Flow {
            to_client: (self.socket.clone(), client),
            to_target: (socket()?, self.target),
            there: Link::new(self.conditions, self.seed, 2 * number),
            back: Link::new(self.conditions, self.seed, 2 * number + 1),
            counts: self.counts.clone(),
            buffer: vec![0; MAX_DATAGRAM_LEN],
        };
        tokio::spawn(flow.run(receiver));
        Ok(sender)
    }
}

/// One client's both directions.
struct Flow {
    to_client: (Arc<UdpSocket>, SocketAddr),
    to_target: (UdpSocket, SocketAddr),
    there: Link<Vec<u8>>,
    back: Link<Vec<u8>>,
    counts: Arc<Counts>,
    buffer: Vec<u8>,
}

impl Flow {
    async fn run(mut self, mut from_client: mpsc::Receiver<Vec<u8>>) {
        while let Ok(true) = timeout(IDLE_FLOW, self.step(&mut from_client)).await {}
    }

    /// Waits for something to happen and handles it. False when the proxy is gone.
    async fn step(&mut self, from_client: &mut mpsc::Receiver<Vec<u8>>) -> bool {
        let next = [self.there.next_arrival(), self.back.next_arrival()].into_iter().flatten().min();
        let arrival = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            datagram = from_client.recv() => {
                let Some(datagram) = datagram else { return false };
                self.counts.count(self.there.push(Instant::now(), datagram.len(), datagram));
            }
            ready = self.to_target.0.readable() => {
                if ready.is_ok() {
                    self.take_answers();
                }
            }
            () = arrival => self.deliver(),
        }
        true
    }

    fn take_answers(&mut self) {
        while let Ok((len, from)) = self.to_target.0.try_recv_from(&mut self.buffer) {
            if from == self.to_target.1 {
                self.counts.count(self.back.push(Instant::now(), len, self.buffer[..len].to_vec()));
            }
        }
    }

    /// Sends on what has arrived. A receiver whose socket is full or gone loses it, as on a real path.
    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some(datagram) = self.there.pop(now) {
            let _ = self.to_target.0.try_send_to(&datagram, self.to_target.1);
        }
        while let Some(datagram) = self.back.pop(now) {
            let _ = self.to_client.0.try_send_to(&datagram, self.to_client.1);
        }
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    UdpSocket::from_std(socket)
}

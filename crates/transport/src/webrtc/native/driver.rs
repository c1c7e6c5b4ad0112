//! The task that drives one connection: datagrams in, datagrams out, timeouts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use str0m::net::Transmit;
use tokio::sync::mpsc;

use super::connection::Connection;
use super::error::CloseReason;
use super::session::Output;
use super::udp::{ReadBuffers, Socket};
use crate::webrtc::limits::MAX_QUEUED_DATAGRAMS;

/// Datagrams handled or made in one go before others may use the session again.
const BATCH: usize = 64;

/// One datagram and where it came from.
pub(super) struct Datagram {
    pub(super) source: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// The queue of datagrams towards one connection.
pub(super) fn datagram_queue() -> (mpsc::Sender<Datagram>, mpsc::Receiver<Datagram>) {
    mpsc::channel(MAX_QUEUED_DATAGRAMS)
}

/// Drives `connection` until it is over.
pub(super) async fn run(connection: Arc<Connection>, socket: Arc<Socket>, mut datagrams: mpsc::Receiver<Datagram>) {
    let failed = FailOnDrop(connection.clone());
    let mut queue = Vec::with_capacity(BATCH);
    let mut together = Vec::new();
    loop {
        let next = poll_outputs(&connection, &mut queue);
        socket.send(&mut queue, &mut together).await;
        let timeout = match next {
            Next::More => continue,
            Next::Closed => break,
            Next::At(timeout) => timeout,
        };
        tokio::select! {
            biased;
            () = connection.changed.notified() => {}
            received = datagrams.recv() => match received {
                Some(first) => handle_datagrams(&connection, first, &mut datagrams, &mut queue),
                // The listener is gone and its socket with it.
                None => connection.lock().fail(CloseReason::Local),
            },
            () = tokio::time::sleep_until(timeout.into()) => connection.lock().handle_timeout(Instant::now()),
        }
    }
    drop(failed);
}

enum Next {
    More,
    At(Instant),
    Closed,
}

fn poll_outputs(connection: &Connection, queue: &mut Vec<Transmit>) -> Next {
    let mut session = connection.lock();
    let now = Instant::now();
    loop {
        match session.poll_output(now) {
            Output::Transmit(transmit) => queue.push(transmit),
            Output::Timeout(timeout) if timeout <= now => session.handle_timeout(now),
            Output::Timeout(timeout) => return Next::At(timeout),
            Output::Closed => return Next::Closed,
        }
        if queue.len() >= BATCH {
            return Next::More;
        }
    }
}

/// Feeds what has arrived. Between two datagrams the session's output is taken, as its contract demands.
fn handle_datagrams(
    connection: &Connection,
    first: Datagram,
    datagrams: &mut mpsc::Receiver<Datagram>,
    queue: &mut Vec<Transmit>,
) {
    let mut session = connection.lock();
    let now = Instant::now();
    let mut next = Some(first);
    while let Some(datagram) = next {
        session.handle_datagram(now, datagram.source, &datagram.bytes);
        while let Output::Transmit(transmit) = session.poll_output(now) {
            queue.push(transmit);
        }
        next = if queue.len() < BATCH { datagrams.try_recv().ok() } else { None };
    }
}

/// Reads a socket that serves one connection alone, until nobody wants its datagrams.
pub(super) async fn pump(socket: Arc<Socket>, remote: SocketAddr, datagrams: mpsc::Sender<Datagram>) {
    let mut buffers = ReadBuffers::new();
    loop {
        let received = tokio::select! {
            received = socket.receive(&mut buffers) => received,
            () = datagrams.closed() => return,
        };
        match received {
            Ok(()) => {
                for (source, bytes) in buffers.datagrams().filter(|(source, _)| *source == remote) {
                    // A full queue drops datagrams, as the network would.
                    let _ = datagrams.try_send(Datagram { source, bytes: bytes.to_vec() });
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return tracing::warn!(%error, "UDP socket failed"),
        }
    }
}

/// Errors that tell of an earlier datagram (ICMP) and not of the socket.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable | WouldBlock
    )
}

/// Whatever ends the task, a panic included, nobody waits for the connection forever.
struct FailOnDrop(Arc<Connection>);

impl Drop for FailOnDrop {
    fn drop(&mut self) {
        self.0.lock().fail(CloseReason::Local);
    }
}

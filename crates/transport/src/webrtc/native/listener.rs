//! A listener: the task that owns one UDP socket, routes its datagrams and starts a connection at each first contact.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::certificate::Certificate;
use super::connection::Connection;
use super::driver::{self, Datagram};
use super::router::{Route, Router, SessionId};
use super::session::Session;
use super::udp::{ReadBuffers, Socket};
use crate::webrtc::credentials::Credentials;
use crate::webrtc::fingerprint::Fingerprint;

/// A connection whose channel 0 is open, ready for the Noise handshake.
pub(super) struct Incoming {
    pub(super) connection: Arc<Connection>,
    pub(super) remote: SocketAddr,
    pub(super) dialler: Fingerprint,
    /// Tells the listener that the handshake is done.
    pub(super) established: Established,
}

/// Counts a connection out of the unfinished handshakes.
pub(super) struct Established {
    id: SessionId,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Established {
    pub(super) fn notify(self) {
        // Fails only when the listener is gone, and with it the count.
        let _ = self.notices.send(Notice::Established(self.id));
    }
}

/// From connections to their listener; at most two in a connection's life, so the queue is bounded by the connections.
enum Notice {
    Established(SessionId),
    Ended(SessionId),
}

/// Serves `socket` until `incoming` is closed and the last connection over.
pub(super) async fn run(
    socket: Arc<Socket>,
    local: SocketAddr,
    certificate: Certificate,
    incoming: mpsc::Sender<Incoming>,
) {
    let (notices, mut noticed) = mpsc::unbounded_channel();
    let mut listener = Listener {
        router: Router::new(Instant::now()),
        queues: HashMap::new(),
        next_id: 0,
        socket: socket.clone(),
        local,
        certificate,
        incoming,
        notices,
    };
    let mut buffers = ReadBuffers::new();
    loop {
        let accepting = !listener.incoming.is_closed();
        if !accepting && listener.router.len() == 0 {
            return;
        }
        tokio::select! {
            received = socket.receive(&mut buffers) => match received {
                Ok(()) => buffers.datagrams().for_each(|(source, bytes)| listener.handle_datagram(source, bytes)),
                Err(error) if driver::is_passing(&error) => {}
                Err(error) => return tracing::error!(%error, %local, "UDP socket failed, the listener stops"),
            },
            Some(notice) = noticed.recv() => listener.handle_notice(notice),
            () = listener.incoming.closed(), if accepting => {}
        }
    }
}

struct Listener {
    router: Router,
    queues: HashMap<SessionId, mpsc::Sender<Datagram>>,
    next_id: SessionId,
    socket: Arc<Socket>,
    local: SocketAddr,
    certificate: Certificate,
    incoming: mpsc::Sender<Incoming>,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Listener {
    fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8]) {
        let id = match self.router.route(Instant::now(), source, datagram) {
            Route::Session(id) => id,
            Route::New(credentials) if !self.incoming.is_closed() => match self.start(credentials, source) {
                Some(id) => id,
                None => return,
            },
            Route::New(_) => return,
            Route::Drop(reason) => return tracing::trace!(?reason, %source, "datagram dropped"),
        };
        if let Some(queue) = self.queues.get(&id) {
            // A full queue drops the datagram, which SCTP takes for congestion.
            let _ = queue.try_send(Datagram { source, bytes: datagram.to_vec() });
        }
    }

    fn start(&mut self, credentials: Credentials, source: SocketAddr) -> Option<SessionId> {
        let session = match Session::accept(Instant::now(), &self.certificate, &credentials, self.local, source) {
            Ok(session) => session,
            Err(error) => {
                tracing::debug!(%error, %source, "connection not started");
                return None;
            }
        };
        let id = self.next_id;
        self.next_id += 1;
        self.router.insert(id, credentials, source);
        let (queue, datagrams) = driver::datagram_queue();
        self.queues.insert(id, queue);
        let connection = Connection::new(session);
        let (socket, incoming, notices) = (self.socket.clone(), self.incoming.clone(), self.notices.clone());
        tokio::spawn(async move {
            let ended = EndedOnDrop { id, notices: notices.clone() };
            let announce = announce(connection.clone(), source, incoming, Established { id, notices });
            tokio::join!(driver::run(connection, socket, datagrams), announce);
            drop(ended);
        });
        Some(id)
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Established(id) => self.router.established(id),
            Notice::Ended(id) => {
                self.router.remove(id);
                self.queues.remove(&id);
            }
        }
    }
}

/// Hands the connection to the transport once channel 0 is open.
async fn announce(
    connection: Arc<Connection>,
    remote: SocketAddr,
    incoming: mpsc::Sender<Incoming>,
    established: Established,
) {
    let Ok(dialler) = poll_fn(|cx| connection.lock().poll_ready(cx)).await else { return };
    if let Err(refused) = incoming.try_send(Incoming { connection, remote, dialler, established }) {
        tracing::debug!(%remote, "nobody accepts connections fast enough");
        let (mpsc::error::TrySendError::Full(incoming) | mpsc::error::TrySendError::Closed(incoming)) = refused;
        incoming.connection.close();
    }
}

struct EndedOnDrop {
    id: SessionId,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        let _ = self.notices.send(Notice::Ended(self.id));
    }
}

//! What the behaviour, its handlers and the controls share: who accepts which protocol, and how each peer is reached.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;
use libp2p::swarm::{ConnectionId, Stream, StreamProtocol};

use super::MAX_HANDED_OVER;
use super::control::AlreadyAccepted;
use super::handler::OpenRequest;

pub(super) type Acceptor = async_channel::Sender<(PeerId, Stream)>;

#[derive(Default)]
pub(super) struct Registry(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    acceptors: HashMap<StreamProtocol, Acceptor>,
    /// Oldest first. A peer has few connections, mostly one.
    connections: HashMap<PeerId, Vec<(ConnectionId, async_channel::Sender<OpenRequest>)>>,
}

impl Registry {
    /// Nothing that holds the lock can panic halfway through a change.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accept(
        &self,
        protocol: StreamProtocol,
    ) -> Result<async_channel::Receiver<(PeerId, Stream)>, AlreadyAccepted> {
        let acceptors = &mut self.tables().acceptors;
        if acceptors.get(&protocol).is_some_and(|acceptor| !acceptor.is_closed()) {
            return Err(AlreadyAccepted(protocol));
        }
        let (sender, receiver) = async_channel::bounded(MAX_HANDED_OVER);
        acceptors.insert(protocol, sender);
        Ok(receiver)
    }

    /// The protocols that somebody accepts now.
    pub(super) fn acceptors(&self) -> Vec<(StreamProtocol, Acceptor)> {
        let acceptors = &mut self.tables().acceptors;
        acceptors.retain(|_, acceptor| !acceptor.is_closed());
        acceptors.iter().map(|(protocol, acceptor)| (protocol.clone(), acceptor.clone())).collect()
    }

    pub(super) fn connected(&self, peer: PeerId, connection: ConnectionId, opener: async_channel::Sender<OpenRequest>) {
        self.tables().connections.entry(peer).or_default().push((connection, opener));
    }

    pub(super) fn disconnected(&self, peer: PeerId, connection: ConnectionId) {
        let connections = &mut self.tables().connections;
        if let Some(of_peer) = connections.get_mut(&peer) {
            of_peer.retain(|(id, _)| *id != connection);
            if of_peer.is_empty() {
                connections.remove(&peer);
            }
        }
    }

    /// The way to the peer's newest connection: an older one may be dead without knowing it.
    pub(super) fn opener(&self, peer: &PeerId) -> Option<async_channel::Sender<OpenRequest>> {
        let tables = self.tables();
        let (_, opener) = tables.connections.get(peer)?.last()?;
        Some(opener.clone())
    }
}

//! The swarm's side: a handler for each connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::MAX_OPENING;
use super::control::Control;
use super::handler::{Handler, OpenRequest};
use super::registry::Registry;

/// See the module's documentation.
#[derive(Default)]
pub struct Behaviour {
    registry: Arc<Registry>,
    /// Connections that another behaviour may still deny.
    establishing: HashMap<ConnectionId, async_channel::Sender<OpenRequest>>,
}

impl Behaviour {
    /// A behaviour that accepts nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for tasks.
    pub fn new_control(&self) -> Control {
        Control::new(self.registry.clone())
    }

    fn handler(&mut self, peer: PeerId, connection: ConnectionId) -> Handler {
        let (opener, requests) = async_channel::bounded(MAX_OPENING);
        self.establishing.insert(connection, opener);
        Handler::new(peer, self.registry.clone(), requests)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                if let Some(opener) = self.establishing.remove(&connection_id) {
                    self.registry.connected(peer_id, connection_id, opener);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.registry.disconnected(peer_id, connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.establishing.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

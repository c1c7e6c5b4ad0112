//! The streams of one connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream as _;
use futures::channel::oneshot;
use libp2p::PeerId;
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol,
};

use super::control::OpenError;
use super::registry::Registry;
use super::upgrade::{Inbound, Outbound};
use super::{HANDOVER_TIMEOUT, MAX_OPENING, OPEN_TIMEOUT};

/// One stream that somebody wants.
pub struct OpenRequest {
    pub(super) protocol: StreamProtocol,
    pub(super) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

/// See the module's documentation.
pub struct Handler {
    peer: PeerId,
    registry: Arc<Registry>,
    requests: Pin<Box<async_channel::Receiver<OpenRequest>>>,
    opening: usize,
}

impl Handler {
    pub(super) fn new(peer: PeerId, registry: Arc<Registry>, requests: async_channel::Receiver<OpenRequest>) -> Self {
        Self { peer, registry, requests: Box::pin(requests), opening: 0 }
    }

    fn reply(&mut self, request: OpenRequest, outcome: Result<Stream, OpenError>) {
        self.opening -= 1;
        // Whoever asked may have given up; the stream is reset then.
        let _ = request.reply.send(outcome);
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenRequest;

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound, ()> {
        let inbound = Inbound { peer: self.peer, acceptors: self.registry.acceptors() };
        SubstreamProtocol::new(inbound, ()).with_timeout(HANDOVER_TIMEOUT)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Outbound, OpenRequest, Infallible>> {
        if self.opening >= MAX_OPENING {
            // The end of an opening wakes the connection.
            return Poll::Pending;
        }
        match self.requests.as_mut().poll_next(cx) {
            Poll::Ready(Some(request)) => {
                self.opening += 1;
                let outbound = Outbound(request.protocol.clone());
                let protocol = SubstreamProtocol::new(outbound, request).with_timeout(OPEN_TIMEOUT);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            // Without a sender nobody will ask for more, but streams that are open go on.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Inbound, Outbound, (), OpenRequest>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info: request }) => {
                self.reply(request, Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: request, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported(request.protocol.clone()),
                    StreamUpgradeError::Io(error) => OpenError::Io(error),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                self.reply(request, Err(error));
            }
            // An inbound stream was handed over, or its peer gave up; the rest is other protocols' business.
            _ => {}
        }
    }
}

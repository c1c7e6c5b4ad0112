//! Negotiating one stream. The inbound side ends with the hand-over, see the module above.

use std::convert::Infallible;
use std::future::{Ready, ready};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::{Stream, StreamProtocol};

use super::registry::Acceptor;

/// Offers every accepted protocol to `peer`, and hands the stream to who accepts the one it chose.
pub struct Inbound {
    pub(super) peer: PeerId,
    pub(super) acceptors: Vec<(StreamProtocol, Acceptor)>,
}

impl UpgradeInfo for Inbound {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.acceptors.iter().map(|(protocol, _)| protocol.clone()).collect()
    }
}

impl InboundUpgrade<Stream> for Inbound {
    type Output = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    fn upgrade_inbound(self, stream: Stream, chosen: StreamProtocol) -> Self::Future {
        let acceptor = self.acceptors.into_iter().find(|(protocol, _)| *protocol == chosen);
        let (_, acceptor) = acceptor.expect("one of the protocols offered was chosen");
        async move {
            if acceptor.send((self.peer, stream)).await.is_err() {
                tracing::debug!(%chosen, "nobody accepts this protocol any more");
            }
            Ok(())
        }
        .boxed()
    }
}

/// Asks for one protocol.
pub struct Outbound(pub(super) StreamProtocol);

impl UpgradeInfo for Outbound {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0.clone())
    }
}

impl OutboundUpgrade<Stream> for Outbound {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

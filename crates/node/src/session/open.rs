//! The first exchange: hello and welcome.

use futures::io::{ReadHalf, WriteHalf};
use libp2p::{StreamProtocol, swarm::Stream};
use shoal_compute::Backend;
use shoal_transport::{
    framed::{EnvelopeReader, EnvelopeWriter, session},
    race::Kind,
    streams::Control,
};
use shoal_wire::{
    commitment::join_proof,
    limits::MAX_ADAPTER_LEN,
    proto::{Capabilities, Hello, MessageType, Refusal, RefusalCode, Welcome},
    version::{ProtocolVersion, WORK_PROTOCOL},
};

use super::{SessionEnd, lost};
use crate::{error::WorkerError, event::Event, platform::Platform, worker::Core};

/// Both halves of the session and the leases that the relay allows at once.
pub(crate) type Opened = (EnvelopeReader<ReadHalf<Stream>>, EnvelopeWriter<WriteHalf<Stream>>, u32);

/// Opens the work stream, says hello and waits for the welcome.
pub(crate) async fn open<P: Platform, G: Backend>(core: &Core<P, G>, control: Control) -> Result<Opened, SessionEnd> {
    let (relay_peer, relay) = core.relay;
    let stream = control
        .open_stream(relay_peer, StreamProtocol::new(WORK_PROTOCOL))
        .await
        .map_err(|error| lost(error.to_string()))?;
    let (mut reader, mut writer) = session(stream, core.key.clone(), relay);
    writer.send(&hello(core).await).await.map_err(|error| lost(error.to_string()))?;
    let first = match reader.next().await {
        Ok(Some(first)) => first,
        Ok(None) => return Err(lost("the relay closed the session without a welcome")),
        Err(error) => return Err(lost(error.to_string())),
    };
    match first.message_type() {
        MessageType::Welcome => {
            let welcome: Welcome = first.message().map_err(|error| lost(error.to_string()))?;
            let own = core.key.network().to_owned();
            if welcome.network != own {
                return Err(SessionEnd::Refused(WorkerError::WrongNetwork { relay: welcome.network, own }));
            }
            let transport = core.carrier.get().map_or("unknown", Kind::name);
            core.emit(Event::Connected { relay, network: welcome.network, node: core.key.node_id(), transport });
            Ok((reader, writer, welcome.max_leases))
        }
        MessageType::Refusal => {
            let refusal: Refusal = first.message().map_err(|error| lost(error.to_string()))?;
            Err(refused(&refusal).unwrap_or_else(|| lost(format!("{:?}: {}", refusal.code(), refusal.detail))))
        }
        other => Err(lost(format!("expected a welcome, got {other:?}"))),
    }
}

/// The end that a refusal means, if it is one that no reconnect would change.
pub(super) fn refused(refusal: &Refusal) -> Option<SessionEnd> {
    let code = refusal.code();
    match code {
        RefusalCode::ProtocolVersion
        | RefusalCode::WrongNetwork
        | RefusalCode::JoinProof
        | RefusalCode::BadSignature => {
            Some(SessionEnd::Refused(WorkerError::Refused { code, detail: refusal.detail.clone() }))
        }
        RefusalCode::Unspecified
        | RefusalCode::Malformed
        | RefusalCode::OutOfOrder
        | RefusalCode::UnknownLease
        | RefusalCode::TooMany
        | RefusalCode::ShuttingDown => None,
    }
}

async fn hello<P: Platform, G: Backend>(core: &Core<P, G>) -> Hello {
    let config = &core.config;
    let devices = core.devices.lock().await;
    let mut adapter = devices.adapter();
    let end = (0..=MAX_ADAPTER_LEN.min(adapter.len())).rev().find(|at| adapter.is_char_boundary(*at)).unwrap_or(0);
    adapter.truncate(end);
    let capabilities = Capabilities {
        classes: core.classes.iter().map(|class| *class as i32).collect(),
        backend: devices.backend() as i32,
        adapter,
        memory_bytes: config.budget.memory_bytes,
        max_unit_ops: config.budget.reference_ops,
        platform: config.platform as i32,
    };
    let (node, relay) = (core.key.node_id(), core.relay.1);
    Hello {
        protocol: ProtocolVersion::CURRENT.number(),
        agent: config.agent.clone(),
        capabilities: Some(capabilities),
        join_proof: config.join_secret.map_or_else(Vec::new, |secret| join_proof(&secret, &node, &relay).to_vec()),
        payout_binding: core.payout_binding().unwrap_or_default(),
        site: config.site.clone(),
    }
}

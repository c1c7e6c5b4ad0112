//! The first message of a session, checked whole: protocol, membership, capabilities, payout binding.

use prost::Message as _;
use shoal_mesh::{Owner, Strikes, WorkerProfile};
use shoal_wire::{
    commitment::{JOIN_SECRET_LEN, verify_join_proof},
    envelope::Verified,
    ids::NodeId,
    limits::{MAX_ADAPTER_LEN, MAX_AGENT_LEN, MAX_SITE_LEN},
    proto::{Backend, Capabilities, Class, Hello, PayoutBinding, Platform, RefusalCode},
    version::ProtocolVersion,
};

use crate::{
    metrics::WorkerLabels,
    store::{Binding, WorkerSeen, unix_seconds},
};

/// Furthest a binding's date may lie ahead, seconds: clocks of volunteers' machines differ, and a binding from the far
/// future could never be replaced.
const MAX_CLOCK_AHEAD_S: u64 = 24 * 3600;

/// Who may join.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Network name.
    pub network: String,
    /// The relay.
    pub relay: NodeId,
    /// Secret of a private swarm.
    pub secret: Option<[u8; JOIN_SECRET_LEN]>,
    /// Chain that payout bindings must be for, once it is known.
    pub chain_id: std::sync::OnceLock<u64>,
}

/// A Hello that is not accepted, and what the worker is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// Code of the refusal.
    pub code: RefusalCode,
    /// The value and the limit.
    pub detail: String,
}

/// A checked Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// For the store.
    pub seen: WorkerSeen,
    /// For the coordinator.
    pub profile: WorkerProfile,
    /// For the metrics.
    pub labels: WorkerLabels,
    /// Origin of the embedding site, or empty.
    pub site: String,
}

impl Membership {
    /// Checks a worker's Hello.
    ///
    /// # Errors
    /// [`Refused`] with the first thing that is wrong.
    pub fn check(&self, worker: NodeId, hello: &Hello) -> Result<Joined, Refused> {
        if ProtocolVersion::from_number(hello.protocol).is_none() {
            let detail = format!(
                "protocol {} is unknown, this relay speaks {}",
                hello.protocol,
                ProtocolVersion::CURRENT.number()
            );
            return Err(Refused { code: RefusalCode::ProtocolVersion, detail });
        }
        if let Some(secret) = &self.secret
            && !verify_join_proof(secret, &worker, &self.relay, &hello.join_proof)
        {
            let detail = "this swarm is private and the join proof is wrong".to_owned();
            return Err(Refused { code: RefusalCode::JoinProof, detail });
        }
        let capabilities = hello.capabilities.as_ref().ok_or_else(|| malformed("hello has no capabilities".into()))?;
        length("agent", &hello.agent, MAX_AGENT_LEN)?;
        length("site", &hello.site, MAX_SITE_LEN)?;
        length("adapter", &capabilities.adapter, MAX_ADAPTER_LEN)?;
        let (kind, backend) = (kind(capabilities)?, backend(capabilities)?);
        let binding = self.binding(worker, &hello.payout_binding)?;
        let owner = binding.as_ref().map_or(Owner::from(worker), |binding| owner(&binding.address));
        let labels = WorkerLabels { kind, backend: backend_name(backend) };
        let (agent, adapter, site) = (hello.agent.clone(), capabilities.adapter.clone(), hello.site.clone());
        Ok(Joined {
            profile: WorkerProfile {
                owner,
                exact: takes(capabilities, Class::Exact),
                tolerant: takes(capabilities, Class::Tolerant),
                backend,
                memory_bytes: capabilities.memory_bytes,
                max_unit_ops: capabilities.max_unit_ops,
            },
            seen: WorkerSeen { node: worker, kind, backend: labels.backend, adapter, agent, binding },
            labels,
            site,
        })
    }

    fn binding(&self, worker: NodeId, envelope: &[u8]) -> Result<Option<Binding>, Refused> {
        if envelope.is_empty() {
            return Ok(None);
        }
        let bad_signature = |error: shoal_wire::envelope::EnvelopeError| Refused {
            code: RefusalCode::BadSignature,
            detail: format!("payout binding: {error}"),
        };
        let verified = Verified::open_from(envelope, &self.network, &worker).map_err(bad_signature)?;
        let binding: PayoutBinding = verified.message().map_err(bad_signature)?;
        let found = binding.address.len();
        let address: [u8; 20] =
            binding.address.try_into().map_err(|_| malformed(format!("payout address has {found} bytes, not 20")))?;
        if address == [0; 20] {
            return Err(malformed("the zero address cannot be paid".to_owned()));
        }
        if let Some(chain_id) = self.chain_id.get()
            && binding.chain_id != *chain_id
        {
            return Err(malformed(format!(
                "payout binding is for chain {}, this relay posts to {chain_id}",
                binding.chain_id
            )));
        }
        let latest = u64::try_from(unix_seconds()).unwrap_or(0).saturating_add(MAX_CLOCK_AHEAD_S);
        if binding.issued_at_s > latest {
            return Err(malformed(format!(
                "payout binding is dated {}, at most {latest} is taken",
                binding.issued_at_s
            )));
        }
        Ok(Some(Binding { address, issued_at_s: binding.issued_at_s, envelope: envelope.to_vec() }))
    }
}

/// Strikes as the store counts them.
pub(super) fn strikes((exact, tolerant): (u32, u32)) -> Strikes {
    Strikes { exact, tolerant }
}

/// One payout address is one owner, however many nodes it runs.
fn owner(address: &[u8; 20]) -> Owner {
    Owner(shoal_wire::ids::domain_hash("shoal/1/owner", &[address]))
}

fn takes(capabilities: &Capabilities, class: Class) -> bool {
    capabilities.classes.contains(&(class as i32))
}

fn kind(capabilities: &Capabilities) -> Result<&'static str, Refused> {
    match Platform::try_from(capabilities.platform) {
        Ok(Platform::Native) => Ok("native"),
        Ok(Platform::Browser) => Ok("browser"),
        Ok(Platform::Node) => Ok("node"),
        Ok(Platform::Unspecified) | Err(_) => Err(malformed(format!("platform {} is unknown", capabilities.platform))),
    }
}

fn backend(capabilities: &Capabilities) -> Result<Backend, Refused> {
    match Backend::try_from(capabilities.backend) {
        Ok(backend @ (Backend::Cpu | Backend::Webgpu)) => Ok(backend),
        Ok(Backend::Unspecified) | Err(_) => Err(malformed(format!("backend {} is unknown", capabilities.backend))),
    }
}

fn backend_name(backend: Backend) -> &'static str {
    if backend == Backend::Webgpu { "webgpu" } else { "cpu" }
}

fn length(field: &str, text: &str, limit: usize) -> Result<(), Refused> {
    if text.len() <= limit {
        Ok(())
    } else {
        Err(malformed(format!("{field} has {} bytes, allowed is {limit}", text.len())))
    }
}

fn malformed(detail: String) -> Refused {
    Refused { code: RefusalCode::Malformed, detail }
}

/// The first message of a stream.
pub(super) fn hello(verified: &Verified) -> Result<Hello, Refused> {
    verified.message().map_err(|error| Refused { code: RefusalCode::OutOfOrder, detail: error.to_string() })
}

/// Whether an envelope's bytes were meant for another network: only the signature says so.
pub(super) fn names_signer(frame: &[u8], worker: &NodeId) -> bool {
    shoal_wire::proto::Envelope::decode(frame).is_ok_and(|envelope| envelope.signer == worker.0)
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;

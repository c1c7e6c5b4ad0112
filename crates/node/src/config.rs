//! What a worker is told before it starts.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use shoal_compute::program::Budget;
use shoal_transport::peer;
use shoal_wire::{
    commitment::JOIN_SECRET_LEN,
    ids::NodeId,
    limits::{MAX_AGENT_LEN, MAX_NETWORK_LEN, MAX_SITE_LEN},
    proto::{Class, Platform as PlatformKind},
    version::DEFAULT_NETWORK,
};

use crate::{
    error::ConfigError,
    limits::{DEFAULT_CACHE_BYTES, DEFAULT_MAX_UNIT_OPS, DEFAULT_MEMORY_BYTES, DEFAULT_STORED_BYTES},
};

/// Whom to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// EVM address.
    pub address: [u8; 20],
    /// EVM chain id.
    pub chain_id: u64,
}

/// A worker's configuration.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Ed25519 seed: the node's identity.
    pub seed: [u8; 32],
    /// Network name that signatures cover.
    pub network: String,
    /// Where the relay listens; each ends in `/p2p/<peer id>` of one and the same relay.
    pub relay: Vec<Multiaddr>,
    /// Secret of a private swarm.
    pub join_secret: Option<[u8; JOIN_SECRET_LEN]>,
    /// Whom to pay; earnings wait for one.
    pub payout: Option<Payout>,
    /// Name and version of the software, at most [`MAX_AGENT_LEN`] bytes.
    pub agent: String,
    /// Origin of the embedding site, or empty.
    pub site: String,
    /// Kind of machine, for the relay's tables.
    pub platform: PlatformKind,
    /// Classes to take. A CPU is right for tolerant units too: a relay gives them to GPUs first.
    pub classes: Vec<Class>,
    /// What one unit may cost.
    pub budget: Budget,
    /// Bytes of blobs cached in memory.
    pub cache_bytes: u64,
    /// Bytes of blobs kept in storage, where the worker is given one.
    pub stored_bytes: u64,
    /// Most bytes of blobs to fetch in a second, all together; `None` for no limit.
    pub max_down: Option<u64>,
    /// Most bytes of outputs to send in a second, all together; `None` for no limit.
    pub max_up: Option<u64>,
    /// Lets sources be on this machine, by plain HTTP too. For relays on this machine alone ([`Self::is_relay_here`]): any
    /// other could make the worker talk to local servers.
    pub loopback_sources: bool,
    /// Test-only misbehaviour.
    #[cfg(feature = "cheat")]
    pub cheat: Option<crate::cheat::Cheat>,
}

impl std::fmt::Debug for WorkerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed and the join secret stay out of logs.
        f.debug_struct("WorkerConfig")
            .field("network", &self.network)
            .field("relay", &self.relay)
            .field("private", &self.join_secret.is_some())
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl WorkerConfig {
    /// A native worker with defaults, to be adjusted.
    pub fn new(seed: [u8; 32], relay: Vec<Multiaddr>) -> Self {
        Self {
            seed,
            network: DEFAULT_NETWORK.to_owned(),
            relay,
            join_secret: None,
            payout: None,
            agent: concat!("shoal-node/", env!("CARGO_PKG_VERSION")).to_owned(),
            site: String::new(),
            platform: PlatformKind::Native,
            classes: vec![Class::Exact, Class::Tolerant],
            budget: Budget { reference_ops: DEFAULT_MAX_UNIT_OPS, memory_bytes: DEFAULT_MEMORY_BYTES },
            cache_bytes: DEFAULT_CACHE_BYTES,
            stored_bytes: DEFAULT_STORED_BYTES,
            max_down: None,
            max_up: None,
            loopback_sources: false,
            #[cfg(feature = "cheat")]
            cheat: None,
        }
    }

    /// Whether all addresses of the relay are on this machine.
    pub fn is_relay_here(&self) -> bool {
        let here = |address: &Multiaddr| match address.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_loopback(),
            Some(Protocol::Ip6(ip)) => ip.is_loopback(),
            _ => false,
        };
        !self.relay.is_empty() && self.relay.iter().all(here)
    }

    /// Whether all addresses of the relay are on this machine or its networks.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn is_relay_near(&self) -> bool {
        let near = |address: &Multiaddr| match address.iter().next() {
            Some(Protocol::Ip4(ip)) => crate::http::is_near(ip.into()),
            Some(Protocol::Ip6(ip)) => crate::http::is_near(ip.into()),
            _ => false,
        };
        !self.relay.is_empty() && self.relay.iter().all(near)
    }

    /// Checks lengths and addresses; returns the relay that all addresses name.
    pub(crate) fn check(&self) -> Result<(PeerId, NodeId), ConfigError> {
        for (field, len, limit) in [
            ("agent", self.agent.len(), MAX_AGENT_LEN),
            ("network", self.network.len(), MAX_NETWORK_LEN),
            ("site", self.site.len(), MAX_SITE_LEN),
        ] {
            if len > limit {
                return Err(ConfigError::TooLong { field, len, limit });
            }
        }
        let mut relay = None;
        for address in &self.relay {
            let Some(Protocol::P2p(peer)) = address.iter().last() else {
                return Err(ConfigError::NoPeerId(address.clone()));
            };
            let known = *relay.get_or_insert(peer);
            if known != peer {
                return Err(ConfigError::TwoRelays(Box::new([known, peer])));
            }
        }
        let peer = relay.ok_or(ConfigError::NoAddress)?;
        let node = peer::node_id(&peer).map_err(ConfigError::Relay)?;
        Ok((peer, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_here_when_no_address_leaves_this_machine() {
        let here = |addresses: &[&str]| {
            WorkerConfig::new([0; 32], addresses.iter().map(|text| text.parse().unwrap()).collect()).is_relay_here()
        };
        assert!(here(&["/ip4/127.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1"]));
        for other in ["/ip4/192.0.2.1/tcp/1", "/dns/localhost/tcp/1", "/ip6/2001:db8::1/tcp/1"] {
            assert!(!here(&["/ip4/127.0.0.1/tcp/1", other]), "{other}");
        }
        assert!(!here(&[]));
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn a_relay_is_near_when_every_address_is_of_this_machine_or_its_networks() {
        let near = |addresses: &[&str]| {
            WorkerConfig::new([0; 32], addresses.iter().map(|text| text.parse().unwrap()).collect()).is_relay_near()
        };
        assert!(near(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip6/fd00::1/tcp/1"]));
        // Neither public nor on a network of this machine: they lead to anywhere.
        for elsewhere in ["/ip6/2002:101:101::1/tcp/1", "/ip6/64:ff9b:1::1/tcp/1", "/ip4/240.0.0.1/tcp/1"] {
            assert!(!near(&[elsewhere]), "{elsewhere}");
        }
        assert!(
            !near(&["/ip4/192.168.1.2/tcp/1", "/ip4/1.1.1.1/tcp/1"]) && !near(&["/dns/a.example/tcp/1"]) && !near(&[])
        );
    }
}

//! The configuration object that JavaScript passes in. Unknown fields are refused, so that a misspelling is an error.

use std::str::FromStr as _;

use libp2p::Multiaddr;
use serde::{Deserialize, de::DeserializeOwned};
use shoal_compute::program::Budget;
use shoal_node::{Payout, WorkerConfig, check_rates};
use shoal_transport::race::Kind;
use shoal_wire::proto::{Class, Platform as PlatformKind};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::error::Failure;

/// What `Worker.start` takes.
#[derive(Debug, Deserialize)]
pub(crate) struct CoreConfig {
    /// Ed25519 seed, 32 bytes (`Uint8Array`).
    seed: Vec<u8>,
    /// Network name that signatures cover.
    network: String,
    /// Multiaddresses of one relay.
    relay: Vec<String>,
    /// Secret of a private swarm, 32 bytes, or null.
    #[serde(default)]
    join_secret: Option<Vec<u8>>,
    /// Whom to pay, or null.
    #[serde(default)]
    payout: Option<PayoutConfig>,
    /// Name and version of the software.
    agent: String,
    /// Origin of the embedding site, or empty.
    #[serde(default)]
    site: String,
    /// Which transport goes first in the race to the relay: `webrtc`, as by default, or `websocket`.
    #[serde(default)]
    first_transport: Option<String>,
    /// Whether tolerant units may run on the GPU.
    #[serde(default = "yes")]
    pub(crate) use_gpu: bool,
    /// `exact`, `tolerant`; empty or absent for both.
    #[serde(default)]
    classes: Vec<String>,
    /// Operation budget of one unit, reference operations.
    #[serde(default)]
    max_unit_ops: Option<u64>,
    /// Memory budget of one unit, bytes.
    #[serde(default)]
    memory_bytes: Option<u64>,
    /// Bytes of blobs kept in memory.
    #[serde(default)]
    cache_bytes: Option<u64>,
    /// What is kept and how much is moved, at first.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Test-only misbehaviour, by name.
    #[cfg(feature = "cheat")]
    #[serde(default)]
    cheat: Option<String>,
}

/// What `Worker.setLimits` takes: limits that change while the worker runs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// Most bytes of blobs kept in the browser's private file system; 0 keeps none.
    pub(crate) stored_bytes: u64,
    /// Most bytes of blobs fetched in a second; null for no limit.
    pub(crate) max_down: Option<u64>,
    /// Most bytes of outputs sent in a second; null for no limit.
    pub(crate) max_up: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stored_bytes: DEFAULT_STORED_BYTES, max_down: None, max_up: None }
    }
}

#[derive(Debug, Deserialize)]
struct PayoutConfig {
    /// `0x` and 40 hexadecimal digits; a checksum is the page's business.
    address: String,
    /// EVM chain id.
    chain_id: u64,
}

/// Half of what native workers keep: a few models of the size a tab can hold, and little beside what pages store.
const DEFAULT_STORED_BYTES: u64 = 512 * 1024 * 1024;

fn yes() -> bool {
    true
}

/// Fields of [`CoreConfig`]. Listed, because deserialising a JavaScript object only looks for the fields it knows.
const FIELDS: &[&str] = &[
    "seed",
    "network",
    "relay",
    "join_secret",
    "payout",
    "agent",
    "site",
    "first_transport",
    "use_gpu",
    "classes",
    "max_unit_ops",
    "memory_bytes",
    "cache_bytes",
    "limits",
    #[cfg(feature = "cheat")]
    "cheat",
];

/// Fields of [`Limits`].
const LIMITS: &[&str] = &["stored_bytes", "max_down", "max_up"];

impl Limits {
    /// Reads the object; what it should not hold is refused by name.
    pub(crate) fn from_object(object: JsValue) -> Result<Self, Failure> {
        let limits: Self = read(object, LIMITS)?;
        check_rates(limits.max_down, limits.max_up)?;
        Ok(limits)
    }
}

impl CoreConfig {
    /// Reads the object; what it should not hold is refused by name.
    pub(crate) fn from_object(object: JsValue) -> Result<Self, Failure> {
        let limits = js_sys::Reflect::get(&object, &"limits".into()).unwrap_or(JsValue::UNDEFINED);
        refuse_unknown(&limits, LIMITS)?;
        read(object, FIELDS)
    }

    /// Who goes first in the race.
    pub(crate) fn first_transport(&self) -> Result<Kind, Failure> {
        match self.first_transport.as_deref().map(Kind::from_str) {
            None => Ok(Kind::WebRtc),
            Some(Ok(kind @ (Kind::WebRtc | Kind::WebSocket))) => Ok(kind),
            Some(Ok(Kind::Quic | Kind::Tcp) | Err(_)) => {
                let reason = format!("{:?} is neither webrtc nor websocket", self.first_transport);
                Err(Failure::Config { field: "first_transport", reason })
            }
        }
    }

    /// The worker's configuration.
    pub(crate) fn into_worker_config(self) -> Result<WorkerConfig, Failure> {
        let relay = self.relay.iter().map(|text| parse_address(text)).collect::<Result<_, _>>()?;
        let mut config = WorkerConfig::new(bytes32("seed", &self.seed)?, relay);
        config.network = self.network;
        config.join_secret = self.join_secret.map(|secret| bytes32("join_secret", &secret)).transpose()?;
        config.payout = self.payout.map(PayoutConfig::parse).transpose()?;
        config.agent = self.agent;
        config.site = self.site;
        config.platform = PlatformKind::Browser;
        if !self.classes.is_empty() {
            config.classes = self.classes.iter().map(|name| parse_class(name)).collect::<Result<_, _>>()?;
        }
        config.budget = Budget {
            reference_ops: self.max_unit_ops.unwrap_or(config.budget.reference_ops),
            memory_bytes: self.memory_bytes.unwrap_or(config.budget.memory_bytes),
        };
        config.cache_bytes = self.cache_bytes.unwrap_or(config.cache_bytes);
        config.stored_bytes = self.limits.stored_bytes;
        config.max_down = self.limits.max_down;
        config.max_up = self.limits.max_up;
        #[cfg(feature = "cheat")]
        {
            let parse = |name: String| {
                name.parse().map_err(|error| Failure::Config { field: "cheat", reason: format!("{error}") })
            };
            config.cheat = self.cheat.map(parse).transpose()?;
        }
        Ok(config)
    }
}

impl PayoutConfig {
    fn parse(self) -> Result<Payout, Failure> {
        let refused = || Failure::Config {
            field: "payout.address",
            reason: format!("{:?} is not 0x and 40 hexadecimal digits", self.address),
        };
        let digits = self.address.strip_prefix("0x").ok_or_else(refused)?;
        let bytes = hex::decode(digits).map_err(|_| refused())?;
        let address = bytes.try_into().map_err(|_| refused())?;
        Ok(Payout { address, chain_id: self.chain_id })
    }
}

fn read<T: DeserializeOwned>(object: JsValue, fields: &[&str]) -> Result<T, Failure> {
    refuse_unknown(&object, fields)?;
    serde_wasm_bindgen::from_value(object).map_err(|error| Failure::ConfigShape(error.to_string()))
}

fn refuse_unknown(object: &JsValue, fields: &[&str]) -> Result<(), Failure> {
    let keys = object.dyn_ref::<js_sys::Object>().map(js_sys::Object::keys).unwrap_or_default();
    match keys.iter().filter_map(|key| key.as_string()).find(|key| !fields.contains(&key.as_str())) {
        Some(key) => Err(Failure::ConfigShape(format!("unknown field {key:?}, expected one of {fields:?}"))),
        None => Ok(()),
    }
}

fn bytes32(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], Failure> {
    let refused = || Failure::Config { field, reason: format!("{} bytes, not 32", bytes.len()) };
    bytes.try_into().map_err(|_| refused())
}

fn parse_address(text: &str) -> Result<Multiaddr, Failure> {
    text.parse().map_err(|error| Failure::Config { field: "relay", reason: format!("{text:?}: {error}") })
}

fn parse_class(name: &str) -> Result<Class, Failure> {
    match name {
        "exact" => Ok(Class::Exact),
        "tolerant" => Ok(Class::Tolerant),
        _ => Err(Failure::Config { field: "classes", reason: format!("{name:?} is neither exact nor tolerant") }),
    }
}

//! What a worker tells its shell. Serialises to the JSON that pages and `--json` show.

use serde::Serialize;
use shoal_wire::{
    ids::{JobId, LeaseId, NodeId, UnitId},
    proto::Class,
    unit::CheckedUnit,
};

/// A unit, as far as people and tables are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitRef {
    /// The unit.
    pub unit: UnitId,
    /// Its job.
    pub job: JobId,
    /// Round of the job.
    pub round: u32,
    /// Position in the round.
    pub index: u32,
    /// `exact` or `tolerant`.
    pub class: &'static str,
    /// Reference operations.
    pub reference_ops: u64,
}

impl From<&CheckedUnit> for UnitRef {
    fn from(unit: &CheckedUnit) -> Self {
        Self {
            unit: unit.id,
            job: unit.job,
            round: unit.message.round,
            index: unit.message.index,
            class: class_name(unit.class),
            reference_ops: unit.message.reference_ops,
        }
    }
}

pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Exact => "exact",
        Class::Tolerant => "tolerant",
        Class::Unspecified => "unspecified",
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A relay is being dialled.
    Connecting {
        /// How many attempts came before in a row.
        attempt: u32,
    },
    /// The relay welcomed the worker.
    Connected {
        /// The relay.
        relay: NodeId,
        /// Its network.
        network: String,
        /// This worker.
        node: NodeId,
        /// What carries the connection: `webrtc`, `websocket`, `quic` or `tcp`; `unknown` for anything else.
        transport: &'static str,
    },
    /// A large blob came from the relay alone and without a limit: what its connection carries.
    BulkRate {
        /// Bytes a second.
        bytes_per_s: u64,
    },
    /// The relay has no work now and will send a lease when it has.
    Waiting {
        /// The relay's words.
        reason: String,
    },
    /// A lease came.
    Leased {
        /// The lease.
        lease: LeaseId,
        /// Its unit.
        #[serde(flatten)]
        unit: UnitRef,
        /// How long it lasts, milliseconds.
        duration_ms: u32,
    },
    /// Its inputs are here and computing begins.
    Computing {
        /// The lease.
        lease: LeaseId,
        /// Its unit.
        #[serde(flatten)]
        unit: UnitRef,
        /// `cpu` or `webgpu`.
        backend: &'static str,
    },
    /// The output is computed and the relay was sent a commitment to it.
    Committed {
        /// The lease.
        lease: LeaseId,
        /// Its unit.
        #[serde(flatten)]
        unit: UnitRef,
        /// `cpu` or `webgpu`.
        backend: &'static str,
        /// Time spent computing, milliseconds.
        compute_ms: u32,
        /// GPU kernels dispatched.
        gpu_dispatches: u32,
    },
    /// The relay countersigned: proof of work that nobody can withhold.
    Accepted {
        /// Its unit.
        #[serde(flatten)]
        unit: UnitRef,
        /// The countersigned receipt: an encoded envelope, hexadecimal.
        receipt: String,
    },
    /// The result was judged and not accepted.
    Rejected {
        /// The lease.
        lease: LeaseId,
        /// Its unit.
        #[serde(flatten)]
        unit: UnitRef,
        /// The outcome's name.
        outcome: String,
        /// The relay's words.
        reason: String,
    },
    /// A lease was given back.
    Returned {
        /// The lease.
        lease: LeaseId,
        /// Why.
        reason: String,
    },
    /// The relay refused a message or the worker; the session may go on.
    Refused {
        /// The code's name.
        code: String,
        /// The relay's words.
        detail: String,
    },
    /// The relay sent something that does not verify; it was ignored.
    BadReceipt {
        /// What is wrong with it.
        reason: String,
    },
    /// The connection is gone.
    Disconnected {
        /// Why.
        reason: String,
        /// When it will be dialled again, milliseconds from now.
        retry_ms: u64,
    },
    /// Totals, when they have changed.
    Stats(Stats),
    /// The worker has stopped; nothing follows.
    Stopped,
}

/// Totals since the worker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Units computed.
    pub computed_units: u64,
    /// Reference operations of the units computed.
    pub computed_ops: u64,
    /// Time spent computing, milliseconds.
    pub compute_ms: u64,
    /// GPU kernels dispatched.
    pub gpu_dispatches: u64,
    /// Units accepted, with a verified receipt.
    pub accepted_units: u64,
    /// Reference operations of the units accepted.
    pub verified_ops: u64,
    /// Units whose verdict is out.
    pub pending_units: u64,
    /// Reference operations of the units whose verdict is out.
    pub pending_ops: u64,
    /// Units rejected.
    pub rejected_units: u64,
    /// Leases given back.
    pub returned_leases: u64,
    /// Bytes of blobs fetched.
    pub fetched_bytes: u64,
    /// Blobs that were in the cache.
    pub cached_blobs: u64,
}

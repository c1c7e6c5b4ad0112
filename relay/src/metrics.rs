//! What a monitoring system reads at `/metrics`.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use shoal_wire::proto::Outcome;

use crate::connections::Connections;

/// Labels of connected workers.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct WorkerLabels {
    /// `browser`, `native` or `node`.
    pub kind: &'static str,
    /// `cpu` or `webgpu`.
    pub backend: &'static str,
}

/// Label of a verdict.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Label of a blob transfer.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

/// All metrics of one relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Workers with a session now.
    pub workers: Family<WorkerLabels, Gauge<i64, AtomicI64>>,
    /// Leases granted since the start.
    pub leases: Counter,
    /// Leases that ended without a result.
    pub leases_withdrawn: Counter,
    /// Rounds averaged since the start.
    pub rounds: Counter,
    /// Rows of accepted shards of map jobs.
    pub map_rows: Counter,
    /// Reference operations of accepted results.
    pub verified_ops: Counter,
    /// Native time spent on verdicts, seconds.
    pub validation_seconds: Counter<f64, AtomicU64>,
    /// Sessions and messages refused.
    pub refusals: Counter,
    /// Receipts that no epoch on chain holds.
    pub outbox_depth: Gauge<i64, AtomicI64>,
    verdicts: Family<OutcomeLabel, Counter>,
    blob_bytes: Family<DirectionLabel, Counter>,
}

impl Metrics {
    /// All at zero, those of the connections among them.
    pub fn new(connections: &Connections) -> Self {
        let mut m = Self {
            registry: Registry::with_prefix("shoal_relay"),
            workers: Family::default(),
            leases: Counter::default(),
            leases_withdrawn: Counter::default(),
            rounds: Counter::default(),
            map_rows: Counter::default(),
            verified_ops: Counter::default(),
            validation_seconds: Counter::default(),
            refusals: Counter::default(),
            outbox_depth: Gauge::default(),
            verdicts: Family::default(),
            blob_bytes: Family::default(),
        };
        let r = &mut m.registry;
        r.register("workers", "Workers with a session", m.workers.clone());
        r.register("leases", "Leases granted", m.leases.clone());
        r.register("leases_withdrawn", "Leases that ended without a result", m.leases_withdrawn.clone());
        r.register("rounds", "Rounds averaged", m.rounds.clone());
        r.register("map_rows", "Rows of accepted shards of map jobs", m.map_rows.clone());
        r.register("verified_operations", "Reference operations of accepted results", m.verified_ops.clone());
        r.register_with_unit(
            "validation",
            "Native time spent on verdicts",
            Unit::Seconds,
            m.validation_seconds.clone(),
        );
        r.register("refusals", "Sessions and messages refused", m.refusals.clone());
        r.register("outbox_depth", "Receipts that no epoch on chain holds", m.outbox_depth.clone());
        r.register("verdicts", "Verdicts by outcome", m.verdicts.clone());
        r.register_with_unit("blob", "Blob bytes from and to workers", Unit::Bytes, m.blob_bytes.clone());
        connections.register(r);
        m
    }

    /// Counts a verdict.
    pub fn verdict(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Accepted => "accepted",
            Outcome::WrongResult => "wrong_result",
            Outcome::CommitmentMismatch => "commitment_mismatch",
            Outcome::MalformedOutput => "malformed_output",
            Outcome::NonFinite => "non_finite",
            Outcome::OutputUnavailable | Outcome::Unspecified => "output_unavailable",
        };
        self.verdicts.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts blob bytes received from workers.
    pub fn blob_in(&self, bytes: u64) {
        self.blob_bytes.get_or_create(&DirectionLabel { direction: "in" }).inc_by(bytes);
    }

    /// Counts blob bytes sent to workers.
    pub fn blob_out(&self, bytes: u64) {
        self.blob_bytes.get_or_create(&DirectionLabel { direction: "out" }).inc_by(bytes);
    }

    /// All metrics in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

//! The relay's connections as an operator sees them: a row for each over HTTP, and metrics by transport.
//!
//! Metrics never have a series for a connection: there may be thousands, and they come and go. What a transport does not know
//! (retransmissions of all but webrtc-direct) has no series and no field, instead of a zero.

use std::time::{Duration, Instant};

use libp2p::{
    PeerId,
    core::ConnectedPoint,
    swarm::{ConnectionError, ConnectionId},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType, counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
    },
    registry::{Registry, Unit},
};
use shoal_transport::{
    peer::node_id,
    telemetry::{Connection, End, Telemetry, Totals},
};
use shoal_wire::api::ConnectionRow;

/// Upper ends of the round trips' buckets, seconds: loopback, a city, a continent, a satellite, a tab that computes.
const ROUND_TRIP_BUCKETS: [f64; 12] = [0.001, 0.003, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 5.0, 20.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TransportLabel {
    transport: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClosedLabels {
    transport: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BytesLabels {
    transport: &'static str,
    direction: &'static str,
}

/// See the module's documentation. Clones share everything.
#[derive(Clone, Debug)]
pub struct Connections {
    telemetry: Telemetry,
    /// Zero of the telemetry's time.
    started: Instant,
    closed: Family<ClosedLabels, Counter>,
    round_trips: Family<TransportLabel, Histogram>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            telemetry: Telemetry::default(),
            started: Instant::now(),
            closed: Family::default(),
            round_trips: Family::new_with_constructor(|| Histogram::new(ROUND_TRIP_BUCKETS)),
        }
    }
}

impl Connections {
    /// What the transports report to.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The swarm established one.
    pub fn established(&self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        self.telemetry.established(self.started.elapsed(), id, peer, endpoint);
    }

    /// A ping took this long.
    pub fn pinged(&self, id: ConnectionId, round_trip: Duration) {
        if let Some(kind) = self.telemetry.pinged(id, round_trip) {
            self.round_trips
                .get_or_create(&TransportLabel { transport: kind.name() })
                .observe(round_trip.as_secs_f64());
        }
    }

    /// One ended.
    pub fn closed(&self, id: ConnectionId, cause: Option<&ConnectionError>) {
        if let Some(kind) = self.telemetry.closed(id) {
            let labels = ClosedLabels { transport: kind.name(), reason: End::of(cause).name() };
            self.closed.get_or_create(&labels).inc();
        }
    }

    /// To be called every few seconds: rates are differences.
    pub fn measure_rates(&self) {
        self.telemetry.measure_rates(self.started.elapsed());
    }

    /// All connections, the oldest first.
    pub fn rows(&self, is_joined: impl Fn(&shoal_wire::ids::NodeId) -> bool) -> Vec<ConnectionRow> {
        let connections = self.telemetry.connections(self.started.elapsed());
        connections.into_iter().map(|connection| row(connection, &is_joined)).collect()
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("connections_closed", "Connections that ended, by reason", self.closed.clone());
        registry.register_with_unit(
            "connection_round_trip",
            "What pings took: path, queues and the peer's attention",
            Unit::Seconds,
            self.round_trips.clone(),
        );
        registry.register_collector(Box::new(self.clone()));
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut totals: Vec<(TransportLabel, Totals)> = self
            .telemetry
            .totals()
            .into_iter()
            .map(|(kind, of)| (TransportLabel { transport: kind.name() }, of))
            .collect();
        totals.sort_by_key(|(label, _)| label.transport);

        let mut family = encoder.encode_descriptor("connections", "Connections that stand", None, MetricType::Gauge)?;
        for (label, of) in &totals {
            let standing = ConstGauge::new(i64::try_from(of.now).unwrap_or(i64::MAX));
            standing.encode(family.encode_family(label)?)?;
        }
        let mut family =
            encoder.encode_descriptor("connections_opened", "Connections established", None, MetricType::Counter)?;
        for (label, of) in &totals {
            ConstCounter::new(of.opened).encode(family.encode_family(label)?)?;
        }
        let help = "Bytes that streams of connections read (in) and wrote (out)";
        let mut family = encoder.encode_descriptor("connection", help, Some(&Unit::Bytes), MetricType::Counter)?;
        for (TransportLabel { transport }, of) in &totals {
            for (direction, bytes) in [("in", of.received), ("out", of.sent)] {
                ConstCounter::new(bytes).encode(family.encode_family(&BytesLabels { transport, direction })?)?;
            }
        }
        let help = "Pieces of data sent once more, where the transport knows";
        let mut family = encoder.encode_descriptor("connection_retransmissions", help, None, MetricType::Counter)?;
        for (label, of) in &totals {
            if let Some(retransmissions) = of.retransmissions {
                ConstCounter::new(retransmissions).encode(family.encode_family(label)?)?;
            }
        }
        Ok(())
    }
}

fn row(connection: Connection, is_joined: impl Fn(&shoal_wire::ids::NodeId) -> bool) -> ConnectionRow {
    let node = node_id(&connection.peer).ok();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    ConnectionRow {
        joined: node.as_ref().is_some_and(is_joined),
        node,
        transport: connection.kind.name().to_owned(),
        address: connection.address.to_string(),
        age_ms: u64::try_from(connection.age.as_millis()).unwrap_or(u64::MAX),
        received_bytes: connection.received,
        sent_bytes: connection.sent,
        received_bytes_per_second: connection.received_rate,
        sent_bytes_per_second: connection.sent_rate,
        round_trip_ms: connection.round_trip.map(millis),
        path_round_trip_ms: connection.path_round_trip.map(millis),
        retransmissions: connection.retransmissions,
    }
}

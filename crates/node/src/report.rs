//! How a worker is connected, for whoever looks. Nothing is measured for it but what is counted anyway.

use std::time::Duration;

use serde::Serialize;
use shoal_transport::telemetry::Telemetry;
use shoal_wire::ids::BlobId;

use crate::transfers::Transfers;

/// The connection to the relay and the blobs on it. Serialises to what pages show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionReport {
    /// `webrtc`, `websocket`, `quic` or `tcp`.
    pub transport: &'static str,
    /// The relay's multiaddress.
    pub address: String,
    /// How long it has stood, milliseconds.
    pub age_ms: u64,
    /// Bytes that streams read.
    pub received_bytes: u64,
    /// Bytes that streams wrote.
    pub sent_bytes: u64,
    /// What the last ping took, milliseconds: path, queues, and the attention of both ends. `null` before the first.
    pub round_trip_ms: Option<f64>,
    /// Blobs on their way here.
    pub downloads: Vec<DownloadReport>,
    /// Blobs that the relay is fetching from here.
    pub uploads: u32,
}

/// One blob on its way here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DownloadReport {
    /// Its name.
    pub blob: BlobId,
    /// Bytes here and verified.
    pub verified_bytes: u64,
    /// Bytes of the whole; `null` until a sender has said so.
    pub size_bytes: Option<u64>,
}

/// What a report is made of. Clones look at the same worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) telemetry: Telemetry,
    pub(crate) transfers: Transfers,
}

impl Watched {
    /// The newest connection as it is at `now` of the platform's clock.
    pub(crate) fn report(&self, now: Duration) -> Option<ConnectionReport> {
        let connection = self.telemetry.connections(now).pop()?;
        let downloads = self.transfers.downloads().into_iter().map(|download| DownloadReport {
            blob: download.id(),
            verified_bytes: download.verified_len(),
            size_bytes: download.size(),
        });
        Some(ConnectionReport {
            transport: connection.kind.name(),
            address: connection.address.to_string(),
            age_ms: u64::try_from(connection.age.as_millis()).unwrap_or(u64::MAX),
            received_bytes: connection.received,
            sent_bytes: connection.sent,
            round_trip_ms: connection.round_trip.map(|took| took.as_secs_f64() * 1000.0),
            downloads: downloads.collect(),
            uploads: self.transfers.uploads(),
        })
    }
}

//! The worker: connects to a relay, takes leases, computes units, proves what it did and keeps the receipts.
//!
//! One future does everything, on tokio and in a tab alike: [`Worker::run`]; [`Worker::visit`] has a session without work.
//! What differs between machines comes in from outside: time and tasks ([`Platform`]), the libp2p transport, the device that
//! computes tolerant units ([`Devices`]), storage, and a client of HTTP. What happens goes out as [`Event`]s. A
//! [`WorkerHandle`] pauses, throttles, limits and stops it, and tells how it is connected.
//!
//! Left out on purpose: consent, storing keys and showing anything (the shells' business), and every decision about
//! who gets which unit (the relay's).

mod blobs;
mod cache;
#[cfg(feature = "cheat")]
pub mod cheat;
mod compute;
mod config;
mod error;
mod event;
mod fetch;
mod http;
mod leases;
mod limiter;
pub mod limits;
mod network;
mod pace;
mod platform;
mod receipts;
mod report;
mod session;
mod storage;
mod transfers;
mod worker;

pub use cache::{Piece, StoredCache};
pub use compute::Devices;
pub use config::{Payout, WorkerConfig};
pub use error::{ConfigError, VisitError, WorkerError};
pub use event::{Event, Stats, UnitRef};
pub use http::{HttpBody, HttpClient, HttpError};
#[cfg(not(target_arch = "wasm32"))]
pub use http::{NativeHttp, Reach};
pub use limiter::check_rates;
pub use network::BoxedTransport;
#[cfg(not(target_arch = "wasm32"))]
pub use network::{native_transport, tcp_transport};
pub use platform::Platform;
#[cfg(not(target_arch = "wasm32"))]
pub use platform::TokioPlatform;
pub use receipts::ReceiptError;
pub use report::{ConnectionReport, DownloadReport};
#[cfg(not(target_arch = "wasm32"))]
pub use storage::DiskStorage;
pub use storage::{MemoryStorage, Storage, StorageEntry, StorageError};
pub use worker::{Visit, Worker, WorkerHandle};

//! Settings of a relay: a flag wins over the environment, the environment over the TOML file, the file over the
//! default. Unknown keys are refused. Each effective value remembers where it came from, for `config explain`.

mod layer;
mod resolve;
mod template;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub use layer::{Layer, ListenAddr, LogFormat};
pub use resolve::{ConfigError, Explained, Resolved, Source, resolve};
pub use template::{SourceTemplate, TemplateError, TemplateFault};

/// Default port of the HTTP API and the volunteer page.
pub const DEFAULT_HTTP_PORT: u16 = 7040;

/// Default port of the swarm: TCP and UDP alike.
pub const DEFAULT_SWARM_PORT: u16 = 7041;

/// Default port of the other ways in: WebSocket (TCP) for tabs without UDP, QUIC (UDP) for native workers.
pub const DEFAULT_SECOND_PORT: u16 = 7042;

/// Default time between two reward epochs, seconds: an epoch costs one transaction, whatever it pays.
pub const DEFAULT_EPOCH_SECONDS: u64 = 60;

/// Everything that decides how a relay runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Folder of keys, database and blobs.
    pub data_dir: PathBuf,
    /// Network name that signatures cover.
    pub network: String,
    /// Where HTTP listens.
    pub http_addr: SocketAddr,
    /// Where libp2p over TCP listens.
    pub tcp_addr: ListenAddr,
    /// Where WebRTC listens (UDP).
    pub webrtc_addr: ListenAddr,
    /// Where QUIC listens (UDP).
    pub quic_addr: ListenAddr,
    /// Where WebSocket listens (TCP).
    pub ws_addr: ListenAddr,
    /// Where WebSocket over TLS listens (TCP).
    pub wss_addr: ListenAddr,
    /// PEM file with the TLS certificate and its chain.
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub tls_key_file: Option<PathBuf>,
    /// DNS name of the certificate.
    pub tls_name: Option<String>,
    /// Hosts or addresses to announce instead of those of the interfaces.
    pub advertise: Vec<std::net::IpAddr>,
    /// Whether joining needs the secret in the data folder.
    pub private: bool,
    /// Where else blobs are, in the order of their naming. Whoever can read there needs no join secret, so a private relay
    /// has none.
    pub blob_sources: Vec<SourceTemplate>,
    /// Folder of the volunteer page.
    pub web_dir: Option<PathBuf>,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written, in `tracing-subscriber`'s directive syntax.
    pub log_filter: String,
    /// Validations at once.
    pub validators: usize,
    /// Whether rewards are posted to a chain.
    pub rewards: bool,
    /// JSON-RPC URL; without one a local anvil is started.
    pub chain_url: Option<String>,
    /// File with the hexadecimal secp256k1 key that posts epochs.
    pub chain_key_file: Option<PathBuf>,
    /// Deployment file with the contracts' addresses.
    pub deployment: Option<PathBuf>,
    /// The anvil program, if not the one found by itself.
    pub anvil: Option<PathBuf>,
    /// Time between epochs.
    pub epoch: Duration,
    /// File that receives the join info when everything listens.
    pub ready_file: Option<PathBuf>,
}

impl Config {
    /// Whether the relay is reached on this machine alone.
    pub fn is_on_loopback(&self) -> bool {
        let listeners = [self.tcp_addr, self.webrtc_addr, self.quic_addr, self.ws_addr, self.wss_addr];
        let local = |listener: &ListenAddr| match listener {
            ListenAddr::Off => true,
            ListenAddr::On(addr) => addr.ip().is_loopback(),
        };
        self.http_addr.ip().is_loopback()
            && listeners.iter().all(local)
            && self.advertise.iter().all(std::net::IpAddr::is_loopback)
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            data_dir: PathBuf::from("shoal-data"),
            network: shoal_wire::version::DEFAULT_NETWORK.to_owned(),
            http_addr: loopback(DEFAULT_HTTP_PORT),
            tcp_addr: ListenAddr::On(loopback(DEFAULT_SWARM_PORT)),
            webrtc_addr: ListenAddr::On(loopback(DEFAULT_SWARM_PORT)),
            quic_addr: ListenAddr::On(loopback(DEFAULT_SECOND_PORT)),
            ws_addr: ListenAddr::On(loopback(DEFAULT_SECOND_PORT)),
            wss_addr: ListenAddr::Off,
            tls_cert_file: None,
            tls_key_file: None,
            tls_name: None,
            advertise: Vec::new(),
            private: false,
            blob_sources: Vec::new(),
            web_dir: None,
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            validators: 1,
            rewards: true,
            chain_url: None,
            chain_key_file: None,
            deployment: None,
            anvil: None,
            epoch: Duration::from_secs(DEFAULT_EPOCH_SECONDS),
            ready_file: None,
        }
    }
}

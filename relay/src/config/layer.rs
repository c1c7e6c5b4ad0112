//! One layer of settings: what the command line and the environment say, or what the file says. Everything optional.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer};

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// Do not listen.
    Off,
    /// Listen here; port 0 picks a free one.
    On(SocketAddr),
}

impl FromStr for ListenAddr {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::On) }
    }
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(addr) => addr.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for ListenAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How logs are written to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings as one source gives them. Keys of the file are the flags' names with underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Layer {
    /// Folder of keys, database and blobs; made if missing
    #[arg(long, env = "SHOAL_RELAY_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Network name that signatures cover
    #[arg(long, env = "SHOAL_RELAY_NETWORK", value_name = "NAME", global = true)]
    pub network: Option<String>,
    /// Where the HTTP API and the volunteer page listen; port 0 picks a free one
    #[arg(long, env = "SHOAL_RELAY_HTTP_ADDR", value_name = "IP:PORT", global = true)]
    pub http_addr: Option<SocketAddr>,
    /// Where native workers connect (TCP), or `off`
    #[arg(long, env = "SHOAL_RELAY_TCP_ADDR", value_name = "IP:PORT", global = true)]
    pub tcp_addr: Option<ListenAddr>,
    /// Where browser tabs connect (WebRTC over UDP), or `off`
    #[arg(long, env = "SHOAL_RELAY_WEBRTC_ADDR", value_name = "IP:PORT", global = true)]
    pub webrtc_addr: Option<ListenAddr>,
    /// Where native workers connect by QUIC (UDP, another port than WebRTC's), or `off`
    #[arg(long, env = "SHOAL_RELAY_QUIC_ADDR", value_name = "IP:PORT", global = true)]
    pub quic_addr: Option<ListenAddr>,
    /// Where tabs without UDP connect (WebSocket over TCP), or `off`
    #[arg(long, env = "SHOAL_RELAY_WS_ADDR", value_name = "IP:PORT", global = true)]
    pub ws_addr: Option<ListenAddr>,
    /// Where tabs on pages of https connect (WebSocket over TLS), or `off`; needs the certificate
    #[arg(long, env = "SHOAL_RELAY_WSS_ADDR", value_name = "IP:PORT", global = true)]
    pub wss_addr: Option<ListenAddr>,
    /// PEM file with the TLS certificate and its chain; a renewed one is read at the next start
    #[arg(long, env = "SHOAL_RELAY_TLS_CERT_FILE", value_name = "FILE", global = true)]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, env = "SHOAL_RELAY_TLS_KEY_FILE", value_name = "FILE", global = true)]
    pub tls_key_file: Option<PathBuf>,
    /// DNS name of the certificate, announced in the place of IP addresses
    #[arg(long, env = "SHOAL_RELAY_TLS_NAME", value_name = "NAME", global = true)]
    pub tls_name: Option<String>,
    /// Address to announce to workers instead of those of the interfaces; may be repeated
    #[arg(long, env = "SHOAL_RELAY_ADVERTISE", value_name = "IP", value_delimiter = ',', global = true)]
    pub advertise: Option<Vec<std::net::IpAddr>>,
    /// Only workers that know the secret in `join-secret` of the data folder may join
    #[arg(long, env = "SHOAL_RELAY_PRIVATE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", global = true)]
    pub private: Option<bool>,
    /// HTTPS sources of blobs for workers, with `{id}` where the hash goes; may be repeated, up to four
    #[arg(long, env = "SHOAL_RELAY_BLOB_SOURCES", value_name = "URL", value_delimiter = ',', global = true)]
    pub blob_sources: Option<Vec<String>>,
    /// Folder of the volunteer page
    #[arg(long, env = "SHOAL_RELAY_WEB_DIR", value_name = "DIR", global = true)]
    pub web_dir: Option<PathBuf>,
    /// How logs are written
    #[arg(long, env = "SHOAL_RELAY_LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
    /// Which logs are written, for example `info,shoal_relay=debug`
    #[arg(long, env = "SHOAL_RELAY_LOG", value_name = "FILTER", global = true)]
    pub log_filter: Option<String>,
    /// Validations at once; each uses one core
    #[arg(long, env = "SHOAL_RELAY_VALIDATORS", value_name = "N", global = true)]
    pub validators: Option<usize>,
    /// Whether rewards are posted to a chain; receipts are kept in any case
    #[arg(long, env = "SHOAL_RELAY_REWARDS", value_name = "BOOL", global = true)]
    pub rewards: Option<bool>,
    /// JSON-RPC URL of the chain; without one a local anvil is started
    #[arg(long, env = "SHOAL_RELAY_CHAIN_URL", value_name = "URL", global = true)]
    pub chain_url: Option<String>,
    /// File with the hexadecimal secp256k1 key that posts epochs
    #[arg(long, env = "SHOAL_RELAY_CHAIN_KEY_FILE", value_name = "FILE", global = true)]
    pub chain_key_file: Option<PathBuf>,
    /// File with the contracts' addresses, as `shoal chain deploy` writes it
    #[arg(long, env = "SHOAL_RELAY_DEPLOYMENT", value_name = "FILE", global = true)]
    pub deployment: Option<PathBuf>,
    /// The anvil program, if it is not the one found by itself
    #[arg(long, env = "SHOAL_RELAY_ANVIL", value_name = "FILE", global = true)]
    pub anvil: Option<PathBuf>,
    /// Seconds between reward epochs
    #[arg(long, env = "SHOAL_RELAY_EPOCH_SECONDS", value_name = "SECONDS", global = true)]
    pub epoch_seconds: Option<u64>,
    /// File that receives the join info as JSON when everything listens
    #[arg(long, env = "SHOAL_RELAY_READY_FILE", value_name = "FILE", global = true)]
    pub ready_file: Option<PathBuf>,
}

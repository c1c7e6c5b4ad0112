//! Puts the layers on top of each other and checks the outcome.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgMatches, parser::ValueSource};
use shoal_wire::limits::MAX_NETWORK_LEN;

use super::{Config, Layer, ListenAddr, SourceTemplate, TemplateError};

/// Where an effective value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing set it.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One setting as `config explain` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Key in the file.
    pub key: &'static str,
    /// Effective value.
    pub value: String,
    /// Who set it.
    pub source: Source,
}

/// The outcome of all layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Effective settings.
    pub config: Config,
    /// Each of them with its source.
    pub explained: Vec<Explained>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML of this shape; names the key.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why, with line and key.
        source: Box<toml::de::Error>,
    },
    /// A value out of range.
    #[error("{key} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A source of blobs that cannot be one.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Most validations at once: more than any machine has cores is a misspelling.
const MAX_VALIDATORS: usize = 256;

struct Resolver<'a> {
    matches: &'a ArgMatches,
    file: Option<&'a Path>,
    explained: Vec<Explained>,
}

impl Resolver<'_> {
    fn source(&self, key: &str, flagged: bool, filed: bool) -> Source {
        if flagged {
            if self.matches.value_source(key) == Some(ValueSource::EnvVariable) {
                return Source::Environment(format!("SHOAL_RELAY_{}", variable(key)));
            }
            return Source::Flag(format!("--{}", key.replace('_', "-")));
        }
        match self.file {
            Some(path) if filed => Source::File(path.to_owned()),
            _ => Source::Default,
        }
    }

    fn pick<T>(
        &mut self,
        key: &'static str,
        flag: Option<T>,
        file: Option<T>,
        default: T,
        show: impl Fn(&T) -> String,
    ) -> T {
        let source = self.source(key, flag.is_some(), file.is_some());
        let value = flag.or(file).unwrap_or(default);
        self.explained.push(Explained { key, value: show(&value), source });
        value
    }
}

fn variable(key: &str) -> String {
    if key == "log_filter" { "LOG".to_owned() } else { key.to_uppercase() }
}

fn path(value: &Option<PathBuf>) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string())
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_else(|| "none".to_owned())
}

/// Resolves what the command line and environment gave (`flags`, parsed from `matches`) over the TOML file.
///
/// # Errors
/// A file that cannot be read or has unknown keys; a value out of range.
pub fn resolve(flags: Layer, matches: &ArgMatches, file_path: Option<&Path>) -> Result<Resolved, ConfigError> {
    let file = match file_path {
        Some(path) => read(path)?,
        None => Layer::default(),
    };
    let d = Config::default();
    let mut r = Resolver { matches, file: file_path, explained: Vec::new() };
    let sources = r.pick("blob_sources", flags.blob_sources, file.blob_sources, Vec::new(), |v| format!("{v:?}"));
    let mut config = Config {
        data_dir: r.pick("data_dir", flags.data_dir, file.data_dir, d.data_dir, |v| v.display().to_string()),
        network: r.pick("network", flags.network, file.network, d.network, Clone::clone),
        http_addr: r.pick("http_addr", flags.http_addr, file.http_addr, d.http_addr, ToString::to_string),
        tcp_addr: r.pick("tcp_addr", flags.tcp_addr, file.tcp_addr, d.tcp_addr, ToString::to_string),
        webrtc_addr: r.pick("webrtc_addr", flags.webrtc_addr, file.webrtc_addr, d.webrtc_addr, ToString::to_string),
        quic_addr: r.pick("quic_addr", flags.quic_addr, file.quic_addr, d.quic_addr, ToString::to_string),
        ws_addr: r.pick("ws_addr", flags.ws_addr, file.ws_addr, d.ws_addr, ToString::to_string),
        wss_addr: r.pick("wss_addr", flags.wss_addr, file.wss_addr, d.wss_addr, ToString::to_string),
        tls_cert_file: r.pick(
            "tls_cert_file",
            flags.tls_cert_file.map(Some),
            file.tls_cert_file.map(Some),
            d.tls_cert_file,
            path,
        ),
        tls_key_file: r.pick(
            "tls_key_file",
            flags.tls_key_file.map(Some),
            file.tls_key_file.map(Some),
            d.tls_key_file,
            path,
        ),
        tls_name: r.pick("tls_name", flags.tls_name.map(Some), file.tls_name.map(Some), d.tls_name, text),
        advertise: r.pick("advertise", flags.advertise, file.advertise, d.advertise, |v| format!("{v:?}")),
        private: r.pick("private", flags.private, file.private, d.private, ToString::to_string),
        blob_sources: d.blob_sources,
        web_dir: r.pick("web_dir", flags.web_dir.map(Some), file.web_dir.map(Some), d.web_dir, path),
        log_format: r
            .pick("log_format", flags.log_format, file.log_format, d.log_format, |v| format!("{v:?}").to_lowercase()),
        log_filter: r.pick("log_filter", flags.log_filter, file.log_filter, d.log_filter, Clone::clone),
        validators: r.pick("validators", flags.validators, file.validators, d.validators, ToString::to_string),
        rewards: r.pick("rewards", flags.rewards, file.rewards, d.rewards, ToString::to_string),
        chain_url: r.pick("chain_url", flags.chain_url.map(Some), file.chain_url.map(Some), d.chain_url, text),
        chain_key_file: r.pick(
            "chain_key_file",
            flags.chain_key_file.map(Some),
            file.chain_key_file.map(Some),
            d.chain_key_file,
            path,
        ),
        deployment: r.pick("deployment", flags.deployment.map(Some), file.deployment.map(Some), d.deployment, path),
        anvil: r.pick("anvil", flags.anvil.map(Some), file.anvil.map(Some), d.anvil, path),
        epoch: r.pick(
            "epoch_seconds",
            flags.epoch_seconds.map(Duration::from_secs),
            file.epoch_seconds.map(Duration::from_secs),
            d.epoch,
            |v| v.as_secs().to_string(),
        ),
        ready_file: r.pick("ready_file", flags.ready_file.map(Some), file.ready_file.map(Some), d.ready_file, path),
    };
    check(&config)?;
    config.blob_sources = SourceTemplate::parse_all(&sources, config.is_on_loopback())?;
    if config.private && !sources.is_empty() {
        let (key, value) = ("blob_sources", format!("{sources:?} while private is true"));
        return Err(ConfigError::OutOfRange { key, value, allowed: "none there: a source asks for no join secret" });
    }
    Ok(Resolved { config, explained: r.explained })
}

fn read(path: &Path) -> Result<Layer, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Malformed { path: path.to_owned(), source: Box::new(source) })
}

fn check(config: &Config) -> Result<(), ConfigError> {
    if config.network.is_empty() || config.network.len() > MAX_NETWORK_LEN {
        let value = config.network.clone();
        return Err(ConfigError::OutOfRange { key: "network", value, allowed: "1 to 64 bytes" });
    }
    if !(1..=MAX_VALIDATORS).contains(&config.validators) {
        let value = config.validators.to_string();
        return Err(ConfigError::OutOfRange { key: "validators", value, allowed: "1 to 256" });
    }
    if config.epoch.is_zero() {
        return Err(ConfigError::OutOfRange { key: "epoch_seconds", value: "0".to_owned(), allowed: "1 or more" });
    }
    if config.chain_url.is_some() && (config.chain_key_file.is_none() || config.deployment.is_none()) {
        let (key, value) = ("chain_url", "set without chain_key_file and deployment".to_owned());
        return Err(ConfigError::OutOfRange { key, value, allowed: "only together with both" });
    }
    check_listeners(config)
}

fn check_listeners(config: &Config) -> Result<(), ConfigError> {
    let both_files = config.tls_cert_file.is_some() && config.tls_key_file.is_some();
    if matches!(config.wss_addr, ListenAddr::On(_)) != both_files {
        let (key, value) = ("wss_addr", config.wss_addr.to_string());
        return Err(ConfigError::OutOfRange {
            key,
            value,
            allowed: "an address together with tls_cert_file and tls_key_file",
        });
    }
    let host_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    if let Some(name) = config.tls_name.as_ref().filter(|name| !host_name(name)) {
        let (key, value) = ("tls_name", name.clone());
        return Err(ConfigError::OutOfRange { key, value, allowed: "a host name: letters, digits, hyphens and dots" });
    }
    for (key, one, other, allowed) in [
        ("quic_addr", config.quic_addr, config.webrtc_addr, "another UDP port than webrtc_addr's"),
        ("ws_addr", config.ws_addr, config.tcp_addr, "another TCP port than tcp_addr's"),
        ("wss_addr", config.wss_addr, config.tcp_addr, "another TCP port than tcp_addr's"),
        ("wss_addr", config.wss_addr, config.ws_addr, "another TCP port than ws_addr's"),
    ] {
        if let (ListenAddr::On(one), ListenAddr::On(other)) = (one, other)
            && one == other
            && one.port() != 0
        {
            return Err(ConfigError::OutOfRange { key, value: one.to_string(), allowed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn resolved(args: &[&str], toml: &str) -> Result<Resolved, ConfigError> {
        let command = Layer::augment_args(clap::Command::new("test"));
        let matches = command.get_matches_from([&["test"], args].concat());
        let flags = Layer::from_arg_matches(&matches).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.toml");
        std::fs::write(&path, toml).unwrap();
        resolve(flags, &matches, Some(&path))
    }

    fn source(resolved: &Resolved, key: &str) -> Source {
        resolved.explained.iter().find(|e| e.key == key).unwrap().source.clone()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let r = resolved(&["--network", "flagged"], "network = 'filed'\nvalidators = 3\ntcp_addr = 'off'").unwrap();
        assert_eq!(r.config.network, "flagged");
        assert_eq!(source(&r, "network"), Source::Flag("--network".to_owned()));
        assert_eq!(r.config.validators, 3);
        assert!(matches!(source(&r, "validators"), Source::File(_)));
        assert_eq!(r.config.tcp_addr, super::super::ListenAddr::Off);
        assert_eq!(source(&r, "epoch_seconds"), Source::Default);
    }

    #[test]
    fn every_setting_is_explained() {
        let explained = resolved(&[], "").unwrap().explained;
        let command = Layer::augment_args(clap::Command::new("test"));
        let mut flags: Vec<_> = command.get_arguments().map(|a| a.get_id().to_string()).collect();
        let mut keys: Vec<_> = explained.iter().map(|e| e.key.to_owned()).collect();
        flags.sort();
        keys.sort();
        assert_eq!(flags, keys);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_by_name() {
        let error = resolved(&[], "netwrok = 'x'").unwrap_err().to_string();
        assert!(error.contains("netwrok"), "{error}");
        let error = resolved(&["--validators", "0"], "").unwrap_err().to_string();
        assert_eq!(error, "validators is 0, allowed is 1 to 256");
        let error = resolved(&["--chain-url", "http://x"], "").unwrap_err().to_string();
        assert!(error.contains("chain_key_file"), "{error}");
    }

    #[test]
    fn sources_are_named_by_flag_file_and_list_and_checked() {
        let r = resolved(&["--blob-sources", "https://a.example/{id},https://b.example/{id}"], "").unwrap();
        assert_eq!(r.config.blob_sources.len(), 2);
        let r = resolved(&[], "blob_sources = ['https://a.example/{id}']").unwrap();
        assert_eq!(r.config.blob_sources[0].origin(), "https://a.example");
        for (args, detail) in [
            (&["--blob-sources", "http://a.example/{id}"][..], "\"http://a.example/{id}\": only https"),
            (&["--blob-sources", "https://a.example/{id}", "--private"][..], "private is true, allowed is none"),
            (
                &["--blob-sources", "http://127.0.0.1:1/{id}", "--tcp-addr", "0.0.0.0:1"][..],
                "whole relay is on loopback",
            ),
            (&["--blob-sources", "http://127.0.0.1:1/{id}", "--advertise", "192.0.2.1"][..], "whole relay"),
        ] {
            let error = resolved(args, "").unwrap_err().to_string();
            assert!(error.starts_with("blob_sources") && error.contains(detail), "{args:?}: {error}");
        }
        assert!(
            resolved(&["--blob-sources", "http://127.0.0.1:1/{id}"], "").unwrap().config.blob_sources[0].is_loopback()
        );
    }

    #[test]
    fn listeners_that_cannot_be_are_refused_by_name() {
        for (args, key) in [
            (&["--wss-addr", "127.0.0.1:443"][..], "wss_addr"),
            (&["--tls-cert-file", "a", "--tls-key-file", "b"][..], "wss_addr"),
            (&["--quic-addr", "127.0.0.1:7041"][..], "quic_addr"),
            (&["--ws-addr", "127.0.0.1:7041"][..], "ws_addr"),
            (&["--tls-name", "a/b"][..], "tls_name"),
        ] {
            let error = resolved(args, "").unwrap_err().to_string();
            assert!(error.starts_with(key), "{args:?}: {error}");
        }
        let free = ["--quic-addr", "127.0.0.1:0", "--webrtc-addr", "127.0.0.1:0", "--ws-addr", "off"];
        assert!(resolved(&free, "").is_ok());
        let tls =
            ["--wss-addr", "0.0.0.0:443", "--tls-cert-file", "a", "--tls-key-file", "b", "--tls-name", "a.example"];
        assert_eq!(resolved(&tls, "").unwrap().config.tls_name.as_deref(), Some("a.example"));
    }
}

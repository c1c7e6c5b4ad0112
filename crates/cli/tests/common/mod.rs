//! The command as a process, and a relay in this one with workers that are processes too.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part; a failed helper fails its test"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use shoal_relay::{
    config::{Config, ListenAddr},
    relay::Relay,
};

/// Longest any condition may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// `shoal` without the settings of whoever runs the tests.
pub fn shoal(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SHOAL_")) {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// What a command that succeeds prints.
pub fn succeeds(args: &[&str]) -> String {
    let output = shoal(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub struct Failed {
    pub code: i32,
    pub stderr: String,
    pub stdout: String,
}

pub fn fails(args: &[&str]) -> Failed {
    let Output { status, stdout, stderr } = shoal(args).output().unwrap();
    assert!(!status.success(), "{args:?} should fail: {}", text(&stdout));
    Failed { code: status.code().expect("it exits by itself"), stderr: text(&stderr), stdout: text(&stdout) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn fixture(name: &str) -> String {
    path(&Path::new("tests/fixtures").join(name))
}

/// Of the crate that reads files.
pub fn dataset_fixture(name: &str) -> String {
    path(&Path::new("../dataset/tests/fixtures").join(name))
}

pub fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A file in the user's cache, where `cargo xtask setup` puts it.
pub fn cached(name: &str) -> String {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("SHOAL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|home| home.join("shoal")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/shoal")));
    let file = cache.expect("a cache folder").join(name);
    assert!(file.exists(), "{} is missing: run `cargo xtask setup`", file.display());
    path(&file)
}

pub fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A process that ends with the test.
pub struct Process(pub Child);

impl Process {
    pub fn start(args: &[&str]) -> Self {
        Self(shoal(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Without a word, as the system kills.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A relay on free ports of loopback.
pub struct TestRelay {
    pub url: String,
    address: String,
    network: String,
    dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl TestRelay {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            data_dir: dir.path().to_owned(),
            http_addr: free,
            tcp_addr: ListenAddr::On(free),
            webrtc_addr: ListenAddr::Off,
            quic_addr: ListenAddr::Off,
            ws_addr: ListenAddr::Off,
            rewards: false,
            ..Config::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let relay = runtime.block_on(Relay::start(config)).unwrap();
        let ready = relay.ready().clone();
        runtime.spawn(relay.run_until(std::future::pending()));
        let address = ready.join.addresses.iter().find(|address| address.contains("/tcp/")).unwrap().clone();
        Self { url: ready.http, address, network: ready.join.network, dir, _runtime: runtime }
    }

    /// A native worker, as a person starts one.
    pub fn worker(&self, name: &str, flags: &[&str]) -> Process {
        let dir = path(&self.dir.path().join(name));
        let reach = ["work", "--relay", &self.address, "--network", &self.network, "--data-dir", &dir];
        Process::start(&[&reach[..], flags].concat())
    }
}

pub fn read(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

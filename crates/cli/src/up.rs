//! `shoal up`: starts a relay as a child, waits until it listens, prints the join link, and keeps it company.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::json;
use shoal_wire::api::RelayReady;
use tokio::process::{Child, Command};

use crate::{args::UpArgs, error::CliError, files, link, link::JoinLink, output::Output};

/// A relay that replays a large store, or waits for its chain, may take this long.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a relay that was told to stop may take before it is killed: it finishes what it is storing.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn run(args: UpArgs, output: &Output) -> Result<(), CliError> {
    let program = match args.relay_program.clone() {
        Some(path) => path,
        None => beside_this_program()?,
    };
    if !program.is_file() {
        return Err(CliError::NoRelayProgram { path: program });
    }
    std::fs::create_dir_all(&args.data_dir).map_err(files::io_error(&args.data_dir))?;
    let ready_file = args.data_dir.join("ready.json");
    if ready_file.exists() {
        std::fs::remove_file(&ready_file).map_err(files::io_error(&ready_file))?;
    }
    // Taken before the child exists, so that an early signal stops it too.
    let mut signals = Signals::new().map_err(files::io_error(Path::new("signals")))?;
    let mut relay = command(&program, &args, &ready_file).spawn().map_err(files::io_error(&program))?;
    let ready = tokio::select! {
        ready = wait_until_ready(&mut relay, &ready_file) => ready,
        () = signals.next() => return stop(relay, signals).await,
    };
    match ready.and_then(|ready| announce(&ready, output)) {
        Ok(()) => {}
        Err(error) => {
            // Whatever went wrong, no relay is left behind.
            stop(relay, signals).await?;
            return Err(error);
        }
    }
    tokio::select! {
        status = relay.wait() => Err(CliError::RelayEnded(status.map_err(files::io_error(&program))?)),
        () = signals.next() => {
            output.text("stopping");
            stop(relay, signals).await
        }
    }
}

fn beside_this_program() -> Result<PathBuf, CliError> {
    let own = std::env::current_exe().map_err(files::io_error(Path::new("shoal")))?;
    Ok(own.with_file_name(format!("shoal-relay{}", std::env::consts::EXE_SUFFIX)))
}

fn command(program: &Path, args: &UpArgs, ready_file: &Path) -> Command {
    let http = SocketAddr::new(args.host, args.port);
    // Free ports for everything, or neighbours.
    let next = if args.port == 0 { 0 } else { args.port.saturating_add(1) };
    let swarm_port = args.swarm_port.unwrap_or(next);
    let second_port = if swarm_port == 0 { 0 } else { swarm_port.saturating_add(1) };
    let at = |port| SocketAddr::new(args.host, port).to_string();
    let (swarm, second) = (at(swarm_port), at(second_port));
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(&args.data_dir).arg("--ready-file").arg(ready_file);
    command.args(["--http-addr", &http.to_string(), "--tcp-addr", &swarm, "--webrtc-addr", &swarm]);
    command.args(["--quic-addr", &second, "--ws-addr", &second]);
    command.args(["--private", if args.open { "false" } else { "true" }]);
    if let Some(web_dir) = args.web_dir.clone().or_else(web_dir) {
        command.arg("--web-dir").arg(web_dir);
    }
    command.args(&args.relay_args).stdin(Stdio::null());
    // Its own group: an interrupt at the terminal reaches this program alone, which passes it on once.
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true);
    command
}

/// The built page: here, or where this program was built.
fn web_dir() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let near = own.ancestors().skip(1).take(4).map(|folder| folder.join("web/dist"));
    let mut candidates = std::iter::once(PathBuf::from("web/dist")).chain(near);
    candidates.find(|folder| folder.join("index.html").is_file())
}

async fn wait_until_ready(relay: &mut Child, ready_file: &Path) -> Result<RelayReady, CliError> {
    let listening = async {
        loop {
            if ready_file.exists() {
                return files::read_text(ready_file);
            }
            if let Some(status) = relay.try_wait().map_err(files::io_error(ready_file))? {
                return Err(CliError::RelayEnded(status));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let text = tokio::time::timeout(READY_TIMEOUT, listening).await;
    let text = text.map_err(|_| CliError::RelayNotReady { limit_s: READY_TIMEOUT.as_secs() })??;
    serde_json::from_str(&text).map_err(|error| files::io_error(ready_file)(error.into()))
}

fn announce(ready: &RelayReady, output: &Output) -> Result<(), CliError> {
    let secret = match &ready.join_secret_file {
        Some(file) => Some(link::parse_secret(&files::read_text(Path::new(file))?)?),
        None => None,
    };
    let join_link = JoinLink { url: ready.http.clone(), secret }.encode();
    output.object(&json!({
        "event": "ready",
        "http": ready.http,
        "join_link": join_link,
        "network": ready.join.network,
        "relay": ready.join.relay,
        "addresses": ready.join.addresses,
        "api_token_file": ready.api_token_file,
    }));
    output.text(format!("relay {} is up", ready.join.relay.short()));
    output.text(format!("\n  work in a browser tab:  {join_link}"));
    output.text(format!("  work natively:          shoal work --join '{join_link}'"));
    output.text(format!("  submit a job:           shoal job submit FILE.toml --relay-url {}\n", ready.http));
    output.text("Ctrl-C stops it.");
    Ok(())
}

/// Tells the relay to stop and waits; a second signal, or too long a wait, kills it.
async fn stop(mut relay: Child, mut signals: Signals) -> Result<(), CliError> {
    #[cfg(unix)]
    if let Some(pid) = relay.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
        // An error only says that it has ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = relay.start_kill();
    tokio::select! {
        _ = relay.wait() => {}
        () = signals.next() => drop(relay.kill().await),
        () = tokio::time::sleep(STOP_TIMEOUT) => drop(relay.kill().await),
    }
    Ok(())
}

/// Requests to stop: an interrupt at the terminal, or the system's polite signal. None is lost between two waits.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(windows)]
        self.interrupt.recv().await;
    }
}

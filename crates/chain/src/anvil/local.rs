//! An anvil process with a state file.

use std::{
    fs::{self, File, TryLockError},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{ChainClient, Timeouts},
    key::OperatorKey,
};

/// How long anvil may take to read its state and answer: a state of 100 MB on a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long anvil may take to write its state when told to stop; also how long a start waits for a predecessor that
/// is still writing.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often anvil writes its state anyway, so that a power cut loses a few seconds only.
const WRITE_EVERY_S: u32 = 5;

/// The first account of the mnemonic that development chains use, `test test … junk`. Public knowledge.
const DEVELOPER_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Runs "$@" and stops it gently when standard input ends: when the parent closes it, and also when the parent is
/// killed, which a child could not notice by itself. Exits as "$@" does.
#[cfg(unix)]
const GUARD: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
chain=$!
{ read -r _ <&3; kill -TERM $chain; } 2>/dev/null &
guard=$!
exec 3<&-
wait $chain
status=$?
kill $guard 2>/dev/null
exit $status
"#;

/// Why there is no local chain.
#[derive(Debug, thiserror::Error)]
pub enum LocalChainError {
    /// The folder of the state file cannot be written, or the process not started.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or binary.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another anvil still uses this state file.
    #[error("the chain of {} is already running", state_file.display())]
    InUse {
        /// The state file.
        state_file: PathBuf,
    },
    /// Something else listens there.
    #[error("port {port} is taken")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// It ended instead of answering; its words are in the log.
    #[error("anvil ended with {status}: {log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        log: String,
    },
    /// It runs and does not answer.
    #[error("anvil did not answer on port {port} within {READY_WITHIN:?}")]
    NotReady {
        /// The port.
        port: u16,
    },
    /// It did not stop when told to, and was killed: its state file is as old as its last regular write.
    #[error("anvil did not stop within {STOP_WITHIN:?} and was killed")]
    NotStopped,
}

/// A running anvil. Dropping it stops the process and waits until the state is written; so does killing this process,
/// without the waiting.
#[derive(Debug)]
pub struct LocalChain {
    process: Child,
    url: String,
    stopped: bool,
}

impl LocalChain {
    /// Starts anvil on 127.0.0.1 and waits until it answers. Its state comes from `state_file`, if that exists, and
    /// is written back there; what it has to say goes to `state_file` with the ending `log`.
    ///
    /// `port` 0 takes any free one.
    pub async fn start(binary: &Path, state_file: &Path, port: u16) -> Result<Self, LocalChainError> {
        if let Some(folder) = state_file.parent() {
            fs::create_dir_all(folder).map_err(io_error(folder))?;
        }
        let log_path = state_file.with_extension("log");
        let log = lock_log(&log_path, state_file, STOP_WITHIN).await?;
        let port = free_port(port).await?;

        let mut command = guarded(binary);
        command.args(["--silent", "--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--state").arg(state_file).args(["--state-interval", &WRITE_EVERY_S.to_string()]);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        let process = process.map_err(io_error(binary))?;

        let mut chain = Self { process, url: format!("http://127.0.0.1:{port}"), stopped: false };
        chain.wait_until_ready(port, &log_path).await?;
        Ok(chain)
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A key whose account has native coins on every development chain. Anybody knows it.
    pub fn developer_key() -> OperatorKey {
        DEVELOPER_KEY.parse().expect("the constant is a key")
    }

    /// Stops anvil and waits until its state is written. Blocks the thread, 15 s at most.
    pub fn stop(mut self) -> Result<(), LocalChainError> {
        self.end()
    }

    async fn wait_until_ready(&mut self, port: u16, log_path: &Path) -> Result<(), LocalChainError> {
        let deadline = Instant::now() + READY_WITHIN;
        let timeouts = Timeouts { call: Duration::from_secs(1), ..Timeouts::default() };
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.process.try_wait() {
                self.stopped = true;
                let log = fs::read_to_string(log_path).unwrap_or_default().trim().replace('\n', " ");
                return Err(LocalChainError::Ended { status, log });
            }
            if ChainClient::connect_with(&self.url, None, timeouts).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(LocalChainError::NotReady { port })
    }

    fn end(&mut self) -> Result<(), LocalChainError> {
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
        // The guard takes the end of its input for the order to stop; without a guard there is only killing.
        drop(self.process.stdin.take());
        let deadline = Instant::now() + if cfg!(unix) { STOP_WITHIN } else { Duration::ZERO };
        while Instant::now() < deadline {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        // Both fail only if the process has ended by itself meanwhile.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if cfg!(unix) { Err(LocalChainError::NotStopped) } else { Ok(()) }
    }
}

impl Drop for LocalChain {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!(%error, "stopping the local chain");
        }
    }
}

#[cfg(unix)]
fn guarded(binary: &Path) -> Command {
    use std::os::unix::process::CommandExt;

    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "anvil"]).arg(binary);
    // Its own group: an interrupt at the terminal is for us, and we stop the chain last.
    command.process_group(0);
    command
}

#[cfg(not(unix))]
fn guarded(binary: &Path) -> Command {
    Command::new(binary)
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> LocalChainError {
    let path = path.to_owned();
    move |source| LocalChainError::Io { path, source }
}

/// Opens the log, which the process gets as its standard error, and locks it. The lock belongs to the open file, so it
/// lasts until the last process that has it ends: a successor cannot read the state before it is written.
async fn lock_log(log_path: &Path, state_file: &Path, wait: Duration) -> Result<File, LocalChainError> {
    let log = File::options().create(true).append(true).open(log_path).map_err(io_error(log_path))?;
    let deadline = Instant::now() + wait;
    while cfg!(unix) {
        match log.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err(TryLockError::WouldBlock) => {
                return Err(LocalChainError::InUse { state_file: state_file.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(log_path)(source)),
        }
    }
    log.set_len(0).map_err(io_error(log_path))?;
    Ok(log)
}

/// Waits until the port is free, or picks a free one.
async fn free_port(port: u16) -> Result<u16, LocalChainError> {
    let deadline = Instant::now() + STOP_WITHIN;
    loop {
        match TcpListener::bind(("127.0.0.1", port)).and_then(|listener| listener.local_addr()) {
            Ok(address) => return Ok(address.port()),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err(_) => return Err(LocalChainError::PortTaken { port }),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_stays_locked_until_the_last_process_that_has_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (log_path, state_file) = (folder.path().join("state.log"), folder.path().join("state.json"));
        let log = lock_log(&log_path, &state_file, Duration::ZERO).await.unwrap();
        let mut child = Command::new("sh").args(["-c", "read -r _"]).stdin(Stdio::piped()).stderr(log).spawn().unwrap();
        let refused = lock_log(&log_path, &state_file, Duration::ZERO).await.err();
        assert!(matches!(refused, Some(LocalChainError::InUse { .. })), "{refused:?}");

        drop(child.stdin.take());
        let waited = lock_log(&log_path, &state_file, STOP_WITHIN).await;
        assert!(waited.is_ok(), "{waited:?}");
        child.wait().unwrap();
    }
}

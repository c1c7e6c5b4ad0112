//! Where the README's commands run: a new folder that shows what they read of the checkout, a home of its own, and the
//! built programs first on PATH. What they write goes with the folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::EPOCH_SECONDS;
use crate::exec;
use crate::workspace::Workspace;

/// What the commands read: the job and its data, the built page, and the local chain's program.
const SHOWN: [&str; 3] = ["examples", "web", "node_modules"];
/// A relay finishes what it stores, and `shoal up` itself gives it 30 s.
const STOP_LIMIT: Duration = Duration::from_secs(45);
const POLL: Duration = Duration::from_millis(50);

pub(super) struct Place {
    folder: PathBuf,
    path: std::ffi::OsString,
    /// Of the swarm, once it is up: its ports are free ones, and commands would ask at the usual one.
    pub(super) relay_url: Option<String>,
}

impl Place {
    pub(super) fn new(workspace: &Workspace, programs: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("shoal-readme-{}", std::process::id()));
        fs::create_dir_all(folder.join("home"))?;
        for name in SHOWN {
            let link = folder.join(name);
            show(&workspace.root.join(name), &link).with_context(|| format!("cannot link {}", link.display()))?;
        }
        Ok(Self { folder, path: exec::path_with(programs)?, relay_url: None })
    }

    /// A file that a command has written.
    pub(super) fn written(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The line in a shell that becomes the program, so that signals reach it.
    pub(super) fn shell(&self, line: &str) -> Command {
        let mut command = exec::command_in(&self.folder, "sh");
        command.args(["-c", &format!("exec {line}")]).env("PATH", &self.path);
        for (name, _) in std::env::vars_os() {
            // The caller's settings are not a newcomer's.
            if name.to_str().is_some_and(|name| name.starts_with("SHOAL_")) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.folder.join("home")).env_remove("XDG_DATA_HOME");
        command.env("SHOAL_PORT", "0").env("SHOAL_RELAY_EPOCH_SECONDS", EPOCH_SECONDS);
        if let Some(url) = &self.relay_url {
            command.env("SHOAL_RELAY_URL", url);
        }
        command
    }

    /// Starts a line that stays; what it prints goes into a file of the folder.
    pub(super) fn start(&self, line: &str, index: usize) -> Result<Background> {
        let log = self.folder.join(format!("{index}.log"));
        let printed = File::create(&log)?;
        let mut command = self.shell(line);
        command.stdin(Stdio::null()).stderr(printed.try_clone()?).stdout(printed);
        let child = command.spawn().context("cannot start sh")?;
        Ok(Background { line: line.to_owned(), child, log })
    }

    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

fn show(original: &Path, link: &Path) -> Result<()> {
    #[cfg(unix)]
    std::os::unix::fs::symlink(original, link)?;
    #[cfg(not(unix))]
    bail!("{} cannot be shown at {} without symbolic links", original.display(), link.display());
    #[cfg(unix)]
    Ok(())
}

/// A program that stays until it is told to stop.
pub(super) struct Background {
    pub(super) line: String,
    child: Child,
    log: PathBuf,
}

impl Background {
    pub(super) fn printed(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks it to stop, as Ctrl-C does. Being gone before that, or not going, is an error.
    pub(super) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself with {status}", self.line);
        }
        exec::run(Command::new("kill").args(["-INT", &self.child.id().to_string()]))?;
        let asked = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} was stopped and ended with {status}", self.line),
                None if asked.elapsed() > STOP_LIMIT => {
                    self.child.kill()?;
                    self.child.wait()?;
                    bail!("{} did not stop within {} s", self.line, STOP_LIMIT.as_secs());
                }
                None => thread::sleep(POLL),
            }
        }
    }
}

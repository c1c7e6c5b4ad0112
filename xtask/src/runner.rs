//! The two ways a program is run: with the terminal as it is, or (in `test`) into the log of a phase.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::exec;

/// Runs programs for a step that does not care who watches.
pub(crate) trait Runner {
    /// Runs to the end; an unsuccessful status is an error.
    fn run(&mut self, command: &mut Command) -> Result<()>;

    /// Runs to the end and returns what was printed on stdout, whether or not the status is good.
    fn capture(&mut self, command: &mut Command) -> Result<Captured>;
}

/// What a program printed, and whether it succeeded.
pub(crate) struct Captured {
    pub(crate) success: bool,
    pub(crate) stdout: String,
}

/// Shows everything as it comes.
pub(crate) struct Terminal;

impl Runner for Terminal {
    fn run(&mut self, command: &mut Command) -> Result<()> {
        exec::run(command)
    }

    fn capture(&mut self, command: &mut Command) -> Result<Captured> {
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", exec::show(command)))?;
        Ok(Captured { success: output.status.success(), stdout: String::from_utf8_lossy(&output.stdout).into_owned() })
    }
}

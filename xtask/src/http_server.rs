//! The HTTP server that tests of the browser's `fetch` talk to, while a phase runs.
//!
//! A browser's tests get nothing from outside but their module, so the server's address is compiled into them
//! (`SHOAL_TEST_HTTP`). It therefore asks for the port of the last run, lest every run compile them anew.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};

use crate::exec;
use crate::workspace::Workspace;

const SCRIPT: &str = "crates/wasm/tests/http-server.mjs";

/// Ends with this value.
pub(crate) struct HttpServer {
    child: Child,
    /// Scheme, host and port.
    pub(crate) origin: String,
}

impl HttpServer {
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let port_file = workspace.cache.join("test-http-port");
        // Any port where there was none, or none that is a number.
        let port = fs::read_to_string(&port_file).ok().and_then(|text| text.parse::<u16>().ok()).unwrap_or(0);
        let mut command = exec::command_in(&workspace.root, "node");
        command.arg(SCRIPT).arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {}", exec::show(&command)))?;
        let mut origin = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut origin)?;
        let server = Self { child, origin: origin.trim().to_owned() };
        match server.origin.rsplit_once(':') {
            Some((_, port)) => fs::write(port_file, port)?,
            None => bail!("{} does not say where it listens", exec::show(&command)),
        }
        Ok(server)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

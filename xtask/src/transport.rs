//! The tests of the transport alone: its example programs, built natively and for a browser, against js-libp2p, Chromium
//! and Firefox.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::phases::Phase;
use crate::runner::Runner;
use crate::setup::{Tools, WebTools};
use crate::workspace::Workspace;
use crate::{demo, exec, inspect};

const CRATE: &str = "shoal-transport";
/// Each is a native program, and a module for a worker.
const EXAMPLES: [&str; 2] = ["webrtc_echo", "webrtc_peer"];

pub(crate) fn run(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    let folder = workspace.root.join("dist/transport");
    demo::build_into(workspace, &folder, selected(), phase)?;
    modules(workspace, &tools.web, &folder, phase)?;
    let mut command = exec::command_in(&workspace.root, "npm");
    command.args(["run", "transport", "-w", "tests"]).env("SHOAL_TRANSPORT_DIR", &folder);
    tools.describe_to(workspace, &mut command)?;
    phase.run(&mut command)
}

/// Compiles the examples for WebAssembly and binds them into `folder`.
fn modules(workspace: &Workspace, tools: &WebTools, folder: &Path, runner: &mut dyn Runner) -> Result<()> {
    runner.run(tools.wasm.cargo(workspace, "build").args(selected()))?;
    fs::create_dir_all(folder)?;
    for example in EXAMPLES {
        let compiled = tools.wasm.output(workspace, "dev").join("examples").join(example).with_extension("wasm");
        let mut bindgen = Command::new(tools.bindgen.join("wasm-bindgen"));
        runner.run(bindgen.args(["--target", "web", "--out-dir"]).arg(folder).arg(compiled))?;
        inspect::no_env_imports(&folder.join(format!("{example}_bg.wasm")))?;
    }
    Ok(())
}

/// Cargo's arguments that select the examples.
fn selected() -> impl Iterator<Item = &'static str> {
    ["-p", CRATE].into_iter().chain(EXAMPLES.iter().flat_map(|example| ["--example", example]))
}

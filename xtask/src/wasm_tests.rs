//! Tests inside WebAssembly engines: Node, and a dedicated worker in headless Chromium.
//!
//! Every crate that has `wasm-bindgen-test` among its dev-dependencies is tested. A test file without a
//! `wasm_bindgen_test_configure!` runs in both engines; one that is configured for a browser runs there only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cargo::{Metadata, Package};
use crate::exec;
use crate::http_server::HttpServer;
use crate::inspect;
use crate::runner::Runner;
use crate::setup::{Simd, Tools, WasmToolchain};
use crate::tidy::PURE;
use crate::web;
use crate::workspace::Workspace;

/// The runner's own limit of 20 s is less than a training step takes on a busy machine of two cores.
const BROWSER_LIMIT_S: u32 = 300;
const DRIVER_LIMIT_S: u32 = 30;
/// Headless, leaving nothing behind, and reaching no further than this machine.
const CHROME_FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    "--allow-loopback-in-peer-connection",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// Of the compute core, the tests of tolerant work: they are built with relaxed SIMD too, for an engine that is sure to have
/// it. Exact work is not: see `docs/decisions/0007-the-relaxed-module-is-never-exact.md`.
const RELAXED: [&str; 2] = ["--test", "cpu_parity"];
const RELAXED_CRATE: &str = "shoal-compute";

/// Builds the pure crates and the browser's, and runs the tests of those that have some.
pub(crate) fn run(workspace: &Workspace, tools: &Tools, runner: &mut dyn Runner) -> Result<()> {
    let metadata = Metadata::load(workspace)?;
    let wasm = &tools.web.wasm;
    let built = metadata.members().filter(|package| PURE.contains(&&*package.name) || package.name == web::CRATE);
    compile(wasm.cargo(workspace, "build").args(["--lib"]).args(built.flat_map(selected)), runner)?;
    let server = HttpServer::start(workspace)?;
    let tested: Vec<_> = metadata.members().filter(|package| package.has_wasm_tests()).collect();
    let tests = build_tests(workspace, wasm, &tested, &["--tests"], &server, runner)?;
    let relaxed = tested.iter().copied().filter(|package| package.name == RELAXED_CRATE).collect::<Vec<_>>();
    let relaxed = build_tests(workspace, &wasm.with(Simd::Relaxed), &relaxed, &RELAXED, &server, runner)?;
    for test in tests.iter().chain(&relaxed) {
        inspect::no_env_imports(&test.module)?;
    }
    let webdriver = write_webdriver(workspace, tools)?;
    let mut failed = Vec::new();
    let mut run = |test: &TestModule, engine: Engine, note: &str| -> Result<()> {
        let mut command = exec::command_in(&test.folder, tools.web.bindgen.join("wasm-bindgen-test-runner"));
        tools.describe_to(workspace, &mut command)?;
        engine.describe_to(&mut command, &webdriver);
        if runner.run(command.arg(&test.module)).is_err() {
            failed.push(format!("{} in {engine:?}{note}", test.name));
        }
        Ok(())
    };
    for test in &tests {
        run(test, Engine::Node, "")?;
        run(test, Engine::Chromium, "")?;
    }
    for test in &relaxed {
        run(test, Engine::Chromium, " with relaxed SIMD")?;
    }
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join(", "));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Engine {
    Node,
    Chromium,
}

impl Engine {
    fn describe_to(self, command: &mut Command, webdriver: &Path) {
        match self {
            Self::Node => command.env("WASM_BINDGEN_TEST_ONLY_NODE", "1"),
            Self::Chromium => command
                .env("WASM_BINDGEN_TEST_ONLY_WEB", "1")
                .env("WASM_BINDGEN_USE_DEDICATED_WORKER", "1")
                .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", webdriver)
                .env("WASM_BINDGEN_TEST_TIMEOUT", BROWSER_LIMIT_S.to_string())
                .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", DRIVER_LIMIT_S.to_string()),
        };
    }
}

/// A crate's tests as one module.
struct TestModule {
    name: String,
    module: PathBuf,
    /// Of the crate, where tests expect to start.
    folder: PathBuf,
}

fn build_tests(
    workspace: &Workspace,
    wasm: &WasmToolchain,
    tested: &[&Package],
    which: &[&str],
    server: &HttpServer,
    runner: &mut dyn Runner,
) -> Result<Vec<TestModule>> {
    if tested.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = wasm.cargo(workspace, "test");
    command.arg("--no-run").args(which).env("SHOAL_TEST_HTTP", &server.origin);
    let messages = compile(command.args(tested.iter().copied().flat_map(selected)), runner)?;
    Ok(messages.iter().filter_map(|message| test_module(message, tested)).collect())
}

/// Compiles and returns Cargo's messages. Warnings fail: clippy sees only the native halves of our crates.
fn compile(command: &mut Command, runner: &mut dyn Runner) -> Result<Vec<Value>> {
    let built = runner.capture(command.arg("--message-format=json"))?;
    let messages: Vec<Value> = built.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let complaints: Vec<_> = messages.iter().filter_map(|message| message["message"]["rendered"].as_str()).collect();
    if !complaints.is_empty() {
        bail!("the compiler complains about code for WebAssembly\n{}", complaints.join("\n"));
    }
    if !built.success {
        bail!("{} failed", exec::show(command));
    }
    Ok(messages)
}

fn selected(package: &Package) -> [&str; 2] {
    ["-p", &package.name]
}

fn test_module(message: &Value, tested: &[&Package]) -> Option<TestModule> {
    let module = message["executable"].as_str()?;
    let package = tested.iter().find(|package| message["package_id"] == *package.id)?;
    let name = format!("{}::{}", package.name, message["target"]["name"].as_str()?);
    Some(TestModule { name, module: module.into(), folder: package.folder().to_owned() })
}

fn write_webdriver(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let path = workspace.cache.join("webdriver.json");
    let capabilities = json!({ "goog:chromeOptions": { "binary": tools.browser.chrome, "args": CHROME_FLAGS } });
    fs::write(&path, capabilities.to_string())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Terminal;

    #[test]
    fn a_warning_fails_the_build() {
        let message = |rendered: &str| format!("{}\n", json!({ "message": { "rendered": rendered } }));
        let silent = compile(Command::new("echo").arg("{\"executable\": null}\n"), &mut Terminal);
        assert_eq!(silent.unwrap().len(), 1);
        let warned = compile(Command::new("echo").arg(message("warning: unused")), &mut Terminal);
        assert!(warned.unwrap_err().to_string().ends_with("warning: unused"));
        assert!(compile(&mut Command::new("false"), &mut Terminal).is_err());
    }

    #[test]
    fn test_modules_are_read_from_cargos_messages() {
        let package = Package {
            id: "path+file:///r/crates/a#0.1.0".into(),
            name: "a".into(),
            manifest: "/r/crates/a/Cargo.toml".into(),
            dependencies: Vec::new(),
            examples: Vec::new(),
        };
        let message = |id: &str, executable: Value| json!({ "package_id": id, "target": { "name": "parity" }, "executable": executable });
        let read = |message: Value| test_module(&message, &[&package]);
        let found = read(message(&package.id, json!("/t/parity-1.wasm"))).unwrap();
        assert_eq!((found.name.as_str(), found.folder.as_path()), ("a::parity", "/r/crates/a".as_ref()));
        assert!(read(message(&package.id, Value::Null)).is_none());
        assert!(read(message("another", json!("/t/x.wasm"))).is_none());
    }
}

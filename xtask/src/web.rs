//! The browser side: the crate `shoal-wasm` as a module, its bindings in `worker-js/wasm`, the npm package and the page.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use lexopt::prelude::*;

use crate::runner::{Runner, Terminal};
use crate::setup::{self, WebTools};
use crate::workspace::Workspace;
use crate::{exec, inspect, lock};

/// The crate that the browser loads.
pub(crate) const CRATE: &str = "shoal-wasm";
const MODULE: &str = "shoal_wasm";
/// The profile of what users get.
pub(crate) const RELEASE_PROFILE: &str = "web";
/// npm packages with a build, in the order they need each other.
const PACKAGES: [&str; 2] = ["worker-js", "web"];
/// What LLVM emits for the target (and `.cargo/config.toml` adds), which wasm-opt must be told.
const WASM_FEATURES: [&str; 8] = [
    "--enable-simd",
    "--enable-relaxed-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Where the npm package takes its module from.
const PACKAGED: &str = "worker-js/wasm";

/// Which module is built, and where its bindings go.
pub(crate) struct Build {
    /// The profile `web` and wasm-opt, instead of the profile of the tests.
    pub(crate) release: bool,
    /// Cargo features of `shoal-wasm`.
    pub(crate) features: Option<String>,
    /// Folder of the bindings, relative to the root. A module that goes elsewhere than into the npm package is a variant
    /// for a test, and only it is built.
    pub(crate) out: PathBuf,
}

impl Default for Build {
    fn default() -> Self {
        Self { release: false, features: None, out: PACKAGED.into() }
    }
}

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    let mut build = Build::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("release") => build.release = true,
            Long("features") => build.features = Some(parser.value()?.string()?),
            Long("out") => build.out = parser.value()?.into(),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let tools = setup::web(workspace)?;
    let _building = lock::shared(workspace, "build")?;
    all(workspace, &tools, &build, &mut Terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// The module, then every npm package that exists and takes it.
pub(crate) fn all(workspace: &Workspace, tools: &WebTools, build: &Build, runner: &mut dyn Runner) -> Result<()> {
    let module = bindings(workspace, tools, build, runner)?;
    print_size(workspace, &module)?;
    if build.out != Path::new(PACKAGED) {
        return Ok(());
    }
    for package in PACKAGES {
        npm(workspace, package, "build", runner)?;
    }
    for package in PACKAGES {
        let mut scripts = Vec::new();
        collect_scripts(&workspace.root.join(package).join("dist"), &mut scripts)?;
        scripts.sort();
        for script in scripts {
            print_size(workspace, &script)?;
        }
    }
    Ok(())
}

/// Runs a script of an npm package of ours; says so when there is no such package.
fn npm(workspace: &Workspace, package: &str, script: &str, runner: &mut dyn Runner) -> Result<()> {
    if !workspace.root.join(package).join("package.json").is_file() {
        println!("  skipped: {package} has no package.json");
        return Ok(());
    }
    runner.run(exec::command_in(&workspace.root, "npm").args(["run", script, "-w", package]))
}

/// Compiles and binds; returns the bound module.
fn bindings(workspace: &Workspace, tools: &WebTools, build: &Build, runner: &mut dyn Runner) -> Result<PathBuf> {
    let profile = if build.release { RELEASE_PROFILE } else { "dev" };
    let mut cargo = tools.wasm.cargo(workspace, "build");
    cargo.args(["-p", CRATE, "--lib", "--profile", profile]);
    if let Some(features) = &build.features {
        cargo.args(["--features", features]);
    }
    runner.run(&mut cargo)?;
    let compiled = tools.wasm.output(workspace, profile).join(MODULE).with_extension("wasm");
    let out = workspace.root.join(&build.out).join(MODULE);
    bind(workspace, tools, &compiled, &out, build.release, runner).with_context(|| format!("is {CRATE} a cdylib?"))
}

/// Writes a compiled module's bindings to `out` with the endings that they have; returns the bound module.
pub(crate) fn bind(
    workspace: &Workspace,
    tools: &WebTools,
    compiled: &Path,
    out: &Path,
    release: bool,
    runner: &mut dyn Runner,
) -> Result<PathBuf> {
    let (folder, name) = (out.parent(), out.file_name());
    let (folder, name) = (folder.context("bindings are in a folder")?, name.context("bindings have a name")?);
    let name = name.to_string_lossy();
    let mut bindgen = Command::new(tools.bindgen.join("wasm-bindgen"));
    bindgen.args(["--target", "web", "--out-name", &name, "--out-dir"]).arg(folder).arg(compiled);
    runner.run(&mut bindgen)?;
    let module = folder.join(format!("{name}_bg.wasm"));
    if release {
        optimise(workspace, &module, runner)?;
    }
    inspect::no_env_imports(&module)?;
    Ok(module)
}

fn optimise(workspace: &Workspace, module: &Path, runner: &mut dyn Runner) -> Result<()> {
    let small = module.with_extension("opt.wasm");
    let mut wasm_opt = exec::command_in(&workspace.root, workspace.root.join("node_modules/.bin/wasm-opt"));
    wasm_opt.args(["-O3", "--strip-debug", "--strip-producers"]).args(WASM_FEATURES).arg(module).arg("-o").arg(&small);
    runner.run(&mut wasm_opt)?;
    fs::rename(&small, module)?;
    Ok(())
}

fn print_size(workspace: &Workspace, file: &Path) -> Result<()> {
    let size = inspect::size(file)?;
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    println!("  {}: {:.1} KiB, gzip {:.1} KiB", workspace.relative(file).display(), kib(size.raw), kib(size.gzip));
    Ok(())
}

/// Scripts, style sheets and modules below a folder that may not exist.
fn collect_scripts(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect_scripts(&path, found)?;
        } else if matches!(path.extension().and_then(|end| end.to_str()), Some("js" | "mjs" | "css" | "wasm")) {
            found.push(path);
        }
    }
    Ok(())
}

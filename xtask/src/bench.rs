//! Benchmarks: examples named `bench_*` of any crate, and crates named `shoal-bench-*`, built for speed and run one at a
//! time.
//!
//! One that needs a browser has a script `tests/src/bench/NAME/main.ts` as well. It is run instead of the example and told
//! where the example's program is, and where its module for a tab. Crates in folders beside the script are peers to
//! compare with: workspaces of their own, built for the tab only when the bench runs. One that does not build is left out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo::{self, Metadata};
use crate::runner::{Runner, Terminal};
use crate::setup::{self, Simd, WebTools};
use crate::workspace::Workspace;
use crate::{exec, lock, web};

const PREFIX: &str = "bench_";
/// Crates named so are nothing but a bench's module for a tab.
const TAB_PREFIX: &str = "shoal-bench-";

pub(crate) fn command(workspace: &Workspace, mut args: Vec<OsString>) -> Result<ExitCode> {
    let benches = list(&Metadata::load(workspace)?);
    if args.is_empty() {
        for bench in &benches {
            println!("{} ({})", bench.name, bench.package);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.remove(0);
    let Some(bench) = benches.iter().find(|bench| name == *bench.name) else {
        let names: Vec<_> = benches.iter().map(|bench| bench.name.as_str()).collect();
        bail!("no bench {name:?}; there are: {}", names.join(", "));
    };
    let script = workspace.root.join("tests/src/bench").join(&bench.name).join("main.ts");
    let mut command = if script.is_file() {
        in_browser(workspace, bench, &script)?
    } else {
        let mut command = cargo::native(workspace);
        command.args(["run", "--release", "-p", &bench.package, "--example", &bench.example(), "--"]);
        command
    };
    let _building = lock::shared(workspace, "build")?;
    exec::run(command.args(args))?;
    Ok(ExitCode::SUCCESS)
}

struct Bench {
    name: String,
    package: String,
    target: Target,
}

#[derive(PartialEq)]
enum Target {
    /// An example, for this machine and for a tab.
    Example,
    /// A crate's library, for a tab alone.
    TabLibrary,
}

impl Bench {
    fn example(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

fn list(metadata: &Metadata) -> Vec<Bench> {
    let of = |package: &cargo::Package| -> Vec<Bench> {
        let bench = |name: &str, target| Bench { name: name.to_owned(), package: package.name.clone(), target };
        let examples = package.examples.iter().filter_map(|example| example.strip_prefix(PREFIX));
        let library = package.name.strip_prefix(TAB_PREFIX);
        let examples = examples.map(|name| bench(name, Target::Example));
        examples.chain(library.map(|name| bench(name, Target::TabLibrary))).collect()
    };
    let mut benches: Vec<_> = metadata.members().flat_map(of).collect();
    benches.sort_by(|a, b| a.name.cmp(&b.name));
    benches
}

/// Builds both ends and returns the script that drives them; its own arguments are still to come.
fn in_browser(workspace: &Workspace, bench: &Bench, script: &Path) -> Result<Command> {
    let tools = setup::all(workspace)?;
    let _building = lock::shared(workspace, "build")?;
    println!("… building (minutes the first time)");
    let mut node = exec::command_in(&workspace.root, "node");
    tools.describe_to(workspace, &mut node)?;
    node.args(["--import", "tsx"]).arg(script);
    if bench.target == Target::Example {
        node.env("SHOAL_BENCH_PROGRAM", program(workspace, bench, &mut Terminal)?);
    }
    for (variable, simd) in [("SHOAL_BENCH_TAB", Simd::Simd128), ("SHOAL_BENCH_TAB_RELAXED", Simd::Relaxed)] {
        // Only a library is measured with relaxed SIMD: the examples are about other things.
        if simd == Simd::Simd128 || bench.target == Target::TabLibrary {
            node.env(variable, tab(workspace, &tools.web, bench, simd, &mut Terminal)?);
        }
    }
    let folder = script.parent().context("a script is in a folder")?;
    node.env("SHOAL_BENCH_PEERS", peers(workspace, &tools.web, folder, &mut Terminal)?);
    Ok(node)
}

/// The example for this machine.
fn program(workspace: &Workspace, bench: &Bench, runner: &mut dyn Runner) -> Result<PathBuf> {
    let mut command = cargo::native(workspace);
    command.args(["build", "--release", "-p", &bench.package, "--example", &bench.example()]);
    let built = runner.capture(command.arg("--message-format=json-render-diagnostics"))?;
    if !built.success {
        bail!("the bench does not build");
    }
    built.stdout.lines().find_map(executable).context("cargo named no program")
}

fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    Some(message["executable"].as_str()?.into())
}

/// The module for a tab, as fast as a user's.
fn tab(workspace: &Workspace, tools: &WebTools, bench: &Bench, simd: Simd, runner: &mut dyn Runner) -> Result<PathBuf> {
    let wasm = tools.wasm.with(simd);
    let mut command = wasm.cargo(workspace, "build");
    command.args(["-p", &bench.package, "--profile", web::RELEASE_PROFILE]);
    match bench.target {
        Target::Example => command.args(["--example", &bench.example()]),
        Target::TabLibrary => command.arg("--lib"),
    };
    runner.run(&mut command)?;
    let built = wasm.output(workspace, web::RELEASE_PROFILE);
    let compiled = match bench.target {
        Target::Example => built.join("examples").join(bench.example()),
        Target::TabLibrary => built.join(bench.package.replace('-', "_")),
    };
    let out = built.join("bench").join(&bench.name);
    let name = compiled.file_name().context("a module has a name")?;
    web::bind(workspace, tools, &compiled.with_extension("wasm"), &out.join(name), true, runner)?;
    Ok(out)
}

/// The folder of the peers' modules, each in a folder named after its crate's.
fn peers(workspace: &Workspace, tools: &WebTools, beside: &Path, runner: &mut dyn Runner) -> Result<PathBuf> {
    let all = workspace.target_wasm().join("bench/peers");
    // What an earlier run built may be out of date.
    let _ = fs::remove_dir_all(&all);
    for entry in fs::read_dir(beside)? {
        let folder = entry?.path();
        if !folder.join("Cargo.toml").is_file() {
            continue;
        }
        let name = folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        if let Err(error) = peer(workspace, tools, &folder, &all.join(&name), runner) {
            println!("  left out: {name} does not build: {error:#}");
        }
    }
    Ok(all)
}

/// A crate of one module, which is named after it, with a lock file of its own.
fn peer(workspace: &Workspace, tools: &WebTools, folder: &Path, out: &Path, runner: &mut dyn Runner) -> Result<()> {
    let module = folder.file_name().context("a folder has a name")?;
    let mut command = tools.wasm.cargo(workspace, "build");
    command.current_dir(folder).args(["--locked", "--release"]);
    runner.run(&mut command)?;
    let name = format!("bench_{}", module.to_string_lossy());
    let compiled = tools.wasm.output(workspace, "release").join(&name).with_extension("wasm");
    web::bind(workspace, tools, &compiled, &out.join(name), true, runner)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_with_the_prefix_are_benches() {
        let metadata = r#"{"workspace_members": ["a"], "packages": [{
            "id": "a", "name": "a", "version": "1.0.0", "manifest_path": "/a/Cargo.toml", "dependencies": [],
            "targets": [{"kind": ["example"], "name": "bench_matmul"}, {"kind": ["example"], "name": "plot"},
                        {"kind": ["bin"], "name": "bench_bin"}]
        }]}"#;
        let benches = list(&Metadata::parse(metadata).unwrap());
        assert_eq!(benches.iter().map(|bench| bench.name.as_str()).collect::<Vec<_>>(), ["matmul"]);
    }

    #[test]
    fn a_crate_may_be_a_bench_for_a_tab() {
        let metadata = r#"{"workspace_members": ["a"], "packages": [{
            "id": "a", "name": "shoal-bench-sort", "version": "1.0.0", "manifest_path": "/a/Cargo.toml",
            "dependencies": [], "targets": [{"kind": ["cdylib"], "name": "shoal_bench_sort"}]
        }]}"#;
        let benches = list(&Metadata::parse(metadata).unwrap());
        assert!(matches!(benches.as_slice(), [bench] if bench.name == "sort" && bench.target == Target::TabLibrary));
    }

    #[test]
    fn the_program_is_read_from_cargos_messages() {
        assert_eq!(executable(r#"{"executable": "/t/bench_a"}"#), Some("/t/bench_a".into()));
        assert_eq!(executable(r#"{"executable": null}"#), None);
        assert_eq!(executable("not a message"), None);
    }
}

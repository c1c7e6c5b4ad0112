//! All tests, in phases that can be run alone. The last line is `N passed, N failed`, summed over every runner.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::counts::Counts;
use crate::phases::{self, Outcome, Phase};
use crate::runner::Runner;
use crate::setup::{self, Tools};
use crate::workspace::Workspace;
use crate::{cargo, demo, exec, lock, prune, readme, tidy, transport, wasm_tests, web};

type Body = fn(&Workspace, &Tools, &mut Phase) -> Result<()>;

struct Spec {
    name: &'static str,
    about: &'static str,
    body: Body,
}

/// See `vendor/README.md`.
const CARRIED_CRATE: &str = "vendor/sctp-proto/Cargo.toml";

/// Of the compute core, those that run on a GPU outside browsers.
const GPU_TESTS: [&str; 5] = ["--lib", "--test", "webgpu", "--test", "webgpu_variants"];

const SPECS: [Spec; 9] = [
    Spec { name: "tidy", about: "formatting, lints, the project's rules", body: tidy_phase },
    Spec { name: "contracts", about: "Solidity: compiled artefacts current, forge tests, gas", body: contracts },
    Spec { name: "native", about: "cargo test of the workspace", body: native },
    Spec { name: "aarch64", about: "the compute core on another make of processor, emulated", body: aarch64 },
    Spec { name: "wasm", about: "crates in Node and in headless Chromium", body: wasm_tests_phase },
    Spec { name: "web", about: "the npm package and the page: build, types, their tests", body: web_phase },
    Spec { name: "transport", about: "webrtc-direct against js-libp2p, Chromium and Firefox", body: transport::run },
    Spec { name: "e2e", about: "relay, tabs and chain together", body: end_to_end },
    Spec { name: "readme", about: "the README's commands, as a newcomer types them", body: readme::run },
];

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--list") {
        for spec in &SPECS {
            println!("{:<10} {}", spec.name, spec.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&args)?;
    let _alone = lock::exclusive(workspace, "test")?;
    prune::prune(workspace)?;
    let (tools, outcome) = set_up(workspace)?;
    let mut outcomes = vec![outcome];
    if let Some(tools) = tools {
        let _building = lock::shared(workspace, "build")?;
        for spec in chosen {
            let mut phase = Phase::start(workspace, spec.name)?;
            let result = (spec.body)(workspace, &tools, &mut phase);
            outcomes.push(phase.finish(result));
        }
    }
    Ok(if phases::summary(&outcomes) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn choose(args: &[OsString]) -> Result<Vec<&'static Spec>> {
    if args.is_empty() {
        return Ok(SPECS.iter().collect());
    }
    if let Some(unknown) = args.iter().find(|arg| !SPECS.iter().any(|spec| **arg == spec.name)) {
        let names: Vec<_> = SPECS.iter().map(|spec| spec.name).collect();
        bail!("no phase {unknown:?}; there are: {}", names.join(", "));
    }
    Ok(SPECS.iter().filter(|spec| args.iter().any(|arg| arg == spec.name)).collect())
}

fn set_up(workspace: &Workspace) -> Result<(Option<Tools>, Outcome)> {
    let phase = Phase::start(workspace, "setup")?;
    Ok(match setup::all(workspace) {
        Ok(tools) => (Some(tools), phase.finish(Ok(()))),
        Err(error) => (None, phase.finish(Err(error))),
    })
}

fn tidy_phase(workspace: &Workspace, _: &Tools, phase: &mut Phase) -> Result<()> {
    let mut broken = Vec::new();
    for check in tidy::CHECKS {
        let complaints = match (check.run)(workspace, phase) {
            Ok(violations) => violations.iter().map(ToString::to_string).collect(),
            Err(error) => vec![format!("{}: {error:#}", check.name)],
        };
        let failed = !complaints.is_empty();
        phase.count(Counts { passed: u64::from(!failed), failed: u64::from(failed) });
        if failed {
            broken.push(check.name);
        }
        for complaint in complaints {
            phase.say(&complaint);
        }
    }
    if !broken.is_empty() {
        bail!("not tidy: {}", broken.join(", "));
    }
    Ok(())
}

fn contracts(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    npm_tests(workspace, tools, phase, "contracts", &["check", "test"])
}

fn native(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    let mut command = cargo::native(workspace);
    command.args(["test", "--workspace", "--no-fail-fast"]).env("SHOAL_REQUIRE_ANVIL", "1");
    tools.describe_to(workspace, &mut command)?;
    phase.run(&mut command)?;
    phase.run(&mut gpu_tests(workspace, tools)?)?;
    // A crate that is carried with changes is no member: its own tests are asked for.
    phase.run(cargo::native(workspace).args(["test", "--manifest-path", CARRIED_CRATE]))
}

/// By themselves, because nothing else in a native build compiles wgpu. What they print says which adapter they ran on, or
/// why they were skipped.
fn gpu_tests(workspace: &Workspace, tools: &Tools) -> Result<Command> {
    let mut command = cargo::native(workspace);
    command.args(["test", "-p", "shoal-compute", "--features", "webgpu"]).args(GPU_TESTS).args(["--", "--nocapture"]);
    // Mesa's drivers look for a display's folder otherwise, and complain.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    tools.describe_to(workspace, &mut command)?;
    Ok(command)
}

/// The same bits on NEON as on every other machine.
fn aarch64(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    let Some(aarch64) = &tools.aarch64 else {
        phase.say("skipped: the set-up says why there is no emulator");
        return Ok(());
    };
    let mut command = cargo::native(workspace);
    command.args(["test", "--lib", "--tests", "-p", "shoal-compute"]);
    aarch64.describe_to(&mut command);
    phase.run(&mut command)
}

fn wasm_tests_phase(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    wasm_tests::run(workspace, tools, phase)
}

fn web_phase(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    web::all(workspace, &tools.web, &web::Build::default(), phase)?;
    npm_tests(workspace, tools, phase, "worker-js", &["check", "test"])?;
    npm_tests(workspace, tools, phase, "web", &["check", "test"])
}

fn end_to_end(workspace: &Workspace, tools: &Tools, phase: &mut Phase) -> Result<()> {
    let programs = demo::programs(workspace, phase)?;
    demo::page(workspace, tools, phase)?;
    let mut command = exec::command_in(&workspace.root, "npm");
    command.args(["test", "-w", "tests"]).env("SHOAL_REQUIRE_ANVIL", "1");
    demo::describe_to(workspace, tools, &programs, &mut command)?;
    phase.run(&mut command)
}

/// Scripts of an npm package, those of them that it has.
fn npm_tests(workspace: &Workspace, tools: &Tools, phase: &mut Phase, package: &str, scripts: &[&str]) -> Result<()> {
    if !workspace.root.join(package).join("package.json").is_file() {
        phase.say(&format!("skipped: {package} has no package.json"));
        return Ok(());
    }
    for script in scripts {
        let mut command = exec::command_in(&workspace.root, "npm");
        command.args(["run", "--if-present", script, "-w", package]).env("SHOAL_REQUIRE_ANVIL", "1");
        tools.describe_to(workspace, &mut command)?;
        phase.run(&mut command)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Option<Vec<&'static str>> {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        Some(choose(&args).ok()?.iter().map(|spec| spec.name).collect())
    }

    #[test]
    fn phases_run_in_their_order_whatever_the_arguments() {
        assert_eq!(names(&["native", "tidy"]), Some(vec!["tidy", "native"]));
        assert_eq!(names(&[]).map(|all| all.len()), Some(SPECS.len()));
        assert_eq!(names(&["nativ"]), None);
    }
}

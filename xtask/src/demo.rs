//! The demo: everything is set up and built, then the end-to-end harness shows the main job to a newcomer.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use lexopt::prelude::*;
use serde_json::Value;

use crate::runner::{Runner, Terminal};
use crate::setup::{self, Tools};
use crate::workspace::Workspace;
use crate::{cargo, exec, lock, prune, web};

/// What a user runs, by package.
pub(crate) const PROGRAMS: [&str; 2] = ["shoal-relay", "shoal"];

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    let args = absolute(args)?;
    prune::prune(workspace)?;
    let tools = setup::all(workspace)?;
    let building = lock::shared(workspace, "build")?;
    println!("… building (minutes the first time)");
    web::all(workspace, &tools.web, &web::Build::default(), &mut Terminal)?;
    let programs = programs(workspace, &mut Terminal)?;
    drop(building);
    let mut npm = exec::command_in(&workspace.root, "npm");
    npm.args(["run", "--silent", "demo", "-w", "tests", "--"]).args(args);
    describe_to(workspace, &tools, &programs, &mut npm)?;
    exec::run(&mut npm)?;
    Ok(ExitCode::SUCCESS)
}

/// The demo's own flags; npm starts it in another folder, hence the absolute path.
fn absolute(args: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut passed = Vec::new();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("keep") => passed.push("--keep".into()),
            Long("json") => passed.extend(["--json".into(), std::path::absolute(parser.value()?)?.into()]),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(passed)
}

/// Tells the harness where programs and tools are.
pub(crate) fn describe_to(workspace: &Workspace, tools: &Tools, programs: &Path, command: &mut Command) -> Result<()> {
    tools.describe_to(workspace, command)?;
    command.env("SHOAL_BIN_DIR", programs);
    Ok(())
}

/// Builds the programs; returns the folder they are in.
pub(crate) fn programs(workspace: &Workspace, runner: &mut dyn Runner) -> Result<PathBuf> {
    let folder = workspace.root.join("dist/bin");
    let packages = PROGRAMS.iter().flat_map(|package| ["-p", package]);
    build_into(workspace, &folder, std::iter::once("--bins").chain(packages), runner)?;
    Ok(folder)
}

/// Builds what `arguments` select and copies the programs among it into a folder of the checkout: in the shared target
/// folder, another checkout's build would take their place.
pub(crate) fn build_into<'a>(
    workspace: &Workspace,
    folder: &Path,
    arguments: impl Iterator<Item = &'a str>,
    runner: &mut dyn Runner,
) -> Result<()> {
    let mut command = cargo::native(workspace);
    command.args(["build", "--message-format=json-render-diagnostics"]).args(arguments);
    let built = runner.capture(&mut command)?;
    if !built.success {
        bail!("the programs do not build");
    }
    fs::create_dir_all(folder)?;
    for program in built.stdout.lines().filter_map(executable) {
        let name = program.file_name().expect("a program has a name");
        // Renamed into place, because the old one may be running.
        let fresh = folder.join(name).with_extension("new");
        fs::copy(&program, &fresh)?;
        fs::rename(&fresh, folder.join(name))?;
    }
    Ok(())
}

/// Builds the page, which takes seconds where it is built: an old one would be of another version than the programs.
pub(crate) fn page(workspace: &Workspace, tools: &Tools, runner: &mut dyn Runner) -> Result<()> {
    web::all(workspace, &tools.web, &web::Build::default(), runner)
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_where_the_caller_stands() {
        let here = std::env::current_dir().unwrap();
        let args = absolute(vec!["--json=out.json".into(), "--keep".into()]).unwrap();
        assert_eq!(args, ["--json".into(), here.join("out.json").into_os_string(), "--keep".into()]);
        assert!(absolute(vec!["--workers".into()]).is_err());
    }
}

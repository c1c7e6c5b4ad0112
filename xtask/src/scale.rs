//! How training scales with workers behind access lines: relay and workers are built, then a script in `tests/src/scale`
//! drives them.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::prelude::*;

use crate::runner::Terminal;
use crate::setup;
use crate::workspace::Workspace;
use crate::{demo, exec, lock};

/// The program of the lines, an example of `shoal-netem`.
const LINES: &str = "access_lines";

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    let args = flags(args)?;
    let tools = setup::all(workspace)?;
    let building = lock::shared(workspace, "build")?;
    println!("… building (minutes the first time)");
    demo::page(workspace, &tools, &mut Terminal)?;
    let programs = demo::programs(workspace, &mut Terminal)?;
    let folder = workspace.root.join("dist/scale");
    demo::build_into(workspace, &folder, ["-p", "shoal-netem", "--example", LINES].into_iter(), &mut Terminal)?;
    drop(building);
    let mut node = exec::command_in(&workspace.root, "node");
    node.args(["--import", "tsx"]).arg(Path::new("tests/src/scale/main.ts")).args(args);
    demo::describe_to(workspace, &tools, &programs, &mut node)?;
    node.env("SHOAL_ACCESS_LINES", folder.join(LINES));
    exec::run(&mut node)?;
    Ok(ExitCode::SUCCESS)
}

/// The script's own flags; it starts in another folder, hence the absolute path.
fn flags(args: Vec<OsString>) -> Result<Vec<OsString>> {
    let mut passed = Vec::new();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => passed.push("--quick".into()),
            Long("json") => passed.extend(["--json".into(), std::path::absolute(parser.value()?)?.into()]),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(passed)
}

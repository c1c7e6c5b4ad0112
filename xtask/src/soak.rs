//! The soak of the transport: relay, page and native peers are built, then a script in `tests/src/soak` drives them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::prelude::*;

use crate::runner::Terminal;
use crate::setup;
use crate::workspace::Workspace;
use crate::{demo, exec, lock, web};

/// The program of the native peers, an example of `shoal-node`.
const PEERS: &str = "soak_peers";

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    let args = flags(args)?;
    let tools = setup::all(workspace)?;
    let building = lock::shared(workspace, "build")?;
    println!("… building (minutes the first time)");
    web::all(workspace, &tools.web, &web::Build::default(), &mut Terminal)?;
    let programs = demo::programs(workspace, &mut Terminal)?;
    let folder = workspace.root.join("dist/soak");
    demo::build_into(workspace, &folder, ["-p", "shoal-node", "--example", PEERS].into_iter(), &mut Terminal)?;
    drop(building);
    let logs = workspace.cache.join("logs");
    fs::create_dir_all(&logs)?;
    let mut node = exec::command_in(&workspace.root, "node");
    node.args(["--import", "tsx"]).arg(Path::new("tests/src/soak/main.ts")).args(args);
    demo::describe_to(workspace, &tools, &programs, &mut node)?;
    node.env("SHOAL_SOAK_PEERS", folder.join(PEERS)).env("SHOAL_SOAK_LOG", logs.join("soak.log"));
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
            Long(name @ ("seed" | "only")) => {
                let name = format!("--{name}").into();
                passed.extend([name, parser.value()?]);
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_reach_the_script_and_others_are_refused() {
        let here = std::env::current_dir().unwrap();
        let passed = flags(vec!["--json=out.json".into(), "--seed=7".into(), "--quick".into()]).unwrap();
        let json = here.join("out.json").into_os_string();
        assert_eq!(passed, ["--json".into(), json, "--seed".into(), "7".into(), "--quick".into()]);
        assert!(flags(vec!["--peers".into()]).is_err());
    }
}

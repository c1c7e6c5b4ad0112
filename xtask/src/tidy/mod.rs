//! Rules that the compiler does not check. Each is a function with tests that make it fail; violations print as
//! `path:line: message`.

mod directions;
mod licences;
mod lines;
mod places;
mod purity;
mod readme;
mod spdx;
mod style;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo::{Metadata, Package};
use crate::runner::{Runner, Terminal};
use crate::workspace::Workspace;
use crate::{exec, no_arguments};

/// Crates that do no I/O, read no clock and own no randomness.
pub(crate) const PURE: [&str; 5] = ["shoal-wire", "shoal-graph", "shoal-learn", "shoal-mesh", "shoal-ledger"];

/// One rule.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Workspace, &mut dyn Runner) -> Result<Vec<Violation>>,
}

pub(crate) const CHECKS: [Check; 9] = [
    Check { name: "lines", run: lines::check },
    Check { name: "readme", run: readme::check },
    Check { name: "purity", run: purity::check },
    Check { name: "lock-file", run: directions::check_lock_file },
    Check { name: "directions", run: directions::check },
    Check { name: "places", run: places::check },
    Check { name: "licences", run: licences::check },
    Check { name: "format", run: style::check_format },
    Check { name: "clippy", run: style::check_clippy },
];

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: PathBuf,
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }

    /// On the line of `package`'s manifest that names `dependency`.
    fn in_manifest(workspace: &Workspace, package: &Package, dependency: &str, message: String) -> Self {
        let text = fs::read_to_string(&package.manifest).unwrap_or_default();
        let named = |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
        let line = text.lines().position(named).map_or(1, |index| index + 1);
        Self::new(workspace.relative(&package.manifest), line, message)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    no_arguments(&args)?;
    let mut tidy = true;
    for check in CHECKS {
        let violations = (check.run)(workspace, &mut Terminal).with_context(|| check.name)?;
        println!("{} {}", if violations.is_empty() { "✓" } else { "✗" }, check.name);
        for violation in &violations {
            println!("{violation}");
        }
        tidy &= violations.is_empty();
    }
    Ok(if tidy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The workspace's crates.
fn metadata(workspace: &Workspace) -> Result<Metadata> {
    Metadata::load(workspace)
}

/// Files of the project relative to the root: those that Git has, and new ones that it does not ignore.
fn files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listing = exec::output(&mut git)?;
    let mut files: Vec<PathBuf> = listing.split_terminator('\0').map(PathBuf::from).collect();
    // A file that was deleted but not yet committed is still listed.
    files.retain(|file| workspace.root.join(file).is_file());
    Ok(files)
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().and_then(|end| end.to_str()).is_some_and(|end| extensions.contains(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_print_as_compilers_do() {
        assert_eq!(Violation::new("a/b.rs", 7, "too long").to_string(), "a/b.rs:7: too long");
    }

    #[test]
    fn the_projects_files_include_this_one_and_no_built_ones() {
        let files = files(&Workspace::find().unwrap()).unwrap();
        assert!(files.contains(&"xtask/src/tidy/mod.rs".into()));
        assert!(!files.iter().any(|file| file.starts_with("target") || file.starts_with("node_modules")));
    }

    #[test]
    fn pure_crates_exist() {
        let metadata = metadata(&Workspace::find().unwrap()).unwrap();
        for name in PURE {
            assert!(metadata.members().any(|package| package.name == name), "{name}");
        }
    }
}

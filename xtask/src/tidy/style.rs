//! rustfmt and clippy, with the lints of the root manifest.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use super::Violation;
use crate::cargo;
use crate::runner::Runner;
use crate::workspace::Workspace;

/// Lints that speak of code that others call. Clippy's `allow-unwrap-in-tests` knows functions marked as tests, but not
/// the helpers beside them in a `tests` folder, and modules that tests share are `pub` by custom.
const NOT_IN_TESTS: [&str; 3] = ["clippy::unwrap_used", "unreachable_pub", "missing_docs"];

pub(super) fn check_format(workspace: &Workspace, runner: &mut dyn Runner) -> Result<Vec<Violation>> {
    let printed =
        runner.capture(cargo::bare(workspace).args(["fmt", "--all", "--", "--check", "--files-with-diff"]))?;
    let violations = unformatted(workspace, &printed.stdout);
    if !printed.success && violations.is_empty() {
        bail!("cargo fmt failed without naming a file");
    }
    Ok(violations)
}

fn unformatted(workspace: &Workspace, printed: &str) -> Vec<Violation> {
    let file = |path: &str| Violation::new(workspace.relative(Path::new(path)), 1, "not formatted: cargo fmt");
    printed.lines().filter(|line| line.ends_with(".rs")).map(file).collect()
}

/// The GPU backend by itself: nothing else in a native build has it.
const LINTED: [&[&str]; 2] = [&["--workspace"], &["-p", "shoal-compute", "--features", "webgpu"]];

pub(super) fn check_clippy(workspace: &Workspace, runner: &mut dyn Runner) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for which in LINTED {
        let mut command = cargo::native(workspace);
        command.args(["clippy", "--all-targets", "--message-format=json"]).args(which);
        let printed = runner.capture(&mut command)?;
        let found = diagnostics(&printed.stdout);
        if !printed.success && found.is_empty() {
            bail!("cargo clippy failed without a message about our code");
        }
        violations.extend(found);
    }
    violations.sort();
    violations.dedup();
    Ok(violations)
}

/// Warnings and errors about workspace members; a file compiled for several targets is told once.
fn diagnostics(printed: &str) -> Vec<Violation> {
    let all: BTreeSet<_> = printed.lines().filter_map(diagnostic).collect();
    all.into_iter().collect()
}

fn diagnostic(line: &str) -> Option<Violation> {
    let message = &serde_json::from_str::<Value>(line).ok()?["message"];
    if !matches!(message["level"].as_str()?, "warning" | "error") {
        return None;
    }
    let text = message["message"].as_str()?;
    let code = message["code"]["code"].as_str().map(|code| format!(" [{code}]")).unwrap_or_default();
    // "2 warnings emitted" and the like have no place.
    let span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let file = Path::new(span["file_name"].as_str()?);
    if is_integration_test(file) && message["code"]["code"].as_str().is_some_and(|code| NOT_IN_TESTS.contains(&code)) {
        return None;
    }
    let line = usize::try_from(span["line_start"].as_u64()?).ok()?;
    Some(Violation::new(file, line, format!("{text}{code}")))
}

fn is_integration_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_rustfmt_names_are_violations() {
        let workspace = Workspace { root: "/r".into(), cache: "/c".into() };
        assert_eq!(unformatted(&workspace, "/r/crates/a/src/lib.rs\n")[0].path, Path::new("crates/a/src/lib.rs"));
        assert!(unformatted(&workspace, "").is_empty());
    }

    #[test]
    fn clippys_messages_become_violations_once() {
        let lint = r#"{"reason":"compiler-message","message":{"level":"warning","message":"used `unwrap()`",
            "code":{"code":"clippy::unwrap_used"},
            "spans":[{"is_primary":true,"file_name":"relay/src/main.rs","line_start":3}]}}"#
            .replace('\n', "");
        let in_a_test = lint.replace("src/main.rs", "tests/restart.rs");
        let artifact = r#"{"reason":"compiler-artifact","target":{"name":"a"}}"#;
        let count =
            r#"{"reason":"compiler-message","message":{"level":"warning","message":"1 warning emitted","spans":[]}}"#;
        let found = diagnostics(&[&lint, artifact, count, &lint, &in_a_test].join("\n"));
        assert_eq!(found, [Violation::new("relay/src/main.rs", 3, "used `unwrap()` [clippy::unwrap_used]")]);
    }
}

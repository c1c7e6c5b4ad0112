//! The pure crates do no I/O, read no clock and own no randomness: time and seeds are arguments.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{PURE, Violation};
use crate::runner::Runner;
use crate::workspace::Workspace;

/// Ways to the outside that the standard library and our dependencies offer.
const OUTSIDE: [&str; 11] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io::stdin",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "OsRng",
    "println!",
];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    let metadata = super::metadata(workspace)?;
    let mut violations = Vec::new();
    let pure: Vec<_> =
        metadata.members().filter(|package| PURE.contains(&&*package.name)).map(|package| package.folder()).collect();
    for file in super::files(workspace)? {
        let path = workspace.root.join(&file);
        let in_source = pure.iter().any(|folder| path.starts_with(folder.join("src")));
        if in_source && file.extension().is_some_and(|end| end == "rs") {
            violations.extend(violations_in(&file, &fs::read_to_string(&path)?));
        }
    }
    Ok(violations)
}

/// Looks at code only: comments may name what they please, and tests, which end a file, may do what they please.
fn violations_in(file: &Path, text: &str) -> Vec<Violation> {
    if file.file_stem().is_some_and(|name| name == "tests") || file.components().any(|part| part.as_os_str() == "tests")
    {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        if let Some(way) = OUTSIDE.iter().find(|way| code.contains(**way)) {
            violations.push(Violation::new(file, index + 1, format!("a pure crate must not use {way}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_and_clocks_are_found_in_code_only() {
        let text = "// std::fs is not used\nuse std::fs;\nlet now = Instant::now();\n#[cfg(test)]\nuse std::env;\n";
        let found = violations_in(Path::new("lib.rs"), text);
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [2, 3]);
        assert!(violations_in(Path::new("src/tests.rs"), text).is_empty());
    }
}

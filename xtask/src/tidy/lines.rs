//! Files stay small: none above 600 lines, half of them below 250.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Violation;
use crate::runner::Runner;
use crate::workspace::Workspace;

/// Above this a file does two things.
const LONGEST: usize = 600;
/// The median must be below this, so that the limit does not become the habit.
const MEDIAN: usize = 250;
/// Others' sources, carried as they are.
const CARRIED: &str = "vendor";
const SOURCES: [&str; 8] = ["rs", "ts", "tsx", "svelte", "sol", "mjs", "js", "py"];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    let mut counted = Vec::new();
    for file in super::files(workspace)? {
        if super::has_extension(&file, &SOURCES) && !file.starts_with(CARRIED) {
            let text = fs::read_to_string(workspace.root.join(&file)).with_context(|| file.display().to_string())?;
            counted.push((file, text.lines().count()));
        }
    }
    Ok(violations(counted))
}

fn violations(mut counted: Vec<(PathBuf, usize)>) -> Vec<Violation> {
    counted.sort_by_key(|(_, lines)| *lines);
    let median = counted.get(counted.len() / 2).map_or(0, |(_, lines)| *lines);
    let mut violations = Vec::new();
    if median >= MEDIAN {
        violations.push(Violation::new(
            ".",
            1,
            format!("half of the files have {median} lines or more, not below {MEDIAN}"),
        ));
    }
    for (file, lines) in counted {
        if lines > LONGEST {
            violations.push(Violation::new(file, LONGEST + 1, format!("{lines} lines, more than {LONGEST}")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(lengths: &[usize]) -> Vec<String> {
        let files = lengths.iter().enumerate().map(|(index, lines)| (format!("{index}.rs").into(), *lines)).collect();
        violations(files).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_long_file_and_long_files_are_told() {
        assert!(messages(&[600, 10, 10]).is_empty());
        assert!(messages(&[249, 249, 600]).is_empty());
        assert_eq!(messages(&[601, 10, 10]), ["0.rs:601: 601 lines, more than 600"]);
        assert_eq!(messages(&[10, 250, 250]), [".:1: half of the files have 250 lines or more, not below 250"]);
        assert!(messages(&[]).is_empty());
    }
}

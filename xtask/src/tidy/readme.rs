//! The README's list of folders is the tree: a line for every folder, none for what is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::Violation;
use crate::runner::Runner;
use crate::workspace::Workspace;

const README: &str = "README.md";
/// The heading of the list.
const HEADING: &str = "## Structure";
/// Folders that are listed one level deeper: each crate is a thing of its own.
const NESTED: [&str; 1] = ["crates"];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    let Ok(readme) = fs::read_to_string(workspace.root.join(README)) else {
        return Ok(vec![Violation::new(README, 1, "missing")]);
    };
    Ok(violations(&readme, &folders(&super::files(workspace)?)))
}

/// Every folder of the project, at any depth, without hidden ones.
fn folders(files: &[PathBuf]) -> BTreeSet<String> {
    let all = files.iter().flat_map(|file| file.ancestors().skip(1));
    all.filter_map(|folder| folder.to_str())
        .filter(|folder| !folder.is_empty() && !folder.starts_with('.'))
        .map(str::to_owned)
        .collect()
}

fn violations(readme: &str, folders: &BTreeSet<String>) -> Vec<Violation> {
    let Some(heading) = readme.lines().position(|line| line.trim() == HEADING) else {
        return vec![Violation::new(README, 1, format!("no section {HEADING:?}"))];
    };
    let listed: Vec<_> = readme
        .lines()
        .enumerate()
        .skip(heading + 1)
        .take_while(|(_, line)| !line.starts_with("## "))
        .filter_map(|(index, line)| Some((index + 1, listed_folder(line)?)))
        .collect();
    let mut violations: Vec<_> = listed
        .iter()
        .filter(|(_, name)| !folders.contains(*name))
        .map(|(line, name)| Violation::new(README, *line, format!("there is no folder {name}")))
        .collect();
    for folder in folders.iter().filter(|folder| needs_line(folder)) {
        if !listed.iter().any(|(_, name)| name == folder) {
            violations.push(Violation::new(README, heading + 1, format!("{folder} has no line")));
        }
    }
    violations
}

fn needs_line(folder: &str) -> bool {
    match folder.split_once('/') {
        None => !NESTED.contains(&folder),
        Some((parent, rest)) => NESTED.contains(&parent) && !rest.contains('/'),
    }
}

/// The first word in backticks of a list item or table row.
fn listed_folder(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if !line.starts_with(['-', '*', '|']) {
        return None;
    }
    Some(line.split('`').nth(1)?.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# Shoal\n## Structure\n| folder | what |\n|---|---|\n| `crates/wire/` | bytes |\n| `relay` | `x` |\n\n## Licence\n- `not/a/folder`\n";

    fn messages(files: &[&str]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(PathBuf::from).collect();
        violations(README, &folders(&files)).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn the_list_equals_the_tree() {
        let tree = ["crates/wire/src/lib.rs", "relay/main.rs", "Cargo.toml", ".ci/run"];
        assert!(messages(&tree).is_empty());
        assert_eq!(messages(&tree[..1]), ["README.md:6: there is no folder relay"]);
        assert_eq!(messages(&[&tree[..], &["web/a.ts"]].concat()), ["README.md:2: web has no line"]);
        assert_eq!(messages(&[&tree[..], &["crates/new/lib.rs"]].concat()), ["README.md:2: crates/new has no line"]);
    }

    #[test]
    fn a_readme_without_the_section_is_told() {
        assert_eq!(violations("# Shoal\n", &BTreeSet::new()).len(), 1);
    }
}

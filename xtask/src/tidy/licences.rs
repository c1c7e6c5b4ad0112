//! Licences of everything we build on: permissive ones only, so that anybody may run and embed Shoal.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Violation, spdx};
use crate::cargo;
use crate::runner::Runner;
use crate::workspace::Workspace;

const ACCEPTED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "BSL-1.0",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
    // Data, not code: the root certificates of webpki-roots.
    "CDLA-Permissive-2.0",
];

pub(super) fn check(workspace: &Workspace, runner: &mut dyn Runner) -> Result<Vec<Violation>> {
    // Not `cargo metadata`: that also lists optional dependencies of dependencies that nobody has switched on.
    let mut tree = cargo::bare(workspace);
    tree.args(["tree", "--workspace", "--all-features", "--target=all", "--edges=no-dev", "--prefix=none"]);
    let listed = runner.capture(tree.args(["--format", "{p}|{l}"]))?;
    if !listed.success {
        bail!("cargo tree failed");
    }
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))?;
    let mut violations = crates(&listed.stdout, &lock);
    let path = workspace.root.join("package-lock.json");
    if path.is_file() {
        violations.extend(npm(&fs::read_to_string(path)?)?);
    }
    Ok(violations)
}

fn accepted(licence: &str) -> bool {
    spdx::satisfied(licence, |name| ACCEPTED.contains(&name))
}

/// Reads lines like `anyhow v1.0.100|MIT OR Apache-2.0`, the package with marks behind it, the licence with ` (*)` where
/// the tree repeats itself.
fn crates(tree: &str, lock: &str) -> Vec<Violation> {
    let lines: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let mut violations = Vec::new();
    for (package, licence) in lines.into_iter().filter_map(|line| line.split_once('|')) {
        if !accepted(licence) {
            let name = package.split(' ').next().unwrap_or(package);
            let named = format!("name = \"{name}\"");
            let line = lock.lines().position(|line| line == named).map_or(1, |index| index + 1);
            violations.push(Violation::new("Cargo.lock", line, format!("{package}: {licence:?} is not accepted")));
        }
    }
    violations
}

/// Packages that reach users; tools of the development stay out of what we ship.
fn npm(lock: &str) -> Result<Vec<Violation>> {
    let value: Value = serde_json::from_str(lock).context("package-lock.json is not JSON")?;
    let packages = value["packages"].as_object().context("package-lock.json has no packages")?;
    let mut violations = Vec::new();
    for (path, package) in packages {
        let development = package["dev"] == true || package["devOptional"] == true;
        if development || package["link"] == true || !path.contains("node_modules/") {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("no licence");
        if !accepted(licence) {
            let line =
                lock.lines().position(|line| line.contains(&format!("\"{path}\":"))).map_or(1, |index| index + 1);
            violations.push(Violation::new("package-lock.json", line, format!("{path}: {licence} is not accepted")));
        }
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copyleft_or_unlicensed_crate_is_told() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\n";
        assert!(crates("a v1.2.3|MIT OR Apache-2.0\n\nb v1.0.0 (proc-macro)|ISC (*)\n", lock).is_empty());
        let found = crates("a v1.2.3|GPL-3.0-only\na v1.2.3|GPL-3.0-only (*)\n", lock);
        assert_eq!(found, [Violation::new("Cargo.lock", 4, "a v1.2.3: \"GPL-3.0-only\" is not accepted")]);
        assert_eq!(crates("a v1.2.3|\n", lock).len(), 1);
    }

    #[test]
    fn npm_packages_that_ship_are_looked_at() {
        let lock = r#"{"packages": {"": {}, "web": {"license": "none"}, "node_modules/web": {"link": true},
            "node_modules/good": {"license": "MIT"}, "node_modules/tool": {"license": "GPL-3.0", "dev": true},
            "node_modules/bad": {"license": "GPL-3.0"}, "web/node_modules/none": {}}}"#;
        let found: Vec<_> = npm(lock).unwrap().iter().map(|violation| violation.message.clone()).collect();
        assert_eq!(
            found,
            ["node_modules/bad: GPL-3.0 is not accepted", "web/node_modules/none: no licence is not accepted"]
        );
    }
}

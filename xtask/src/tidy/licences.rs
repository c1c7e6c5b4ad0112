//! Licences of everything we build on: permissive ones only, so that anybody may run and embed Shoal.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Violation, spdx};
use crate::cargo::Metadata;
use crate::runner::Runner;
use crate::workspace::Workspace;

const ACCEPTED: [&str; 14] = [
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
    // aws-lc-sys still names it for the parts it took from OpenSSL; permissive with attribution.
    "OpenSSL",
];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))?;
    let mut violations = crates(&super::metadata(workspace)?, &lock);
    let path = workspace.root.join("package-lock.json");
    if path.is_file() {
        let text = fs::read_to_string(path)?;
        violations.extend(npm(&text)?);
    }
    Ok(violations)
}

fn accepted(licence: &str) -> bool {
    spdx::satisfied(licence, |name| ACCEPTED.contains(&name))
}

fn crates(metadata: &Metadata, lock: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("no licence expression");
        if !accepted(licence) {
            let named = format!("name = \"{}\"", package.name);
            let line = lock.lines().position(|line| line == named).map_or(1, |index| index + 1);
            let message = format!("{} {}: {licence} is not accepted", package.name, package.version);
            violations.push(Violation::new("Cargo.lock", line, message));
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
        let metadata = |licence: &str| {
            let json = r#"{"workspace_members": [], "packages": [{"id": "a", "name": "a", "version": "1.2.3",
                "license": LICENCE, "manifest_path": "/a/Cargo.toml", "targets": [], "dependencies": []}]}"#;
            Metadata::parse(&json.replace("LICENCE", licence)).unwrap()
        };
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\n";
        assert!(crates(&metadata("\"MIT OR Apache-2.0\""), lock).is_empty());
        let found = crates(&metadata("\"GPL-3.0-only\""), lock);
        assert_eq!(found, [Violation::new("Cargo.lock", 4, "a 1.2.3: GPL-3.0-only is not accepted")]);
        assert_eq!(crates(&metadata("null"), lock).len(), 1);
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

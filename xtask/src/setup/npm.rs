//! The npm packages of the lock file, installed without running their scripts.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::{Ready, doing, ready};
use crate::exec;
use crate::workspace::Workspace;

/// What the strictest of our packages, the page's bundler, runs on.
const NODE: (u32, u32) = (20, 19);

/// Runs `npm ci` if what is installed is not what the lock file names.
pub(super) fn ensure(workspace: &Workspace) -> Result<Ready<()>> {
    let root = &workspace.root;
    check_node()?;
    let wanted = packages(&root.join("package-lock.json"))?;
    let installed = packages(&root.join("node_modules/.package-lock.json")).unwrap_or_default();
    let Some(reason) = difference(&wanted, &installed) else {
        return ready((), format!("{} as in package-lock.json", installed.len()));
    };
    doing(&format!("npm ci ({reason})"));
    exec::run(exec::command_in(root, "npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    ready((), format!("{} installed", packages(&root.join("node_modules/.package-lock.json"))?.len()))
}

fn check_node() -> Result<()> {
    let remedy = format!("install Node.js {}.{} or newer with npm, from https://nodejs.org", NODE.0, NODE.1);
    if exec::find_program(&["node"]).is_none() || exec::find_program(&["npm"]).is_none() {
        bail!("Node.js or npm is missing: {remedy}");
    }
    let printed = exec::output(Command::new("node").arg("--version"))?;
    if node_version(&printed).is_none_or(|version| version < NODE) {
        bail!("Node.js here is {}: {remedy}", printed.trim());
    }
    Ok(())
}

/// Major and minor number in `v20.19.2`.
fn node_version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.trim().strip_prefix('v')?.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// The packages that a lock file (version 3) lists by the path they are installed at. npm keeps such a file of what it
/// installed inside node_modules.
fn packages(lock: &Path) -> Result<Map<String, Value>> {
    let text = fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let Value::Object(mut lock) = serde_json::from_str(&text)? else { bail!("{} is no object", lock.display()) };
    match lock.remove("packages") {
        Some(Value::Object(packages)) => {
            Ok(packages.into_iter().filter(|(path, _)| path.starts_with("node_modules/")).collect())
        }
        _ => bail!("package-lock.json has no packages: it needs lock file version 3"),
    }
}

/// Why the installed packages are not the wanted ones. An optional package may be missing: it is for another platform.
fn difference(wanted: &Map<String, Value>, installed: &Map<String, Value>) -> Option<String> {
    let key = |package: &Value| (package["version"].clone(), package["resolved"].clone(), package["integrity"].clone());
    for (path, package) in wanted {
        match installed.get(path) {
            Some(found) if key(found) != key(package) => return Some(format!("{path} has another version")),
            None if package["optional"] != true && package["devOptional"] != true => {
                return Some(format!("{path} is missing"));
            }
            _ => {}
        }
    }
    installed.keys().find(|path| !wanted.contains_key(*path)).map(|path| format!("{path} is not in the lock file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(wanted: Value, installed: Value) -> Option<String> {
        difference(wanted.as_object().unwrap(), installed.as_object().unwrap())
    }

    #[test]
    fn an_old_node_is_told_from_a_new_one() {
        assert_eq!(node_version("v20.19.2\n"), Some(NODE));
        assert!(node_version("v20.9.0").is_some_and(|version| version < NODE));
        assert!(node_version("v24.1.0").is_some_and(|version| version > NODE));
        assert_eq!(node_version("20.19"), None);
    }

    #[test]
    fn equal_up_to_optional_packages_is_up_to_date() {
        let wanted = serde_json::json!({
            "node_modules/a": {"version": "1.0.0", "integrity": "x", "dev": true},
            "node_modules/a-darwin": {"version": "1.0.0", "optional": true},
        });
        let installed = serde_json::json!({"node_modules/a": {"version": "1.0.0", "integrity": "x"}});
        assert_eq!(reason(wanted, installed), None);
    }

    #[test]
    fn a_version_a_missing_and_a_foreign_package_are_told() {
        let one = serde_json::json!({"node_modules/a": {"version": "1.0.0"}});
        let two = serde_json::json!({"node_modules/a": {"version": "2.0.0"}});
        let none = serde_json::json!({});
        assert_eq!(reason(one.clone(), two), Some("node_modules/a has another version".into()));
        assert_eq!(reason(one.clone(), none.clone()), Some("node_modules/a is missing".into()));
        assert_eq!(reason(none, one), Some("node_modules/a is not in the lock file".into()));
    }
}

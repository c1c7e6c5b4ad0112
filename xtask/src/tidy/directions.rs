//! Dependencies between our crates point one way, as ARCHITECTURE.md draws them.

use anyhow::Result;

use super::Violation;
use crate::cargo::{Kind, Metadata};
use crate::runner::Runner;
use crate::workspace::Workspace;

/// What each crate may depend on. Tests may use anything: dev-dependencies are not looked at.
const ALLOWED: [(&str, &[&str]); 20] = [
    ("shoal-wire", &[]),
    ("shoal-graph", &["shoal-wire"]),
    ("shoal-reference", &["shoal-graph"]),
    ("shoal-compute", &["shoal-graph", "shoal-wire"]),
    ("shoal-onnx", &["shoal-graph"]),
    ("shoal-quantize", &["shoal-graph", "shoal-compute"]),
    ("shoal-learn", &["shoal-graph", "shoal-wire"]),
    ("shoal-mesh", &["shoal-wire"]),
    ("shoal-ledger", &["shoal-wire"]),
    ("shoal-chain", &["shoal-ledger"]),
    ("shoal-netem", &[]),
    ("shoal-dataset", &[]),
    ("shoal-bench-compute", &["shoal-graph", "shoal-compute"]),
    ("shoal-transport", &["shoal-wire"]),
    ("shoal-node", &["shoal-wire", "shoal-graph", "shoal-compute", "shoal-mesh", "shoal-transport"]),
    ("shoal-wasm", &["shoal-node", "shoal-wire", "shoal-graph", "shoal-compute", "shoal-transport"]),
    (
        "shoal",
        &[
            "shoal-node",
            "shoal-graph",
            "shoal-compute",
            "shoal-dataset",
            "shoal-onnx",
            "shoal-quantize",
            "shoal-chain",
            "shoal-wire",
            "shoal-transport",
            "shoal-ledger",
        ],
    ),
    (
        "shoal-relay",
        &[
            "shoal-wire",
            "shoal-graph",
            "shoal-compute",
            "shoal-learn",
            "shoal-mesh",
            "shoal-ledger",
            "shoal-chain",
            "shoal-transport",
            "shoal-node",
        ],
    ),
    ("shoal-sim", &["shoal-mesh", "shoal-learn", "shoal-ledger", "shoal-wire"]),
    ("xtask", &[]),
];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    Ok(violations(workspace, &super::metadata(workspace)?, &ALLOWED))
}

fn violations(workspace: &Workspace, metadata: &Metadata, allowed: &[(&str, &[&str])]) -> Vec<Violation> {
    let names: Vec<_> = metadata.members().map(|package| &package.name).collect();
    let mut violations = Vec::new();
    for package in metadata.members() {
        let Some((_, may)) = allowed.iter().find(|(name, _)| package.name == *name) else {
            let message = format!("{} has no line in the table of directions", package.name);
            violations.push(Violation::new(workspace.relative(&package.manifest), 1, message));
            continue;
        };
        for dependency in &package.dependencies {
            let name = &dependency.name;
            if dependency.kind != Kind::Dev && names.contains(&name) && !may.contains(&name.as_str()) {
                let message = format!("{} must not depend on {name}", package.name);
                violations.push(Violation::in_manifest(workspace, package, name, message));
            }
        }
    }
    violations
}

/// Cargo.lock fits the manifests: whoever changed a manifest committed it too.
pub(super) fn check_lock_file(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    Ok(match Metadata::load_locked(workspace) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Violation::new("Cargo.lock", 1, format!("{error:#}"))],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(kind: &str) -> Metadata {
        let json = r#"{"workspace_members": ["w", "r"], "packages": [
            {"id": "w", "name": "wire", "version": "1.0.0", "manifest_path": "/x/w/Cargo.toml", "targets": [],
             "dependencies": [{"name": "relay", "kind": KIND}, {"name": "serde", "kind": null}]},
            {"id": "r", "name": "relay", "version": "1.0.0", "manifest_path": "/x/r/Cargo.toml", "targets": [],
             "dependencies": [{"name": "wire", "kind": null}]}]}"#;
        Metadata::parse(&json.replace("KIND", kind)).unwrap()
    }

    fn messages(kind: &str, allowed: &[(&str, &[&str])]) -> Vec<String> {
        let workspace = Workspace { root: "/x".into(), cache: "/c".into() };
        violations(&workspace, &metadata(kind), allowed).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn only_the_allowed_direction_passes() {
        let allowed: [(&str, &[&str]); 2] = [("wire", &[]), ("relay", &["wire"])];
        let wrong = ["w/Cargo.toml:1: wire must not depend on relay"];
        assert_eq!(messages("null", &allowed), wrong);
        assert_eq!(messages("\"build\"", &allowed), wrong);
        assert!(messages("\"dev\"", &allowed).is_empty());
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_told() {
        let found = messages("\"dev\"", &[("relay", &["wire"])]);
        assert_eq!(found, ["w/Cargo.toml:1: wire has no line in the table of directions"]);
    }
}

//! Browser bindings and the async runtime stay where they belong: everything else runs in both worlds.

use anyhow::Result;

use super::Violation;
use crate::cargo::{Dependency, Kind, Metadata};
use crate::runner::Runner;
use crate::workspace::Workspace;

/// A family of crates, who may depend on it, and in which of their halves.
struct Rule {
    family: &'static [&'static str],
    /// Crates that are of that world altogether.
    whole: &'static [&'static str],
    /// Crates with two halves: only under a `cfg` for the right one.
    half: &'static [&'static str],
    /// Whether that half is the one for WebAssembly.
    wasm: bool,
}

const RULES: [Rule; 2] = [
    Rule {
        family: &[
            "wasm-bindgen",
            "wasm-bindgen-futures",
            "js-sys",
            "web-sys",
            "gloo",
            "serde-wasm-bindgen",
            "console_error_panic_hook",
            "tracing-wasm",
        ],
        whole: &["shoal-wasm"],
        half: &["shoal-transport", "shoal-node", "shoal-bench-compute"],
        wasm: true,
    },
    Rule {
        family: &["tokio", "tokio-util", "tokio-stream"],
        whole: &["shoal-relay", "shoal", "shoal-chain"],
        half: &["shoal-transport", "shoal-node", "shoal-netem"],
        wasm: false,
    },
];

pub(super) fn check(workspace: &Workspace, _: &mut dyn Runner) -> Result<Vec<Violation>> {
    Ok(violations(workspace, &super::metadata(workspace)?))
}

fn violations(workspace: &Workspace, metadata: &Metadata) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in metadata.members() {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == Kind::Normal) {
            if let Some(reason) = RULES.iter().find_map(|rule| rule.refuses(&package.name, dependency)) {
                let message = format!("{} {reason} {}", package.name, dependency.name);
                violations.push(Violation::in_manifest(workspace, package, &dependency.name, message));
            }
        }
    }
    violations
}

impl Rule {
    fn refuses(&self, package: &str, dependency: &Dependency) -> Option<&'static str> {
        let name = &*dependency.name;
        let in_family = self.family.iter().any(|member| {
            name == *member || name.strip_prefix(member).is_some_and(|rest| *member == "gloo" && rest.starts_with('-'))
        });
        if !in_family || self.whole.contains(&package) {
            return None;
        }
        if !self.half.contains(&package) {
            return Some("must not depend on");
        }
        match (self.is_right_half(dependency.target.as_deref()), self.wasm) {
            (true, _) => None,
            (false, true) => Some("must have only under cfg(target_arch = \"wasm32\")"),
            (false, false) => Some("must have only under cfg(not(target_arch = \"wasm32\"))"),
        }
    }

    fn is_right_half(&self, target: Option<&str>) -> bool {
        let Some(target) = target else { return false };
        let negated = target.replace(' ', "").contains("not(target_arch=\"wasm32\")");
        let wasm = target.contains("wasm32") && !negated;
        if self.wasm { wasm } else { negated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WASM: &str = r#"cfg(target_arch = "wasm32")"#;
    const NATIVE: &str = r#"cfg(not(target_arch = "wasm32"))"#;

    fn refused(package: &str, name: &str, target: Option<&str>) -> bool {
        let target = target.map(str::to_owned);
        let dependency = Dependency { name: name.into(), kind: Kind::Normal, target };
        RULES.iter().any(|rule| rule.refuses(package, &dependency).is_some())
    }

    #[test]
    fn bindings_stay_in_the_browser_halves() {
        assert!(!refused("shoal-wasm", "wasm-bindgen", None));
        assert!(!refused("shoal-transport", "web-sys", Some(WASM)));
        assert!(refused("shoal-transport", "web-sys", None));
        assert!(refused("shoal-transport", "web-sys", Some(NATIVE)));
        assert!(refused("shoal-compute", "js-sys", Some(WASM)));
        assert!(refused("shoal-mesh", "gloo-timers", None));
    }

    #[test]
    fn tokio_stays_in_the_native_halves() {
        assert!(!refused("shoal-relay", "tokio", None));
        assert!(!refused("shoal-node", "tokio", Some(NATIVE)));
        assert!(refused("shoal-node", "tokio", None));
        assert!(refused("shoal-node", "tokio", Some(WASM)));
        assert!(refused("shoal-mesh", "tokio", None));
        assert!(!refused("shoal-mesh", "tokio-like", None));
    }

    #[test]
    fn violations_name_the_manifest() {
        let json = r#"{"workspace_members": ["m"], "packages": [{"id": "m", "name": "shoal-mesh", "version": "1.0.0",
            "manifest_path": "/x/m/Cargo.toml", "targets": [], "dependencies": [
                {"name": "tokio", "kind": null}, {"name": "tokio", "kind": "dev"}]}]}"#;
        let workspace = Workspace { root: "/x".into(), cache: "/c".into() };
        let found = violations(&workspace, &Metadata::parse(json).unwrap());
        assert_eq!(found, [Violation::new("m/Cargo.toml", 1, "shoal-mesh must not depend on tokio")]);
    }
}

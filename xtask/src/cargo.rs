//! Cargo as xtask calls it, and what `cargo metadata` says about the workspace.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::exec;
use crate::workspace::Workspace;

/// Cargo for this machine, building into the shared target folder.
///
/// Incremental files are off: they are the part of a target folder that grows without bound and they make neither a
/// fresh clone nor a first build faster.
pub(crate) fn native(workspace: &Workspace) -> Command {
    let mut command = bare(workspace);
    command.env("CARGO_TARGET_DIR", workspace.target()).env("CARGO_INCREMENTAL", "0");
    command
}

/// Cargo in the root folder, without the variables that this very `cargo run` has set for xtask and that would make
/// build scripts of the nested build look changed.
pub(crate) fn bare(workspace: &Workspace) -> Command {
    let mut command = exec::command_in(&workspace.root, program());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// One crate of the workspace or of its dependencies.
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of its targets of kind `example`.
    pub(crate) examples: Vec<String>,
}

impl Package {
    /// The folder with the crate's manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest.parent().expect("a manifest lies in a folder")
    }

    /// Whether the crate has tests that run in a WebAssembly engine.
    pub(crate) fn has_wasm_tests(&self) -> bool {
        self.dependencies.iter().any(|dependency| dependency.name == "wasm-bindgen-test")
    }
}

/// A line of a manifest's dependency tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The `cfg(…)` or target triple it is limited to.
    pub(crate) target: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// The crates that the lock file names; workspace members separately.
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    members: Vec<String>,
}

impl Metadata {
    /// Asks Cargo, which may complete the lock file as every build does.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        Self::from_cargo(workspace, &[])
    }

    /// Asks Cargo without letting it touch the lock file: an error when that is out of date.
    pub(crate) fn load_locked(workspace: &Workspace) -> Result<Self> {
        Self::from_cargo(workspace, &["--locked"])
    }

    fn from_cargo(workspace: &Workspace, flags: &[&str]) -> Result<Self> {
        let mut command = bare(workspace);
        command.args(["metadata", "--quiet", "--format-version=1", "--all-features"]).args(flags);
        Self::parse(&exec::output(&mut command)?)
    }

    pub(crate) fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).context("cargo metadata is not JSON")?;
        let packages = items(&value["packages"]).map(package).collect::<Option<_>>();
        let members = items(&value["workspace_members"]).map(text).collect::<Option<_>>();
        let missing = "cargo metadata lacks a field that its format 1 promises";
        Ok(Self { packages: packages.context(missing)?, members: members.context(missing)? })
    }

    /// The crates of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.members.contains(&package.id))
    }
}

fn package(value: &Value) -> Option<Package> {
    Some(Package {
        id: text(&value["id"])?,
        name: text(&value["name"])?,
        manifest: text(&value["manifest_path"])?.into(),
        dependencies: items(&value["dependencies"]).map(dependency).collect::<Option<_>>()?,
        examples: items(&value["targets"])
            .filter(|target| items(&target["kind"]).any(|kind| kind == "example"))
            .map(|target| text(&target["name"]))
            .collect::<Option<_>>()?,
    })
}

fn dependency(value: &Value) -> Option<Dependency> {
    let kind = match value["kind"].as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some(_) => Kind::Dev,
    };
    Some(Dependency { name: text(&value["name"])?, kind, target: text(&value["target"]) })
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_this_workspace_names_xtask() {
        let workspace = Workspace::find().unwrap();
        let metadata = Metadata::load(&workspace).unwrap();
        let xtask = metadata.members().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.folder(), workspace.root.join("xtask"));
        assert!(xtask.dependencies.iter().any(|dependency| dependency.name == "anyhow"));
        assert!(metadata.packages.iter().any(|package| package.name == "anyhow"));
    }

    #[test]
    fn a_missing_field_is_an_error() {
        assert!(Metadata::parse(r#"{"packages": [{"name": "a"}], "workspace_members": []}"#).is_err());
    }
}

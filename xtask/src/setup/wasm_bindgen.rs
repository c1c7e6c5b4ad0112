//! The wasm-bindgen command line of exactly the version that the crates use: its format between compiler and bindings
//! changes with every release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Ready, doing, ready};
use crate::workspace::Workspace;
use crate::{cargo, exec};

/// The folder with the two programs, installed there on the first call.
pub(super) fn ensure(workspace: &Workspace) -> Result<Ready<PathBuf>> {
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let version = pinned(&manifest).context("Cargo.toml pins no wasm-bindgen = \"=…\"")?;
    let home = workspace.cache.join("tools").join(format!("wasm-bindgen-{version}"));
    let bin = home.join("bin");
    if !is_installed(&bin, version) {
        install(workspace, &home, version)?;
        if !is_installed(&bin, version) {
            bail!("cargo install left no wasm-bindgen {version} in {}", bin.display());
        }
    }
    ready(bin, version)
}

fn is_installed(bin: &Path, version: &str) -> bool {
    ["wasm-bindgen", "wasm-bindgen-test-runner"].iter().all(|program| {
        exec::output(Command::new(bin.join(program)).arg("--version"))
            .is_ok_and(|printed| printed.split_whitespace().nth(1) == Some(version))
    })
}

fn install(workspace: &Workspace, home: &Path, version: &str) -> Result<()> {
    doing(&format!("building wasm-bindgen {version} from crates.io, once (some minutes)"));
    let target = workspace.cache.join("tools/build");
    let mut command = cargo::bare(workspace);
    command
        .args(["install", "wasm-bindgen-cli", "--locked", "--force", "--version", version, "--root"])
        .arg(home)
        .arg("--target-dir")
        .arg(&target);
    exec::run(&mut command)?;
    // The programs are what is kept; their build is not needed again.
    let _ = fs::remove_dir_all(&target);
    Ok(())
}

/// The exact version in the workspace's dependency table.
fn pinned(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let exact = value.split_once("\"=")?.1;
        (name.trim() == "wasm-bindgen").then(|| exact.split('"').next()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_is_read_from_the_manifest() {
        assert_eq!(pinned("wasm-bindgen-futures = \"=0.4.58\"\nwasm-bindgen = \"=0.2.108\"\n"), Some("0.2.108"));
        assert_eq!(pinned("wasm-bindgen = { version = \"=0.2.9\", default-features = false }"), Some("0.2.9"));
        assert_eq!(pinned("wasm-bindgen = \"0.2\""), None);
    }

    #[test]
    fn the_workspace_pins_one() {
        let manifest = fs::read_to_string(Workspace::find().unwrap().root.join("Cargo.toml")).unwrap();
        assert!(pinned(&manifest).is_some());
    }
}

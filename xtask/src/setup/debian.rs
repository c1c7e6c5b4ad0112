//! Debian's packages, where we may install them.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::doing;
use crate::exec;

/// Whether this is a machine with Debian's package tool.
pub(super) fn is_debian() -> bool {
    exec::find_program(&["apt-get"]).is_some()
}

pub(super) fn is_root() -> bool {
    exec::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Installs packages as root, otherwise fails with the command that would.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_debian() {
        bail!("no apt-get here to install {names} with");
    }
    if !is_root() {
        bail!("run: sudo apt-get update && sudo apt-get install -y {names}");
    }
    doing(&format!("installing Debian packages {names}"));
    let apt = |arguments: &[&str]| {
        exec::run(Command::new("apt-get").args(["-q", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update"])
        .and_then(|()| apt(&[&["install", "--no-install-recommends"], packages].concat()))
        .with_context(|| format!("could not install {names}"))
}

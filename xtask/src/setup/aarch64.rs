//! An AArch64 processor, emulated, for the tests of the compute core: a cross compiler, the target's library and QEMU.
//! Nothing else needs it, so a machine without one passes the set-up, and those tests say that they were skipped.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::wasm_target::has_target;
use super::{Ready, debian, doing, ready};
use crate::exec;

/// Linked statically, so that QEMU needs no AArch64 system beside it.
const TARGET: &str = "aarch64-unknown-linux-musl";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATORS: [&str; 2] = ["qemu-aarch64", "qemu-aarch64-static"];
const PACKAGES: [&str; 3] = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user"];
const REMEDY: &str = "rustup target add aarch64-unknown-linux-musl, and on Debian: sudo apt-get install -y \
                      gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user";

/// How to build for AArch64 here and run what was built.
#[derive(Clone)]
pub(crate) struct Aarch64 {
    compiler: PathBuf,
    emulator: PathBuf,
}

impl Aarch64 {
    /// Tells Cargo to build for the target, with the cross compiler, and to run its programs in the emulator.
    pub(crate) fn describe_to(&self, command: &mut Command) {
        let emulator = format!("target.{TARGET}.runner=[{:?}]", self.emulator);
        let linker = format!("target.{TARGET}.linker={:?}", self.compiler);
        command.args(["--target", TARGET, "--config", &emulator, "--config", &linker]);
        command.env("CC_aarch64_unknown_linux_musl", &self.compiler);
    }
}

pub(super) fn ensure() -> Result<Ready<Option<Aarch64>>> {
    if cfg!(target_arch = "aarch64") {
        return ready(None, "this machine is one");
    }
    let found = find().and_then(|found| {
        let version = exec::output(Command::new(&found.emulator).arg("--version"))?;
        Ok((found, version))
    });
    match found {
        Ok((found, version)) => ready(Some(found), version.lines().next().unwrap_or_default()),
        Err(error) => ready(None, format!("none ({error:#}), so its tests are skipped; to have them: {REMEDY}")),
    }
}

/// Looks for all parts and installs those that are missing, where it may.
fn find() -> Result<Aarch64> {
    if parts().is_none() && debian::is_debian() {
        debian::install(&PACKAGES)?;
    }
    let Some(found) = parts() else { bail!("no {COMPILER} or no {}", EMULATORS[0]) };
    if !has_target("rustc".as_ref(), TARGET)? {
        doing(&format!("rustup target add {TARGET}"));
        exec::run(Command::new("rustup").args(["target", "add", TARGET]))?;
    }
    Ok(found)
}

fn parts() -> Option<Aarch64> {
    Some(Aarch64 { compiler: exec::find_program(&[COMPILER])?, emulator: exec::find_program(&EMULATORS)? })
}

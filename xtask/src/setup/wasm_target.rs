//! A compiler with a standard library for `wasm32-unknown-unknown`.
//!
//! The ordinary way is rustup. Where rustup is absent or cannot download, Debian ships a compiler with its library
//! sources, from which [`debian_std`] builds the target once.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Ready, debian_std, doing, ready};
use crate::workspace::Workspace;
use crate::{cargo, exec};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// How to build for WebAssembly on this machine.
#[derive(Clone)]
pub(crate) struct WasmToolchain {
    /// The compiler, where it is not the one that native builds use.
    rustc: Option<PathBuf>,
    simd: Simd,
}

/// The vector instructions of a module. An engine refuses a module with instructions that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simd {
    /// Every browser has them.
    Simd128,
    /// Also fused multiplication and addition, for tolerant work.
    Relaxed,
}

impl WasmToolchain {
    /// The same compiler for modules with such instructions.
    pub(crate) fn with(&self, simd: Simd) -> Self {
        Self { simd, ..self.clone() }
    }

    /// Cargo that compiles for WebAssembly; the caller adds the command and `--target`-independent flags.
    ///
    /// RUSTFLAGS from outside would replace the flags of `.cargo/config.toml`, without which getrandom does not build.
    pub(crate) fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Command {
        let mut command = cargo::native(workspace);
        command.args([subcommand, "--target", TARGET]);
        command.env("CARGO_TARGET_DIR", self.target(workspace));
        if self.simd == Simd::Relaxed {
            // Joins the flags of `.cargo/config.toml`.
            command.arg("--config").arg(format!("target.{TARGET}.rustflags=['-Ctarget-feature=+relaxed-simd']"));
        }
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_RUSTFLAGS");
        if let Some(rustc) = &self.rustc {
            command.env("RUSTC", rustc);
        }
        command
    }

    /// The folder that Cargo puts finished modules of `profile` into.
    pub(crate) fn output(&self, workspace: &Workspace, profile: &str) -> PathBuf {
        let folder = if profile == "dev" { "debug" } else { profile };
        self.target(workspace).join(TARGET).join(folder)
    }

    fn target(&self, workspace: &Workspace) -> PathBuf {
        match self.simd {
            Simd::Simd128 => workspace.target_wasm(),
            Simd::Relaxed => workspace.target_wasm_relaxed(),
        }
    }
}

pub(super) fn ensure(workspace: &Workspace) -> Result<Ready<WasmToolchain>> {
    if let Some(rustc) = env::var_os("SHOAL_WASM_RUSTC") {
        return chosen(workspace, rustc.into());
    }
    let rustc = Path::new("rustc");
    if has_target(rustc, TARGET)? {
        return ready(toolchain(None), version(rustc)?);
    }
    if exec::find_program(&["rustup"]).is_some() {
        doing(&format!("rustup target add {TARGET}"));
        match exec::run(Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(()) if has_target(rustc, TARGET)? => return ready(toolchain(None), version(rustc)?),
            Ok(()) => println!("  rustup has the target, but not for the compiler on PATH"),
            Err(error) => println!("  {error:#}; trying Debian's compiler"),
        }
    }
    let rustc = debian_std::ensure(workspace).with_context(|| {
        format!("no compiler with {TARGET}. The ordinary remedy: install rustup, then `rustup target add {TARGET}`")
    })?;
    let note = format!("{} with our build of its library", version(&rustc)?);
    ready(toolchain(Some(rustc)), note)
}

fn toolchain(rustc: Option<PathBuf>) -> WasmToolchain {
    WasmToolchain { rustc, simd: Simd::Simd128 }
}

fn chosen(workspace: &Workspace, rustc: PathBuf) -> Result<Ready<WasmToolchain>> {
    if rustc == Path::new(debian_std::RUSTC) {
        debian_std::ensure(workspace)?;
    } else if !has_target(&rustc, TARGET)? {
        bail!("SHOAL_WASM_RUSTC={} has no library for {TARGET}", rustc.display());
    }
    let note = format!("{} by SHOAL_WASM_RUSTC", version(&rustc)?);
    ready(toolchain(Some(rustc)), note)
}

/// Whether the compiler's library for a target is installed (whether it fits, only Debian's own needs to be asked).
pub(super) fn has_target(rustc: &Path, target: &str) -> Result<bool> {
    let sysroot = exec::output(Command::new(rustc).args(["--print", "sysroot"]))?;
    if target == TARGET && Path::new(sysroot.trim()) == Path::new(debian_std::SYSROOT) {
        return Ok(debian_std::is_current());
    }
    Ok(has_std(&Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib")))
}

/// Whether a target's library folder holds a standard library.
pub(super) fn has_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn version(rustc: &Path) -> Result<String> {
    Ok(exec::output(Command::new(rustc).arg("--version"))?.trim().to_owned())
}

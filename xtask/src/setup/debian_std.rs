//! The standard library for WebAssembly, built once from Debian's sources for Debian's compiler.
//!
//! Debian ships compiler and sources in packages of one version (`rustc-web`, `rust-web-src`) but no library for
//! `wasm32-unknown-unknown`. Cargo builds one in about a minute with `-Zbuild-std`; it is installed where that compiler
//! looks, so that afterwards plain `RUSTC=/usr/bin/rustc cargo build --target wasm32-unknown-unknown` works.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::wasm_target::{TARGET, has_std};
use super::{debian, doing};
use crate::workspace::Workspace;
use crate::{cargo, exec};

pub(super) const RUSTC: &str = "/usr/bin/rustc";
pub(super) const SYSROOT: &str = "/usr";
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// The compiler, after making sure that its library for the target is there and is its own.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let rustc = PathBuf::from(RUSTC);
    if is_current() {
        return Ok(rustc);
    }
    if !is_recent(&rustc) || !Path::new(SOURCES).is_file() {
        debian::install(&PACKAGES)?;
    }
    if !is_recent(&rustc) {
        bail!("{RUSTC} is older than {}, even with {}", env!("CARGO_PKG_RUST_VERSION"), PACKAGES[0]);
    }
    if !debian::is_root() {
        bail!("run once as root, to build the library for {TARGET} into /usr/lib/rustlib: cargo xtask setup");
    }
    link_linker(&rustc)?;
    // A library that fits may stand there already, built by hand in the same way.
    if !(has_std(&library()) && links(workspace, &rustc).is_ok()) {
        build(workspace, &rustc)?;
        links(workspace, &rustc).context("the library was built, but a program does not link with it")?;
    }
    fs::write(stamp(), identity(&rustc)?).with_context(|| format!("cannot write {}", stamp().display()))?;
    Ok(rustc)
}

/// Whether the installed library was built for this very compiler, and the linker is in place.
pub(super) fn is_current() -> bool {
    let rustc = Path::new(RUSTC);
    let built_for = fs::read_to_string(stamp()).unwrap_or_default();
    !built_for.is_empty()
        && identity(rustc).is_ok_and(|identity| identity == built_for)
        && linker(rustc).is_ok_and(|linker| linker.exists())
        && has_std(&library())
}

/// Version, commit and host: what a compiler's library must match.
fn identity(rustc: &Path) -> Result<String> {
    exec::output(Command::new(rustc).arg("-vV"))
}

fn field<'a>(identity: &'a str, name: &str) -> Option<&'a str> {
    identity.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn is_recent(rustc: &Path) -> bool {
    let Ok(identity) = identity(rustc) else { return false };
    let release = field(&identity, "release").map(version_numbers);
    release >= Some(version_numbers(env!("CARGO_PKG_RUST_VERSION")))
}

fn version_numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn target_folder() -> PathBuf {
    Path::new(SYSROOT).join("lib/rustlib").join(TARGET)
}

fn library() -> PathBuf {
    target_folder().join("lib")
}

/// Lies beside the library folder, so that replacing the library keeps it until the new one has proven itself.
fn stamp() -> PathBuf {
    target_folder().join("built-for.txt")
}

fn linker(rustc: &Path) -> Result<PathBuf> {
    let identity = identity(rustc)?;
    let host = field(&identity, "host").context("rustc -vV names no host")?;
    Ok(Path::new(SYSROOT).join("lib/rustlib").join(host).join("bin/rust-lld"))
}

/// Debian's compiler expects `rust-lld` beside its library but does not ship it; the toolchain that builds native code
/// has one.
fn link_linker(rustc: &Path) -> Result<()> {
    let wanted = linker(rustc)?;
    if wanted.exists() {
        return Ok(());
    }
    let sysroot = exec::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let inner = wanted.strip_prefix(SYSROOT).expect("the linker lies in the sysroot");
    let existing = Path::new(sysroot.trim()).join(inner);
    if !existing.exists() {
        bail!("no rust-lld in {}: install a Rust toolchain from rustup", sysroot.trim());
    }
    fs::create_dir_all(wanted.parent().expect("has a folder"))?;
    // A link may stand there and lead nowhere: its toolchain was removed.
    let _ = fs::remove_file(&wanted);
    symlink(&existing, &wanted).with_context(|| format!("cannot link {}", wanted.display()))
}

fn build(workspace: &Workspace, rustc: &Path) -> Result<()> {
    doing(&format!("building the standard library for {TARGET} (about a minute)"));
    let scratch = workspace.cache.join("wasm-std");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(scratch.join("src"))?;
    fs::write(scratch.join("Cargo.toml"), "[workspace]\n[package]\nname = \"empty\"\nedition = \"2024\"\n")?;
    fs::write(scratch.join("src/lib.rs"), "")?;
    // Bitcode is for link-time optimisation; the test crate for wasm-bindgen-test.
    let mut command = cargo::bare(workspace);
    command
        .current_dir(&scratch)
        .args(["build", "--release", "-Zbuild-std=std,panic_abort,test", "--target", TARGET])
        .env("CARGO_TARGET_DIR", scratch.join("target"))
        .env("RUSTC", rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes");
    exec::run(&mut command)?;
    install(&scratch.join("target").join(TARGET).join("release/deps"))?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// Replaces the whole library: an older one beside it would make every crate of it ambiguous.
fn install(built: &Path) -> Result<()> {
    let fresh = target_folder().join("lib.new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let name = path.file_name().expect("an entry has a name").to_owned();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libempty-") {
            fs::copy(&path, fresh.join(&name))?;
        }
    }
    let _ = fs::remove_dir_all(library());
    fs::rename(&fresh, library())?;
    Ok(())
}

/// Whether a program compiles and links, with link-time optimisation as the web profile does.
fn links(workspace: &Workspace, rustc: &Path) -> Result<()> {
    let module = workspace.cache.join("wasm-std-probe.wasm");
    let mut command = Command::new(rustc);
    command
        .args(["--target", TARGET, "--crate-type=cdylib", "-Clto=fat", "-Cpanic=abort", "--crate-name=probe", "-o"])
        .arg(&module)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start rustc")?;
    let program = "#[unsafe(no_mangle)] pub extern \"C\" fn probe() { println!(\"{:?}\", std::env::args()); }";
    child.stdin.take().expect("stdin is piped").write_all(program.as_bytes())?;
    let status = child.wait()?;
    let _ = fs::remove_file(&module);
    if !status.success() {
        bail!("{RUSTC} cannot build for {TARGET}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version_numbers("1.100.0") > version_numbers("1.95"));
        assert!(version_numbers("1.95.0") >= version_numbers("1.95"));
        assert!(version_numbers("1.63.0") < version_numbers("1.95"));
    }

    #[test]
    fn fields_of_the_compilers_identity() {
        let identity = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\n";
        assert_eq!(field(identity, "host"), Some("x86_64-unknown-linux-gnu"));
        assert_eq!(field(identity, "release"), Some("1.96.0"));
        assert_eq!(field(identity, "LLVM version"), None);
    }
}

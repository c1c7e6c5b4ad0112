//! Keeps the shared target folders from growing for ever.
//!
//! Dependencies are built once whatever the checkout, but a workspace crate's artefacts are named by the path of its
//! checkout, so each fresh clone adds a set. When a folder is above its bound, artefacts of workspace crates go,
//! those not rebuilt for the longest first, until it is at half the bound; when dependencies alone are above that, the
//! whole folder goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::cargo::Metadata;
use crate::lock;
use crate::workspace::Workspace;

const GIB: u64 = 1 << 30;
/// Native: one set of dependencies with clippy's is about 5 GiB, a checkout's own artefacts about 1 GiB.
const NATIVE_LIMIT: u64 = 16 * GIB;
/// WebAssembly: fewer crates, smaller artefacts.
const WASM_LIMIT: u64 = 6 * GIB;

/// Prunes unless another xtask is building.
pub(crate) fn prune(workspace: &Workspace) -> Result<()> {
    let Some(_lock) = lock::try_exclusive(workspace, "build")? else { return Ok(()) };
    let metadata = Metadata::load(workspace)?;
    let crates: Vec<_> = metadata.members().map(|package| package.name.clone()).collect();
    prune_folder(&workspace.target(), NATIVE_LIMIT, &crates)?;
    prune_folder(&workspace.target_wasm(), WASM_LIMIT, &crates)?;
    prune_folder(&workspace.target_wasm_relaxed(), WASM_LIMIT, &crates)
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
    /// Whether removing it costs only a rebuild of our own crate.
    ours: bool,
}

fn prune_folder(target: &Path, limit: u64, crates: &[String]) -> Result<()> {
    let mut entries = Vec::new();
    collect(target, crates, &mut entries)?;
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    if total <= limit {
        return Ok(());
    }
    println!("{} is above {} GiB: removing the oldest artefacts of our crates", target.display(), limit / GIB);
    entries.retain(|entry| entry.ours);
    entries.sort_by_key(|entry| entry.modified);
    for entry in entries {
        if total <= limit / 2 {
            return Ok(());
        }
        remove(&entry.path)?;
        total -= entry.bytes;
    }
    if total > limit / 2 {
        remove(target)?;
    }
    Ok(())
}

/// Lists what may be removed as a unit: files of `deps`, folders of `.fingerprint` and `build`, other files.
fn collect(folder: &Path, crates: &[String], entries: &mut Vec<Entry>) -> Result<()> {
    let Ok(listing) = fs::read_dir(folder) else { return Ok(()) };
    let whole = matches!(folder.file_name().and_then(|name| name.to_str()), Some(".fingerprint" | "build"));
    for entry in listing.flatten() {
        let path = entry.path();
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() && !whole {
            collect(&path, crates, entries)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = if meta.is_dir() { folder_bytes(&path) } else { meta.len() };
        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let ours = is_ours(&name, crates) || (!whole && is_program(&name));
        entries.push(Entry { path, bytes, modified, ours });
    }
    Ok(())
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(listing) = fs::read_dir(folder) else { return 0 };
    listing
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, meta)| if meta.is_dir() { folder_bytes(&path) } else { meta.len() })
        .sum()
}

/// `libshoal_wire-<hash>.rlib`, `shoal-wire-<hash>` and the like belong to the crate `shoal-wire`.
fn is_ours(artefact: &str, crates: &[String]) -> bool {
    let stem = artefact.split('.').next().unwrap_or(artefact);
    let Some((stem, _hash)) = stem.rsplit_once('-') else { return false };
    let plain = stem.replace('-', "_");
    crates
        .iter()
        .map(|name| name.replace('-', "_"))
        .any(|name| plain == name || plain.strip_prefix("lib") == Some(&name))
}

/// Outside of build scripts' folders only our own programs and tests are linked.
fn is_program(file: &str) -> bool {
    !file.starts_with('.') && (!file.contains('.') || file.ends_with(".wasm"))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_belong_to_the_crate_they_are_named_for() {
        let crates = ["shoal-wire".to_owned(), "shoal".to_owned()];
        for ours in ["libshoal_wire-0a1b.rlib", "shoal-wire-0a1b", "shoal_wire-0a1b.d", "shoal-77"] {
            assert!(is_ours(ours, &crates), "{ours}");
        }
        for other in ["libprost-0a1b.rlib", "shoal-other-0a1b", "shoal"] {
            assert!(!is_ours(other, &crates), "{other}");
        }
        assert!(is_program("round_trip-0a1b") && is_program("round_trip-0a1b.wasm"));
        assert!(!is_program("libprost-0a1b.rlib") && !is_program(".cargo-lock"));
    }

    #[test]
    fn only_our_artefacts_go_and_only_above_the_limit() {
        let target = std::env::temp_dir().join(format!("xtask-prune-{}", std::process::id()));
        let deps = target.join("debug/deps");
        fs::create_dir_all(&deps).unwrap();
        fs::write(deps.join("libours-00.rlib"), vec![0; 600]).unwrap();
        fs::write(deps.join("libtheirs-00.rlib"), vec![0; 400]).unwrap();
        let crates = ["ours".to_owned()];
        prune_folder(&target, 1000, &crates).unwrap();
        assert!(deps.join("libours-00.rlib").exists());
        prune_folder(&target, 999, &crates).unwrap();
        assert!(!deps.join("libours-00.rlib").exists());
        assert!(deps.join("libtheirs-00.rlib").exists());
        prune_folder(&target, 300, &crates).unwrap();
        assert!(!target.exists());
    }
}

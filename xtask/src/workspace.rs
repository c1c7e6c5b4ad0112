//! Where things are: the checkout and the cache folder that all checkouts of one user share.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout that `cargo xtask` was called in, and the user's cache.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// Takes the root from Cargo, which says where the xtask it runs lies (one built in another checkout may be reused),
    /// and creates the cache folder.
    pub(crate) fn find() -> Result<Self> {
        let Some(xtask) = env::var_os("CARGO_MANIFEST_DIR") else { bail!("run it as `cargo xtask`") };
        let root = Path::new(&xtask).parent().expect("xtask lies in the root folder").to_owned();
        let cache = cache_folder(|name| env::var_os(name).filter(|value| !value.is_empty()))?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        Ok(Self { root, cache })
    }

    /// Builds for this machine.
    pub(crate) fn target(&self) -> PathBuf {
        self.cache.join("target")
    }

    /// Builds for WebAssembly, apart, so that the two never wait for each other's lock.
    pub(crate) fn target_wasm(&self) -> PathBuf {
        self.cache.join("target-wasm")
    }

    /// Builds for WebAssembly with relaxed SIMD, apart, because they share no artefact with the others.
    pub(crate) fn target_wasm_relaxed(&self) -> PathBuf {
        self.cache.join("target-wasm-relaxed")
    }

    /// A path below the root, as people write it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    if let Some(folder) = variable("SHOAL_CACHE") {
        return Ok(std::path::absolute(folder)?);
    }
    if let Some(folder) = variable("XDG_CACHE_HOME") {
        return Ok(Path::new(&folder).join("shoal"));
    }
    match variable("HOME") {
        Some(home) => Ok(Path::new(&home).join(".cache/shoal")),
        None => bail!("no HOME to keep a cache in: set SHOAL_CACHE to a folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(set: &[(&str, &str)]) -> Option<PathBuf> {
        cache_folder(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())).ok()
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let home = ("HOME", "/home/a");
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(folder(&[home]), Some("/home/a/.cache/shoal".into()));
        assert_eq!(folder(&[home, xdg]), Some("/x/shoal".into()));
        assert_eq!(folder(&[home, xdg, ("SHOAL_CACHE", "/s")]), Some("/s".into()));
        assert_eq!(folder(&[]), None);
    }
}

//! Locks between xtasks of one user: two must not set the same machine up at once, nor prune what the other builds.

use std::fs::{File, TryLockError};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// Held until dropped, or until the process ends in whatever way.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

/// Waits until no other xtask holds `name`, saying so when it has to wait.
pub(crate) fn exclusive(workspace: &Workspace, name: &str) -> Result<Lock> {
    let file = open(workspace, name)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        println!("waiting for another xtask ({name})");
        file.lock().with_context(|| format!("cannot lock {name}"))?;
    }
    Ok(Lock(file))
}

/// Shares `name` with others that share it.
pub(crate) fn shared(workspace: &Workspace, name: &str) -> Result<Lock> {
    let file = open(workspace, name)?;
    file.lock_shared().with_context(|| format!("cannot lock {name}"))?;
    Ok(Lock(file))
}

/// Takes `name` only if nobody has it.
pub(crate) fn try_exclusive(workspace: &Workspace, name: &str) -> Result<Option<Lock>> {
    let file = open(workspace, name)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {name}")),
    }
}

fn open(workspace: &Workspace, name: &str) -> Result<File> {
    let path = workspace.cache.join(format!("{name}.lock"));
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(&path).with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusive_lock_excludes() {
        let cache = std::env::temp_dir().join(format!("xtask-lock-{}", std::process::id()));
        std::fs::create_dir_all(&cache).unwrap();
        let workspace = Workspace { root: cache.clone(), cache: cache.clone() };
        let sharing = shared(&workspace, "a").unwrap();
        assert!(try_exclusive(&workspace, "a").unwrap().is_none());
        assert!(try_exclusive(&workspace, "b").unwrap().is_some());
        drop(sharing);
        assert!(try_exclusive(&workspace, "a").unwrap().is_some());
        std::fs::remove_dir_all(cache).unwrap();
    }
}

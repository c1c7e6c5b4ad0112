//! Where the anvil binary is.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Environment variable that names the binary and overrules the search.
pub const ANVIL_ENV: &str = "SHOAL_ANVIL";

/// No anvil on this machine. Shown to people, so it says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The variable names a file that is not there.
    #[error("{ANVIL_ENV} names {}, which is not a file", path.display())]
    Named {
        /// As given.
        path: PathBuf,
    },
    /// It is nowhere.
    #[error("no anvil in node_modules of {} or above, nor in PATH; `npm ci` installs it, or set {ANVIL_ENV}", from.display())]
    Anywhere {
        /// Where the search began.
        from: PathBuf,
    },
}

/// Looks in `SHOAL_ANVIL`, in the npm packages installed in the working directory or above it, and in `PATH`.
pub fn find() -> Result<PathBuf, NotFound> {
    let from = env::current_dir().unwrap_or_default();
    search(env::var_os(ANVIL_ENV).map(PathBuf::from), &from, env::var_os("PATH").unwrap_or_default().as_os_str())
}

fn search(named: Option<PathBuf>, from: &Path, path: &std::ffi::OsStr) -> Result<PathBuf, NotFound> {
    if let Some(path) = named {
        return if path.is_file() { Ok(path) } else { Err(NotFound::Named { path }) };
    }
    let binary = format!("anvil{}", env::consts::EXE_SUFFIX);
    // The platform's package holds the binary itself; `.bin/anvil` is a script that needs Node and starts it.
    let packaged = Path::new("node_modules/@foundry-rs").join(platform_package()).join("bin").join(&binary);
    let linked = Path::new("node_modules/.bin").join(&binary);
    let installed = from.ancestors().flat_map(|folder| [folder.join(&packaged), folder.join(&linked)]);
    let mut candidates = installed.chain(env::split_paths(path).map(|folder| folder.join(&binary)));
    candidates.find(|path| path.is_file()).ok_or_else(|| NotFound::Anywhere { from: from.to_owned() })
}

/// npm's and Foundry's words for this platform.
fn platform_package() -> String {
    let system = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("anvil-{system}-{processor}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_nearest_installation_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        let elsewhere = root.path().join("elsewhere");
        for folder in [&deep, &elsewhere] {
            fs::create_dir_all(folder).unwrap();
        }
        assert_eq!(search(None, &deep, elsewhere.as_os_str()), Err(NotFound::Anywhere { from: deep.clone() }));

        let in_path = elsewhere.join(format!("anvil{}", env::consts::EXE_SUFFIX));
        fs::write(&in_path, "").unwrap();
        assert_eq!(search(None, &deep, elsewhere.as_os_str()), Ok(in_path.clone()));

        let bin = root.path().join("node_modules/@foundry-rs").join(platform_package()).join("bin");
        fs::create_dir_all(&bin).unwrap();
        let packaged = bin.join(in_path.file_name().unwrap());
        fs::write(&packaged, "").unwrap();
        assert_eq!(search(None, &deep, elsewhere.as_os_str()), Ok(packaged));
        assert_eq!(search(Some(in_path.clone()), &deep, elsewhere.as_os_str()), Ok(in_path));
        let path = deep.join("gone");
        assert_eq!(search(Some(path.clone()), &deep, elsewhere.as_os_str()), Err(NotFound::Named { path }));
    }
}

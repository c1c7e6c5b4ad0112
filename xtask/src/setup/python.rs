//! A Python with numpy, for the evaluation that shares no code with us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Ready, debian, doing, ready};
use crate::exec;
use crate::workspace::Workspace;

/// The newest numpy that each Python has ready-made wheels of.
const REQUIREMENTS: [&str; 3] = [
    "numpy==2.0.2; python_version < '3.10'",
    "numpy==2.2.6; python_version == '3.10'",
    "numpy==2.3.5; python_version >= '3.11'",
];

/// A virtual environment in the cache with the pinned numpy.
pub(super) fn ensure(workspace: &Workspace) -> Result<Ready<PathBuf>> {
    let home = workspace.cache.join("python");
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let wanted = REQUIREMENTS.join("\n") + "\n";
    let built_with = fs::read_to_string(&stamp).unwrap_or_default();
    if built_with == wanted
        && let Ok(version) = numpy(&python)
    {
        return ready(python, version);
    }
    let system = system()?;
    doing("creating a Python environment with numpy");
    let _ = fs::remove_dir_all(&home);
    create(&system, &home)?;
    let requirements = home.join("wanted.txt");
    fs::write(&requirements, &wanted)?;
    exec::run(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", "-r"]).arg(&requirements),
    )
    .context("pip could not install numpy from PyPI")?;
    let version = numpy(&python)?;
    fs::rename(&requirements, &stamp)?;
    ready(python, version)
}

/// The machine's own Python.
pub(super) fn system() -> Result<PathBuf> {
    match exec::find_program(&["python3", "python"]) {
        Some(system) => Ok(system),
        None => bail!("Python 3 is missing: sudo apt-get install -y python3 python3-venv, or https://www.python.org"),
    }
}

/// Debian ships Python without the part that creates environments.
pub(super) fn create(system: &Path, home: &Path) -> Result<()> {
    let venv = || exec::output(Command::new(system).args(["-m", "venv"]).arg(home));
    let Err(error) = venv() else { return Ok(()) };
    if !debian::is_debian() {
        return Err(error);
    }
    debian::install(&["python3-venv"]).with_context(|| error.to_string())?;
    venv()?;
    Ok(())
}

/// Its version, if it can be imported.
fn numpy(python: &Path) -> Result<String> {
    let program = "import sys, numpy; print('Python %d.%d' % sys.version_info[:2], 'with numpy', numpy.__version__)";
    Ok(exec::output(Command::new(python).args(["-c", program]))?.trim().to_owned())
}

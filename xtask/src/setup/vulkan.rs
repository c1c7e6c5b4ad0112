//! A Vulkan driver for the GPU tests outside browsers: any, or Mesa's, which computes on the CPU. Nothing else needs it, so a
//! machine without one passes the set-up, and those tests say that they were skipped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Ready, debian, ready};

const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];
/// Where Vulkan's loader looks for manifests of drivers.
const FOLDERS: [&str; 3] = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const REMEDY: &str =
    "install a GPU's driver or Mesa's (on Debian: sudo apt-get install -y libvulkan1 mesa-vulkan-drivers)";

pub(super) fn ensure() -> Result<Ready<()>> {
    if cfg!(any(target_os = "macos", windows)) {
        return ready((), "none needed here: the system's own GPU driver is used");
    }
    let mut why = String::new();
    if find().is_empty()
        && debian::is_debian()
        && let Err(error) = debian::install(&PACKAGES)
    {
        why = format!(" ({error:#})");
    }
    let found = find();
    if found.is_empty() {
        return ready((), format!("none{why}, so the GPU tests outside browsers are skipped; to have them: {REMEDY}"));
    }
    let names: Vec<_> = found.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    ready((), names.join(", "))
}

/// Manifests of drivers.
fn find() -> Vec<PathBuf> {
    if let Some(named) = env::var_os("VK_DRIVER_FILES").or_else(|| env::var_os("VK_ICD_FILENAMES")) {
        return env::split_paths(&named).filter(|path| path.is_file()).collect();
    }
    let mut found: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| manifests(Path::new(folder))).collect();
    found.sort();
    found
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

//! Firefox, for the tests of the transport in a second browser. Nothing else needs it, so a machine without one passes the
//! set-up, and those tests say that they were skipped.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Ready, debian, ready};
use crate::exec;

const PACKAGES: [&str; 1] = ["firefox-esr"];
const NAMES: [&str; 2] = ["firefox-esr", "firefox"];
const MAC: &str = "/Applications/Firefox.app/Contents/MacOS/firefox";
const REMEDY: &str = "install Firefox (on Debian: sudo apt-get install -y firefox-esr), or set FIREFOX to it; without an \
                      installation: npx @puppeteer/browsers install firefox@stable";

pub(super) fn ensure() -> Result<Ready<Option<PathBuf>>> {
    let mut why = String::new();
    if find().is_none()
        && debian::is_debian()
        && let Err(error) = debian::install(&PACKAGES)
    {
        why = format!(" ({error:#})");
    }
    let Some(firefox) = find() else {
        return ready(None, format!("none{why}, so its tests are skipped; to have them: {REMEDY}"));
    };
    Ok(match exec::output(Command::new(&firefox).arg("--version")) {
        Ok(version) => Ready { note: format!("{} ({})", firefox.display(), version.trim()), value: Some(firefox) },
        Err(error) => Ready {
            note: format!(
                "{} does not answer --version ({error:#}), so its tests are skipped; {REMEDY}",
                firefox.display()
            ),
            value: None,
        },
    })
}

fn find() -> Option<PathBuf> {
    let mac = Path::new(MAC);
    env::var_os("FIREFOX")
        .map(PathBuf::from)
        .or_else(|| exec::find_program(&NAMES))
        .or_else(|| mac.exists().then(|| mac.to_owned()))
}

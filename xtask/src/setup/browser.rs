//! Chromium and the driver of the same version: found, else Debian's packages, else the remedy.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Ready, debian, ready};
use crate::exec;

const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// A browser and what drives it.
pub(crate) struct Browser {
    pub(crate) chrome: PathBuf,
    pub(crate) chromedriver: PathBuf,
}

pub(super) fn ensure() -> Result<Ready<Browser>> {
    if find().is_none() && debian::is_debian() {
        debian::install(&PACKAGES)?;
    }
    let Some(browser) = find() else { bail!("{}", remedy(find_chrome().as_deref())) };
    let (chrome, driver) = (major(&browser.chrome)?, major(&browser.chromedriver)?);
    if chrome != driver {
        bail!(
            "{} is version {chrome}, but {} is {driver}; {}",
            browser.chrome.display(),
            browser.chromedriver.display(),
            remedy(Some(&browser.chrome))
        );
    }
    let note = format!("{} {chrome} and its driver", browser.chrome.display());
    ready(browser, note)
}

fn find() -> Option<Browser> {
    let chromedriver = env::var_os("CHROMEDRIVER").map(PathBuf::from).or_else(|| exec::find_program(&["chromedriver"]));
    Some(Browser { chrome: find_chrome()?, chromedriver: chromedriver? })
}

fn find_chrome() -> Option<PathBuf> {
    let mac = Path::new(MAC);
    env::var_os("CHROME")
        .map(PathBuf::from)
        .or_else(|| exec::find_program(&NAMES))
        .or_else(|| mac.exists().then(|| mac.to_owned()))
}

fn remedy(chrome: Option<&Path>) -> String {
    match chrome.map(|chrome| (chrome, major(chrome))) {
        Some((_, Ok(major))) => format!(
            "get the driver of your browser's version: npx @puppeteer/browsers install chromedriver@{major}, then set \
             CHROMEDRIVER to the path it prints"
        ),
        Some((chrome, Err(error))) => format!("CHROME={} does not answer --version: {error:#}", chrome.display()),
        None => "install Chromium or Chrome and its chromedriver, or set CHROME and CHROMEDRIVER to them; without an \
                 installation: npx @puppeteer/browsers install chrome@stable, and the same for chromedriver@stable"
            .into(),
    }
}

fn major(program: &Path) -> Result<u32> {
    let printed = exec::output(Command::new(program).arg("--version"))?;
    major_in(&printed).with_context(|| format!("{} --version printed {printed:?}", program.display()))
}

/// The first number of the version in "Chromium 156.0.1.2 built on Debian" or "ChromeDriver 156.0.1.2 (…)".
fn major_in(printed: &str) -> Option<u32> {
    printed.split_whitespace().find_map(|word| word.split_once('.')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_found_in_what_browsers_print() {
        assert_eq!(major_in("Chromium 156.0.7000.1 built on Debian GNU/Linux 12\n"), Some(156));
        assert_eq!(major_in("ChromeDriver 155.0.1.2 (abc-refs/branch-heads/7@{#1})"), Some(155));
        assert_eq!(major_in("no version"), None);
    }
}

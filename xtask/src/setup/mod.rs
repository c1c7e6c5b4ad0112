//! Installs what is missing, says what it does, and where it cannot install prints the exact remedy.
//!
//! Every step looks first and is quick when there is nothing to do, so that `test`, `demo` and `web` simply call it.
//! The only things expected on the machine are Rust and Node.

mod aarch64;
mod browser;
mod debian;
mod debian_std;
mod firefox;
mod npm;
mod onnx;
mod python;
mod vulkan;
mod wasm_bindgen;
mod wasm_target;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

pub(crate) use aarch64::Aarch64;
pub(crate) use browser::Browser;
pub(crate) use wasm_target::{Simd, WasmToolchain};

use crate::lock;
use crate::workspace::Workspace;
use crate::{exec, no_arguments};

/// What compiles the browser side.
pub(crate) struct WebTools {
    pub(crate) wasm: WasmToolchain,
    /// The folder with `wasm-bindgen` and `wasm-bindgen-test-runner` of the pinned version.
    pub(crate) bindgen: PathBuf,
}

/// Everything that the tests and the demo use.
pub(crate) struct Tools {
    pub(crate) web: WebTools,
    pub(crate) browser: Browser,
    /// A second browser, where there is one.
    pub(crate) firefox: Option<PathBuf>,
    /// A processor of another make, where one can be emulated.
    pub(crate) aarch64: Option<Aarch64>,
    /// A Python with numpy.
    pub(crate) python: PathBuf,
}

impl Tools {
    /// Tells a child where the tools are: the names that the end-to-end tests and the demo read.
    pub(crate) fn describe_to(&self, workspace: &Workspace, command: &mut Command) -> Result<()> {
        command
            .env("CHROME", &self.browser.chrome)
            .env("CHROMEDRIVER", &self.browser.chromedriver)
            .env("SHOAL_PYTHON", &self.python)
            .env("PATH", exec::path_with(&workspace.root.join("node_modules/.bin"))?);
        match &self.firefox {
            Some(firefox) => command.env("FIREFOX", firefox),
            // Empty says that the set-up has looked for one already.
            None => command.env("FIREFOX", ""),
        };
        Ok(())
    }
}

pub(crate) fn command(workspace: &Workspace, args: Vec<OsString>) -> Result<ExitCode> {
    no_arguments(&args)?;
    all(workspace)?;
    println!("everything is there; next: cargo xtask demo");
    Ok(ExitCode::SUCCESS)
}

/// All steps. A step that fails does not hide what the others would say.
pub(crate) fn all(workspace: &Workspace) -> Result<Tools> {
    let _lock = lock::exclusive(workspace, "setup")?;
    let wasm = step("wasm target", wasm_target::ensure(workspace));
    let bindgen = step("wasm-bindgen", wasm_bindgen::ensure(workspace));
    let npm = step("npm packages", npm::ensure(workspace));
    let browser = step("browser", browser::ensure());
    let firefox = step("firefox", firefox::ensure());
    let vulkan = step("vulkan driver", vulkan::ensure());
    let aarch64 = step("aarch64", aarch64::ensure());
    let python = step("python", python::ensure(workspace));
    let onnx = step("onnx test data", onnx::ensure(workspace));
    let complete = || {
        let ((), (), ()) = (npm?, vulkan?, onnx?);
        let web = WebTools { wasm: wasm?, bindgen: bindgen? };
        Some(Tools { web, browser: browser?, firefox: firefox?, aarch64: aarch64?, python: python? })
    };
    complete().context("the set-up is not complete; the lines marked ✗ say what to do")
}

/// The steps that a build for the browser needs.
pub(crate) fn web(workspace: &Workspace) -> Result<WebTools> {
    let _lock = lock::exclusive(workspace, "setup")?;
    let wasm = step("wasm target", wasm_target::ensure(workspace));
    let bindgen = step("wasm-bindgen", wasm_bindgen::ensure(workspace));
    let npm = step("npm packages", npm::ensure(workspace));
    match (wasm, bindgen, npm) {
        (Some(wasm), Some(bindgen), Some(())) => Ok(WebTools { wasm, bindgen }),
        _ => bail!("the set-up is not complete; the lines marked ✗ say what to do"),
    }
}

/// What a step found or made, and how to say it.
struct Ready<T> {
    value: T,
    note: String,
}

fn ready<T>(value: T, note: impl Into<String>) -> Result<Ready<T>> {
    Ok(Ready { value, note: note.into() })
}

fn step<T>(name: &str, result: Result<Ready<T>>) -> Option<T> {
    match result {
        Ok(Ready { value, note }) => {
            println!("✓ {name}: {note}");
            Some(value)
        }
        Err(error) => {
            println!("✗ {name}: {error:#}");
            None
        }
    }
}

/// Announces something that takes long before it starts.
fn doing(what: &str) {
    println!("… {what}");
}

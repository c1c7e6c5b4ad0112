//! The only build logic of the project: what a fresh machine needs, the tests, the demo, the benches and the rules that
//! a compiler does not check. `.ci/run` and the README call nothing else.
//!
//! It is built in every fresh clone before anything else can start, hence few dependencies. What it builds itself goes
//! into one cache folder per user (see [`workspace`]), so that a second clone starts warm.

mod bench;
mod cargo;
mod counts;
mod demo;
mod exec;
mod http_server;
mod inspect;
mod lock;
mod phases;
mod prune;
mod readme;
mod runner;
mod scale;
mod setup;
mod soak;
mod test;
mod tidy;
mod transport;
mod wasm_tests;
mod web;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask <command>

  setup                     install what is missing: wasm target, wasm-bindgen, npm packages, Chromium, numpy
  demo [--keep] [--json F]  the whole thing: relay, tabs and a native worker train a model and are paid
  test [PHASE...]           every test, or the named phases; `test --list` names them
  tidy                      formatting, lints and the project's own rules
  web [--release] [--features F] [--out DIR]
                            the browser side: wasm, its bindings, the npm package and the page
  bench [NAME] [ARGS...]    a benchmark (a `bench_*` example of a crate); without a name, lists them
  soak [--quick] [--seed N] [--json F] [--only PART]
                            many peers at one relay, half of them rude: what is left behind, and what they cost
  scale [--quick] [--json F]
                            how training scales with workers behind home lines, and at which model sizes it pays

environment
  SHOAL_CACHE               where tools and builds are kept (else XDG_CACHE_HOME/shoal, else ~/.cache/shoal)
  SHOAL_WASM_RUSTC          the rustc that builds WebAssembly, instead of the one that setup finds
  CHROME, CHROMEDRIVER      the browser and its driver, instead of the ones on PATH
";

type Run = fn(&Workspace, Vec<OsString>) -> Result<ExitCode>;

/// What can be asked for.
const COMMANDS: [(&str, Run); 8] = [
    ("setup", setup::command),
    ("demo", demo::command),
    ("test", test::command),
    ("tidy", tidy::command),
    ("web", web::command),
    ("bench", bench::command),
    ("soak", soak::command),
    ("scale", scale::command),
];

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Vec<OsString>) -> Result<ExitCode> {
    if args.is_empty() || args.iter().take(2).any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.remove(0);
    let Some((_, command)) = COMMANDS.iter().find(|(known, _)| name == *known) else {
        let names: Vec<_> = COMMANDS.iter().map(|(known, _)| *known).collect();
        bail!("no command {name:?}; there are: {}", names.join(", "));
    };
    command(&Workspace::find()?, args)
}

/// Refuses arguments where a command takes none.
fn no_arguments(args: &[OsString]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(arg) => bail!("unexpected argument {arg:?}"),
    }
}

//! The `shoal` command: runs a swarm, submits jobs to it, runs models on it, works for it, and deals with rewards.
//!
//! People get sentences and progress bars; `--json` gives machines one JSON object a line on standard output. Exit codes:
//! 0 done, 1 something here failed, 2 misused, 3 an input is wrong, 4 the relay could not be asked or refused, 5 the job
//! did not finish, 6 the relay does not want this worker, 7 the chain failed.

mod args;
mod error;
mod files;
mod job;
mod link;
mod map;
mod model;
mod output;
mod relay_api;
mod rewards;
mod rows;
mod search;
mod units;
mod up;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Args, Command},
    error::CliError,
    output::Output,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    let filter = tracing_subscriber::EnvFilter::try_from_env("SHOAL_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives threads");
    match runtime.block_on(run(args, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(args: Args, output: &Output) -> Result<(), CliError> {
    match args.command {
        Command::Up(up) => up::run(up, output).await,
        Command::Job(command) => job::run(command, output).await,
        Command::Map(map) => map::run(map, output).await,
        Command::Model(command) => model::run(command, output).await,
        Command::Search(search) => search::run(search, output).await,
        Command::Work(work) => work::run(work, output).await,
        Command::Chain(command) => rewards::chain(command, output).await,
        Command::Rewards(command) => rewards::rewards(command, output).await,
    }
}

//! `shoal model`: what a model file needs, and running it here.

pub(crate) mod args;
pub(crate) mod file;
mod inspect;
mod measure;
mod quantize;
mod report;
mod run;

use crate::{args::ModelCommand, error::CliError, output::Output};

/// Off the runtime's threads: a model computes for as long as it likes.
pub(crate) async fn run(command: ModelCommand, output: &Output) -> Result<(), CliError> {
    let output = *output;
    let computed = tokio::task::spawn_blocking(move || match command {
        ModelCommand::Inspect { model, weights, size } => inspect::inspect(&model, &weights.weights, &size, output),
        ModelCommand::Run(args) => run::run(&args, output),
        ModelCommand::Quantize(args) => quantize::run(&args, output),
    });
    computed.await.expect("a command does not panic")
}

//! `shoal-relay`: runs a relay, or explains its settings.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use shoal_relay::{
    config::{Config, Layer, LogFormat, Resolved, resolve},
    relay::Relay,
};
use tracing_subscriber::EnvFilter;

/// The relay of a Shoal swarm: jobs in, work units out to volunteers, results checked, models and receipts back.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// TOML file with settings; flags and environment variables win over it
    #[arg(long, env = "SHOAL_RELAY_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Layer,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the relay (what it does without a command)
    Run,
    /// About settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints each setting with its effective value and where it came from
    Explain,
}

fn main() -> ExitCode {
    let matches = Args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Global settings may stand after a command, and then their sources are in its matches.
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let resolved = match resolve(args.settings, innermost, args.config.as_deref()) {
        Ok(resolved) => resolved,
        Err(error) => {
            eprintln!("shoal-relay: {error}");
            return ExitCode::FAILURE;
        }
    };
    match args.command {
        Some(Command::Config { command: ConfigCommand::Explain }) => explain(&resolved),
        Some(Command::Run) | None => run(resolved.config),
    }
}

fn explain(resolved: &Resolved) -> ExitCode {
    let width = resolved.explained.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for setting in &resolved.explained {
        println!("{:width$} = {}  ({})", setting.key, setting.value, setting.source);
    }
    ExitCode::SUCCESS
}

fn run(config: Config) -> ExitCode {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|error| {
        eprintln!("shoal-relay: log_filter {:?}: {error}; using info", config.log_filter);
        EnvFilter::new("info")
    });
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    let runtime = tokio::runtime::Runtime::new().expect("the operating system gives threads");
    let ended = runtime.block_on(async {
        // Taken before anything else, so that an early signal is not lost.
        let stop = stop_signal()?;
        Relay::start(config).await?.run_until(stop).await
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "relay failed");
            ExitCode::FAILURE
        }
    }
}

/// Done when the relay is asked to stop: an interrupt at the terminal, or the system's polite signal.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

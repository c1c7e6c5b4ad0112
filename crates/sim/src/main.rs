//! Plays simulations from seeds and prints what happened.

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use shoal_sim::{Figures, Scenario, simulate_watched};

/// Plays the work protocol against a seeded network and adversaries.
#[derive(Parser)]
#[command(name = "shoal-sim")]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds to play, one after another.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Number of workers; the seed's own choice if not given.
    #[arg(long)]
    workers: Option<usize>,
    /// Print every input and output of the coordinator with its virtual time.
    #[arg(long)]
    trace: bool,
    /// Print the summed figures as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Arguments { seed, seeds, workers, trace, json } = Arguments::parse();
    let mut total = Figures { seed, ..Figures::default() };
    for seed in seed..seed.saturating_add(seeds) {
        let mut watch = |at_ms: u64, what: &dyn std::fmt::Debug| {
            if trace {
                eprintln!("{at_ms:>8} ms  {what:?}");
            }
        };
        match simulate_watched(&Scenario::from_seed(seed, workers), &mut watch) {
            Ok(figures) => total.add(&figures),
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    let text =
        if json { serde_json::to_string_pretty(&total).expect("figures are plain numbers") } else { table(&total) };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn table(figures: &Figures) -> String {
    let mut lines = vec![
        format!(
            "{} units accepted in {} rounds of {} jobs; {} leases, {} withdrawn; {} relay restarts; {} s of virtual time",
            figures.units,
            figures.rounds,
            figures.jobs,
            figures.leases,
            figures.leases_withdrawn,
            figures.relay_restarts,
            figures.virtual_ms / 1000
        ),
        format!(
            "{:<20}{:>8}{:>8}{:>9}{:>10}{:>9}{:>8}",
            "behaviour", "workers", "leases", "accepted", "confirmed", "rejected", "refused"
        ),
    ];
    for (behaviour, count) in &figures.behaviours {
        lines.push(format!(
            "{:<20}{:>8}{:>8}{:>9}{:>10}{:>9}{:>8}",
            format!("{behaviour:?}"),
            count.workers,
            count.leases,
            count.accepted,
            count.confirmed,
            count.rejected,
            count.refused
        ));
    }
    lines.join("\n")
}

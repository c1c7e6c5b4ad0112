//! Plays simulations from seeds and prints what happened.

use clap::Parser;
use shoal_sim::{Figures, Scenario, simulate};

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
    /// Print the summed figures as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> std::process::ExitCode {
    let Arguments { seed, seeds, workers, json } = Arguments::parse();
    let mut total = Figures { seed, ..Figures::default() };
    for seed in seed..seed.saturating_add(seeds) {
        match simulate(&Scenario::from_seed(seed, workers)) {
            Ok(figures) => total.add(&figures),
            Err(violation) => {
                eprintln!("seed {seed}: {violation}");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&total).expect("figures are plain numbers"));
    } else {
        print(&total);
    }
    std::process::ExitCode::SUCCESS
}

fn print(figures: &Figures) {
    println!(
        "{} units accepted in {} rounds of {} jobs; {} leases, {} withdrawn; {} relay restarts; {} s of virtual time",
        figures.units,
        figures.rounds,
        figures.jobs,
        figures.leases,
        figures.leases_withdrawn,
        figures.relay_restarts,
        figures.virtual_ms / 1000
    );
    println!(
        "{:<20}{:>8}{:>8}{:>9}{:>10}{:>9}{:>8}",
        "", "workers", "leases", "accepted", "confirmed", "rejected", "refused"
    );
    for (behaviour, count) in &figures.behaviours {
        println!(
            "{:<20}{:>8}{:>8}{:>9}{:>10}{:>9}{:>8}",
            format!("{behaviour:?}"),
            count.workers,
            count.leases,
            count.accepted,
            count.confirmed,
            count.rejected,
            count.refused
        );
    }
}

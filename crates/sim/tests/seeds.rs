//! Hundreds of seeds: every job finishes, each unit is accepted once, only right outputs are, and no liar is paid.

use shoal_sim::{Behaviour, Figures, Scenario, simulate};

/// Says how to replay a seed when the test fails, however it fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: cargo run -p shoal-sim -- --trace --seed {}", self.0);
        }
    }
}

fn play(seed: u64) -> Figures {
    let _replay = Replay(seed);
    match simulate(&Scenario::from_seed(seed, None)) {
        Ok(figures) => figures,
        Err(violation) => panic!("seed {seed}: {violation}"),
    }
}

#[test]
fn every_seed_keeps_every_promise() {
    let mut total = Figures::default();
    for seed in 0..1000 {
        total.add(&play(seed));
    }
    // The promises are checked in every run; here, that the runs were worth it.
    let got = |behaviour: Behaviour| total.behaviours[&behaviour];
    for behaviour in Behaviour::ADVERSARIES {
        assert!(got(behaviour).leases > 0, "{behaviour:?} was never given a lease");
    }
    for behaviour in [
        Behaviour::SometimesWrong,
        Behaviour::WrongResult,
        Behaviour::CommitmentMismatch,
        Behaviour::CopiedCommitment,
        Behaviour::Replay,
    ] {
        assert!(got(behaviour).rejected > 0, "{behaviour:?} was never caught");
    }
    assert!(got(Behaviour::SometimesWrong).accepted > 0, "what it does right is paid");
    assert!(got(Behaviour::Honest).confirmed > 0, "replicas were confirmed");
    assert!(total.relay_restarts > 100 && total.messages_lost > 1000, "{total:?}");
    assert!(total.leases_withdrawn > 1000 && total.messages_refused > 1000, "{total:?}");
}

/// The checker of each run holds the outputs of a round to the order of its units.
#[test]
fn map_jobs_keep_every_shard_once_and_in_order() {
    let mut total = Figures::default();
    for seed in 0..50 {
        let _replay = Replay(seed);
        let mut scenario = Scenario::from_seed(seed, None);
        for job in &mut scenario.jobs {
            // One round of exact units, more than any training round of a seed has.
            (job.rounds, job.units, job.tolerant_every) = (1, 60, 0);
        }
        let figures = simulate(&scenario).unwrap();
        let jobs = scenario.jobs.len() as u64;
        assert_eq!((figures.jobs, figures.rounds, figures.units), (jobs, jobs, 60 * jobs));
        total.add(&figures);
    }
    assert!(total.relay_restarts > 10 && total.leases_withdrawn > 100, "{total:?}");
}

#[test]
fn a_seed_replays_bit_for_bit() {
    assert_eq!(play(7), play(7));
    assert_ne!(play(7), play(8));
}

#[test]
fn a_crowd_finishes_as_well() {
    let scenario = Scenario::from_seed(1, Some(120));
    let figures = simulate(&scenario).unwrap();
    assert_eq!(figures.jobs, scenario.jobs.len() as u64);
}

//! What a seed stands for: the jobs, the workers with their behaviours, and how bad the network and the relay are.

use serde::Serialize;
use shoal_mesh::{Owner, RoundPlan, UnitPlan, WorkerProfile};
use shoal_wire::{
    ids::{JobId, NodeId, UnitId, domain_hash},
    proto::{Backend, Class},
};

use crate::rng::Rng;

/// What a worker does with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Computes and delivers.
    Honest,
    /// Computes and delivers, but one output in five is wrong.
    SometimesWrong,
    /// Delivers a wrong output, properly committed.
    WrongResult,
    /// Reveals another output than it committed to.
    CommitmentMismatch,
    /// Copies another replica's commitment, then its output.
    CopiedCommitment,
    /// Commits only after it has seen another replica's output.
    WaitsAndCopies,
    /// Delivers outputs of other units, on this lease and on leases that are used up or not its own.
    Replay,
    /// Takes leases and says nothing more.
    Silent,
    /// Takes leases and gives them back.
    Returns,
}

impl Behaviour {
    /// Every behaviour but honesty.
    pub const ADVERSARIES: [Self; 8] = [
        Self::SometimesWrong,
        Self::WrongResult,
        Self::CommitmentMismatch,
        Self::CopiedCommitment,
        Self::WaitsAndCopies,
        Self::Replay,
        Self::Silent,
        Self::Returns,
    ];

    /// Whether it ever does the work, and so may be paid for some of it.
    pub fn ever_computes(self) -> bool {
        matches!(self, Self::Honest | Self::SometimesWrong)
    }
}

/// One worker.
#[derive(Clone, Debug)]
pub struct WorkerScenario {
    /// Its id.
    pub node: NodeId,
    /// What it does.
    pub behaviour: Behaviour,
    /// What it tells the relay.
    pub profile: WorkerProfile,
    /// Time to compute a unit, milliseconds.
    pub compute_ms: u64,
    /// When it first comes, milliseconds.
    pub joins_ms: u64,
    /// Mean time until it drops out, milliseconds; 0: never.
    pub lifetime_ms: u64,
    /// Leases it asks for at a time.
    pub asks_for: u32,
}

/// One job.
#[derive(Clone, Debug)]
pub struct JobScenario {
    /// Its id.
    pub job: JobId,
    /// Its rounds.
    pub rounds: u32,
    /// Units in each round.
    pub units: u32,
    /// Replicas of each unit.
    pub replicas: u32,
    /// Time of a lease, milliseconds.
    pub lease_ms: u32,
    /// Largest share of one worker, thousandths.
    pub share_permille: u32,
    /// One unit in this many is tolerant; 0: none.
    pub tolerant_every: u32,
    /// When it starts, milliseconds.
    pub starts_ms: u64,
}

/// Everything a simulation is drawn from.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed, for replaying.
    pub seed: u64,
    /// The jobs.
    pub jobs: Vec<JobScenario>,
    /// The workers.
    pub workers: Vec<WorkerScenario>,
    /// Slowest delivery of a message, milliseconds.
    pub latency_ms: u64,
    /// Messages lost, thousandths.
    pub loss_permille: u64,
    /// Messages delivered twice, thousandths.
    pub repeat_permille: u64,
    /// Slowest verdict, milliseconds.
    pub verdict_ms: u64,
    /// When the relay is killed, milliseconds.
    pub kills_ms: Vec<u64>,
}

/// Honest workers that stay. With fewer owners than replicas a group waits for its patience each time.
const STEADY_WORKERS: usize = 3;

impl Scenario {
    /// The scenario of a seed; `workers` overrides how many there are (at least the honest ones that stay).
    pub fn from_seed(seed: u64, workers: Option<usize>) -> Self {
        let mut rng = Rng::new(seed);
        let count = workers.unwrap_or(rng.range(4, 14) as usize).max(STEADY_WORKERS);
        let workers = (0..count).map(|number| worker(&mut rng, number)).collect();
        let jobs = (0..rng.range(1, 3)).map(|number| job(&mut rng, number)).collect();
        let bad_network = rng.chance(500);
        Self {
            seed,
            jobs,
            workers,
            latency_ms: rng.range(5, 400),
            loss_permille: if bad_network { rng.range(1, 150) } else { 0 },
            repeat_permille: if bad_network { rng.range(0, 150) } else { 0 },
            verdict_ms: rng.range(1, 2_000),
            kills_ms: (0..rng.range(0, 3)).map(|_| rng.range(100, 60_000)).collect(),
        }
    }
}

impl JobScenario {
    /// The plan of one of its rounds.
    pub fn plan(&self, round: u32) -> RoundPlan {
        let unit = |index: u32| {
            let tolerant = self.tolerant_every > 0 && index.is_multiple_of(self.tolerant_every);
            UnitPlan {
                unit: UnitId(domain_hash("shoal/sim/unit", &[&self.job.0, &round.to_le_bytes(), &index.to_le_bytes()])),
                class: if tolerant { Class::Tolerant } else { Class::Exact },
                reference_ops: 1_000 + u64::from(index),
                memory_bytes: 1_000,
            }
        };
        RoundPlan {
            job: self.job,
            round,
            units: (0..self.units).map(unit).collect(),
            replicas: self.replicas,
            lease_duration_ms: self.lease_ms,
            max_worker_share_permille: self.share_permille,
        }
    }
}

fn job(rng: &mut Rng, number: u64) -> JobScenario {
    JobScenario {
        job: JobId(rng.bytes()),
        rounds: rng.range(1, 4) as u32,
        units: rng.range(1, 12) as u32,
        replicas: *rng.pick(&[1, 1, 1, 2, 3]),
        lease_ms: rng.range(2_000, 10_000) as u32,
        share_permille: rng.range(100, 1000) as u32,
        tolerant_every: *rng.pick(&[0, 0, 2, 3]),
        starts_ms: number * rng.range(0, 10_000),
    }
}

fn worker(rng: &mut Rng, number: usize) -> WorkerScenario {
    let steady = number < STEADY_WORKERS;
    let node = NodeId(rng.bytes());
    let behaviour = if steady || rng.chance(400) { Behaviour::Honest } else { *rng.pick(&Behaviour::ADVERSARIES) };
    // Some dishonest workers are one owner's: their replicas must not confirm each other.
    let owner = if !steady && rng.chance(300) { Owner([7; 32]) } else { node.into() };
    WorkerScenario {
        node,
        behaviour,
        profile: WorkerProfile {
            owner,
            exact: steady || rng.chance(900),
            tolerant: steady || rng.chance(500),
            backend: if rng.chance(300) { Backend::Webgpu } else { Backend::Cpu },
            memory_bytes: if steady || rng.chance(900) { 2_000 } else { 500 },
            max_unit_ops: if steady || rng.chance(900) { 2_000 } else { 1_003 },
        },
        // Some are slower than a lease: what they deliver is always late.
        compute_ms: if steady { rng.range(50, 1_500) } else { rng.range(50, 15_000) },
        joins_ms: if steady { 0 } else { rng.range(0, 30_000) },
        lifetime_ms: if steady || rng.chance(500) { 0 } else { rng.range(2_000, 60_000) },
        asks_for: rng.range(1, 4) as u32,
    }
}

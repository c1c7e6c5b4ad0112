//! Seeded network, virtual clock and adversaries that drive shoal-mesh.
//!
//! [`simulate`] plays one scenario, drawn from a seed, against the real [`Coordinator`](shoal_mesh::Coordinator): jobs
//! of several rounds, workers that are slow, die, sleep, join late or lie, a network that delays, loses, repeats and
//! reorders, and a relay that is killed and started again from its store. The coordinator and the workers see hashes
//! only; which output is right, [`Truth`] alone knows, and the [`checker`] compares. The same seed gives the same run,
//! bit for bit, so a failure is replayed by its seed.
//!
//! A liar may know what every other unit's output is and what the replicas beside it committed to and revealed. What
//! it may not know is an output of its own unit from before its lease: one that was revealed and then lost (the relay
//! was killed before the verdict, the blob could not be fetched) is right whoever delivers it, and no commitment can
//! tell the copy from the work. A relay therefore shows nobody an output that is not accepted yet.
//!
//! What units compute is left out: outputs are hashes here, and computing is waiting.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod adversary;
pub mod checker;
mod event;
mod figures;
mod network;
mod relay;
mod rng;
mod scenario;
mod simulation;
mod truth;
mod worker;

pub use checker::Violation;
pub use figures::{BehaviourFigures, Figures};
pub use rng::Rng;
pub use scenario::{Behaviour, JobScenario, Scenario, WorkerScenario};
pub use simulation::{simulate, simulate_watched};
pub use truth::Truth;

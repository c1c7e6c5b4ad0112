//! From a job document and its data to shards, graphs, initial parameters and the units of each round.
//!
//! Everything here is a pure function of the document, the data and the job's id: planning again after a crash gives
//! the same bytes. Blobs are returned, not stored; the caller stores them before the rows that name them.

mod data;
mod error;
mod graphs;
mod limits;
mod map;

use shoal_compute::{
    init::initial_parameters,
    seed::{job_seed, permutation},
};
use shoal_wire::{
    ids::{BlobId, JobId},
    job::JobSpec,
    unit::CheckedUnit,
};

pub use data::Dataset;
pub use error::PlanError;
pub use graphs::{JobGraphs, RoundInputs};
pub use limits::{MAX_UNIT_MEMORY, MAX_UNIT_OPS};
pub use map::{MapGraphPlan, map_units};

/// Purpose of the seed that cuts the data.
const PARTITION: &str = "partition";

/// Purpose of the seed of the initial parameters.
const PARAMETERS: &str = "parameters";

/// A job that can be run, with every blob that it needs.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// The job.
    pub job: JobId,
    /// Its document.
    pub spec: JobSpec,
    /// Graph blobs.
    pub graphs: JobGraphs,
    /// Shards by unit index: safetensors bytes and the samples in them.
    pub shards: Vec<(Vec<u8>, u32)>,
    /// Initial parameters, safetensors bytes.
    pub parameters: Vec<u8>,
    /// Units of round 0.
    pub units: Vec<CheckedUnit>,
}

/// The job id of a document submitted for the `ordinal`-th time, from 0. The nonce is the ordinal, so that the same
/// document trains the same model on any relay, and submitting it again is another job.
pub fn job_id(document: &[u8], ordinal: u64) -> JobId {
    let mut nonce = [0; 32];
    nonce[..8].copy_from_slice(&ordinal.to_le_bytes());
    JobId::of(document, &nonce)
}

/// Plans a checked document whose data blobs are at hand.
///
/// # Errors
/// A model that cannot be built, data that do not fit it, units that are too large.
pub fn plan_job(job: JobId, spec: JobSpec, train: &[u8], held_out: Option<&[u8]>) -> Result<PlannedJob, PlanError> {
    let graphs = JobGraphs::new(&spec)?;
    let train = Dataset::read("data.train", train, &spec.model.input, graphs.classes())?;
    if let Some(held_out) = held_out {
        Dataset::read("data.held_out", held_out, &spec.model.input, graphs.classes())?;
    }
    let units = spec.training.units_per_round;
    if train.len() < units {
        return Err(PlanError::TooFewSamples { samples: train.len(), units });
    }
    let shards = partition(&train, units, spec.training.seed);
    let parameters = initial_parameters(&spec.model, job_seed(spec.training.seed, PARAMETERS))
        .map_err(PlanError::Parameters)?
        .to_bytes();
    let inputs = RoundInputs {
        job,
        round: 0,
        parameters: BlobId::of(&parameters),
        shards: &shards.iter().map(|shard| BlobId::of(&shard.0)).collect::<Vec<_>>(),
    };
    let units = graphs.round_units(&spec, &inputs)?;
    Ok(PlannedJob { job, spec, graphs, shards, parameters, units })
}

/// Deals the shuffled samples out like cards, so that shard sizes differ by at most one.
fn partition(data: &Dataset, shards: u32, seed: u64) -> Vec<(Vec<u8>, u32)> {
    let order = permutation(job_seed(seed, PARTITION), data.len());
    (0..shards as usize)
        .map(|shard| {
            let rows: Vec<u32> = order.iter().copied().skip(shard).step_by(shards as usize).collect();
            (data.rows(&rows).to_bytes(), rows.len() as u32)
        })
        .collect()
}

#[cfg(test)]
mod tests;

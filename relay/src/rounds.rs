//! The end of a round: average what was accepted, measure the model, and store the checkpoint together with the next
//! round's units. Running it twice for one round gives the same bytes and changes the store once. A map job's only
//! round averages nothing: its accepted outputs are in the store, and the job is finished.

use std::sync::Arc;

use shoal_compute::{ComputeError, Data, Tensor, Tensors, evaluate::evaluate};
use shoal_learn::{Contribution, LearnError, Parameters, Update, federated_average};
use shoal_mesh::AcceptedUnit;
use shoal_wire::{
    api::JobState,
    ids::{BlobId, JobId},
    job::{JobDocument, JobSpec},
};

use crate::{
    context::Context,
    engine::EngineError,
    plan::{JobGraphs, RoundInputs},
};

/// What came of a round.
#[derive(Debug)]
pub enum RoundOutcome {
    /// The next round is in the store.
    NextRound,
    /// It was the last one.
    Finished,
    /// The job ended meanwhile.
    NotRunning,
    /// The job cannot go on.
    Failed(String),
    /// The relay cannot go on.
    Broken(EngineError),
}

/// Why parameters could not be averaged: the job's fault.
#[derive(Debug, thiserror::Error)]
enum AverageError {
    #[error("averaging: {0}")]
    Learn(#[from] LearnError),
    #[error("averaging: {0}")]
    Compute(#[from] ComputeError),
}

/// Averages a complete round and opens the next.
pub async fn finish(context: &Arc<Context>, job: JobId, round: u32, outputs: &[AcceptedUnit]) -> RoundOutcome {
    match try_finish(context, job, round, outputs).await {
        Ok(outcome) => outcome,
        Err(error) => RoundOutcome::Broken(error),
    }
}

async fn try_finish(
    context: &Arc<Context>,
    job: JobId,
    round: u32,
    outputs: &[AcceptedUnit],
) -> Result<RoundOutcome, EngineError> {
    let Some(row) = context.store.job(&job).await? else { return Ok(RoundOutcome::NotRunning) };
    if row.state != JobState::Running {
        return Ok(RoundOutcome::NotRunning);
    }
    let JobDocument::Training(spec) = crate::engine::parse(&context.store.document(&job).await?)? else {
        let finished = context.store.finish_round(&job, round, &row.parameters, None, &[]).await?;
        return Ok(if finished { RoundOutcome::Finished } else { RoundOutcome::NotRunning });
    };
    let shards = context.store.shards(&job).await?;
    let current = blob(context, row.parameters).await?;
    let mut found = Vec::new();
    for output in outputs {
        let samples = shards[output.index as usize].samples;
        found.push(Found { index: output.index, samples, bytes: blob(context, output.output).await? });
    }
    let held_out = match spec.data.held_out {
        Some(id) => Some(blob(context, id).await?),
        None => None,
    };
    let last = round + 1 == row.rounds;
    let task_spec = spec.clone();
    let averaged = tokio::task::spawn_blocking(move || average(&task_spec, &current, &found, held_out.as_deref()))
        .await
        .expect("averaging does not panic");
    let (parameters, accuracy) = match averaged {
        Ok(averaged) => averaged,
        Err(error) => return Ok(RoundOutcome::Failed(error.to_string())),
    };
    let parameters = context.blobs.put(parameters).await?;
    let shards: Vec<BlobId> = shards.iter().map(|shard| shard.blob).collect();
    let inputs = RoundInputs { job, round: round + 1, parameters, shards: &shards };
    let units = if last { Vec::new() } else { JobGraphs::new(&spec)?.round_units(&spec, &inputs)? };
    if !context.store.finish_round(&job, round, &parameters, accuracy, &units).await? {
        return Ok(RoundOutcome::NotRunning);
    }
    context.metrics.rounds.inc();
    tracing::info!(job = %job.short(), round, held_out_accuracy = accuracy, parameters = %parameters, "round averaged");
    Ok(if last { RoundOutcome::Finished } else { RoundOutcome::NextRound })
}

async fn blob(context: &Context, id: BlobId) -> Result<Vec<u8>, EngineError> {
    context.blobs.get(id).await?.ok_or(EngineError::MissingBlob { id })
}

struct Found {
    index: u32,
    samples: u32,
    bytes: Vec<u8>,
}

/// The next parameters and their accuracy on the held-out samples.
fn average(
    spec: &JobSpec,
    current: &[u8],
    found: &[Found],
    held_out: Option<&[u8]>,
) -> Result<(Vec<u8>, Option<f64>), AverageError> {
    let first_gradient = spec.training.units_per_round - spec.training.gradient_units_per_round;
    let learning_rate = spec.training.gradient_learning_rate;
    let read: Vec<Parameters> = found.iter().map(|found| parameters(&found.bytes)).collect::<Result<_, _>>()?;
    let contributions: Vec<Contribution<'_>> = found
        .iter()
        .zip(&read)
        .map(|(found, read)| Contribution {
            index: found.index,
            samples: found.samples,
            update: if found.index < first_gradient {
                Update::Parameters(read)
            } else {
                Update::Gradient { gradient: read, learning_rate }
            },
        })
        .collect();
    let averaged = federated_average(&parameters(current)?, &contributions)?;
    let tensors: Tensors = averaged.into_iter().map(|(name, p)| (name, Tensor::f32(p.shape, p.values))).collect();
    let accuracy = match held_out {
        Some(bytes) => Some(evaluate(&spec.model, &tensors, &Tensors::from_bytes(bytes)?)?.accuracy()),
        None => None,
    };
    Ok((tensors.to_bytes(), accuracy))
}

fn parameters(bytes: &[u8]) -> Result<Parameters, AverageError> {
    let tensors = Tensors::from_bytes(bytes)?.into_iter().map(|(name, tensor)| {
        let values = match tensor.data() {
            Data::F32(values) => values.clone(),
            // Judged outputs have the parameters' types, so there are none of these.
            Data::I32(values) => values.iter().map(|value| *value as f32).collect(),
            Data::I8(values) => values.iter().map(|value| f32::from(*value)).collect(),
            Data::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
        };
        (name, tensor.shape().to_vec(), values)
    });
    Ok(Parameters::new(tensors)?)
}

//! From a revealed output to a verdict, in a task of its own: fetch the blob from the worker, store it and the signed
//! result, compute the unit, compare. The verdict goes back to the engine, which stores it.

use std::{sync::Arc, time::Duration};

use shoal_compute::ComputeError;
use shoal_wire::{
    ids::{BlobId, LeaseId, NodeId},
    proto::Outcome,
};
use tokio::sync::Semaphore;

use super::{Command, Engine, EngineError, state::ActiveUnit};
use crate::{
    context::Context,
    store::NewResult,
    validate::{Finding, UnitBlobs, compute, judge},
};

/// Time for an announced output to arrive: the largest a tab makes over a slow home uplink.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// A verdict, not signed yet.
#[derive(Debug)]
pub struct Judged {
    /// The lease.
    pub(super) lease: LeaseId,
    /// Whose result it is.
    pub(super) worker: NodeId,
    /// The unit.
    pub(super) unit: Arc<ActiveUnit>,
    /// The output.
    pub(super) output: BlobId,
    /// Origin of the embedding site, or empty.
    pub(super) site: String,
    /// What was found.
    pub(super) judgement: Result<Judgement, EngineError>,
}

/// What came of judging.
#[derive(Debug)]
pub(super) enum Judgement {
    /// The output was compared.
    Finding(Finding),
    /// The output did not come.
    Unavailable,
    /// The unit cannot be computed: the job is at fault, not the worker.
    Impossible(ComputeError),
}

impl Engine {
    /// Judges a revealed output.
    pub(super) fn spawn_judge(&self, result: NewResult, unit: Arc<ActiveUnit>) {
        let (context, validators) = (self.context.clone(), self.validators.clone());
        let (engine, fetcher) = (self.handle.clone(), self.fetcher.clone());
        let peer = self.sessions.get(&result.worker).map(|session| session.peer);
        tokio::spawn(async move {
            let (lease, worker, output, site) = (result.lease, result.worker, result.output, result.site.clone());
            let judgement = async {
                let fetched = match context.blobs.get(output).await? {
                    Some(bytes) => Some(bytes),
                    None if result.output_len != unit.output_len => None,
                    None => match peer {
                        Some(peer) => fetcher.fetch(peer, output, unit.output_len, FETCH_TIMEOUT).await,
                        None => None,
                    },
                };
                let Some(bytes) = fetched else {
                    return Ok(if result.output_len == unit.output_len {
                        Judgement::Unavailable
                    } else {
                        Judgement::Finding(malformed())
                    });
                };
                context.blobs.put(bytes.clone()).await?;
                context.store.insert_result(&result).await?;
                examine(&context, &validators, &unit, bytes).await
            };
            let judgement = judgement.await;
            // An error means that the engine has stopped; the stored result is judged at the next start.
            let _ = engine.send(Command::Judged(Judged { lease, worker, unit, output, site, judgement })).await;
        });
    }

    /// Looks whether a unit that several workers gave back can be computed at all.
    pub(super) fn spawn_probe(&self, unit: Arc<ActiveUnit>) {
        let (context, validators, engine) = (self.context.clone(), self.validators.clone(), self.handle.clone());
        tokio::spawn(async move {
            let job = unit.unit.job;
            let _permit = validators.acquire().await.expect("the semaphore is never closed");
            let Ok(blobs) = load(&context, &unit).await else { return };
            let computed = tokio::task::spawn_blocking(move || compute(&unit.unit, &blobs)).await;
            if let Err(error) = computed.expect("computing a unit does not panic") {
                let reason = format!("a unit cannot be computed: {error}");
                let _ = engine.send(Command::JobFailed { job, reason }).await;
            }
        });
    }
}

/// Computes the unit on a thread of its own and compares.
pub(super) async fn examine(
    context: &Context,
    validators: &Semaphore,
    unit: &Arc<ActiveUnit>,
    output: Vec<u8>,
) -> Result<Judgement, EngineError> {
    // Read only when it is its turn: each waiting result would hold the parameters in memory.
    let _permit = validators.acquire().await.expect("the semaphore is never closed");
    let blobs = load(context, unit).await?;
    let unit = unit.clone();
    let found = tokio::task::spawn_blocking(move || {
        let found = judge(&unit.unit, &blobs, &output, unit.reference.get().copied());
        if let Ok(Finding { reference: Some(reference), compute_seconds, .. }) = found {
            unit.reference.get_or_init(|| (reference, compute_seconds));
        }
        found
    });
    Ok(match found.await.expect("judging a unit does not panic") {
        Ok(finding) => Judgement::Finding(finding),
        Err(error) => Judgement::Impossible(error),
    })
}

async fn load(context: &Context, unit: &ActiveUnit) -> Result<UnitBlobs, EngineError> {
    let [graph, parameters, data] = [unit.unit.graph, unit.unit.parameters, unit.unit.data];
    let get = async |id| context.blobs.get(id).await?.ok_or(EngineError::MissingBlob { id });
    Ok(UnitBlobs { graph: get(graph).await?, parameters: get(parameters).await?, data: get(data).await? })
}

/// An output whose announced length no right output has is not worth fetching.
fn malformed() -> Finding {
    Finding {
        outcome: Outcome::MalformedOutput,
        deviation: 0.0,
        reference: None,
        check_seconds: 0.0,
        compute_seconds: 0.0,
    }
}

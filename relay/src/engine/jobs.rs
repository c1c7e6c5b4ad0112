//! Rounds of jobs: taken from the store, ended in the store.

use std::{collections::HashMap, sync::Arc};

use shoal_compute::program::map_output_len;
use shoal_graph::Graph;
use shoal_mesh::{AcceptedUnit, Input, RoundPlan, UnitPlan};
use shoal_wire::{
    api::JobState,
    ids::{BlobId, JobId},
    job::{JobDocument, MapGraphSpec, MapSpec},
    proto::unit::Program,
};
use tokio::sync::oneshot;

use super::{
    Engine, EngineError,
    state::{ActiveRound, ActiveUnit},
};
use crate::{
    plan::PlanError,
    rounds::RoundOutcome,
    store::{JobRow, StoreError},
};

impl Engine {
    /// Starts the open round that the store has for a job, with the units that are accepted in it.
    pub(super) async fn start_round(&mut self, job: JobId) -> Result<(), EngineError> {
        let Some(row) = self.context.store.job(&job).await? else { return Ok(()) };
        if row.state != JobState::Running || self.jobs.contains_key(&job) {
            return Ok(());
        }
        let (plan, round, accepted) = match self.load_round(&row).await {
            Err(error) if error.is_the_jobs() => return self.fail_job(job, &error.to_string()).await,
            loaded => loaded?,
        };
        tracing::info!(
            job = %job.short(), name = row.name, round = row.rounds_done, units = plan.units.len(),
            accepted = accepted.len(), "round starts"
        );
        self.jobs.insert(job, round);
        if !self.feed(Input::StartRound { plan, accepted }).await? {
            self.jobs.remove(&job);
        }
        self.context.note_progress(job);
        Ok(())
    }

    /// A job's open round as the store has it.
    pub(super) async fn load_round(
        &self,
        row: &JobRow,
    ) -> Result<(RoundPlan, ActiveRound, Vec<AcceptedUnit>), EngineError> {
        let document = parse(row)?;
        let scheduling = document.scheduling().clone();
        let graphs = match &document {
            JobDocument::Map(spec) => self.map_graphs(spec).await?,
            JobDocument::Training(_) => HashMap::new(),
        };
        let (mut plans, mut units, mut accepted) = (Vec::new(), Vec::new(), Vec::new());
        for stored in self.context.store.round_units(&row.id, row.rounds_done).await? {
            let unit = stored.unit;
            let (parameters_len, data_len) = (self.blob_len(unit.parameters)?, self.blob_len(unit.data)?);
            plans.push(UnitPlan {
                unit: unit.id,
                class: unit.class,
                reference_ops: unit.message.reference_ops,
                // A worker holds parameters and data as bytes and as tensors beside the run itself.
                memory_bytes: unit.message.memory_bytes + 2 * (parameters_len + data_len),
            });
            if let Some((output, worker)) = stored.accepted {
                accepted.push(AcceptedUnit { index: unit.message.index, output, worker });
            }
            let output_len = match (graphs.get(&unit.graph), &unit.program) {
                (Some(graph), Program::Map(program)) => map_output_len(graph, program.rows),
                // A training unit's output has the names and shapes of the parameters.
                _ => parameters_len,
            };
            units.push(Arc::new(ActiveUnit::new(unit, output_len)));
        }
        let plan = RoundPlan {
            job: row.id,
            round: row.rounds_done,
            units: plans,
            replicas: scheduling.replicas,
            lease_duration_ms: scheduling.lease_ms,
            // The document's check keeps the share within 0.01 and 1.
            max_worker_share_permille: (scheduling.max_worker_share * 1000.0).round() as u32,
        };
        Ok((plan, ActiveRound { replicas: scheduling.replicas, units, returns: 0 }, accepted))
    }

    /// A map job's graphs, for the lengths of its outputs.
    async fn map_graphs(&self, spec: &MapSpec) -> Result<HashMap<BlobId, Graph>, EngineError> {
        let mut graphs = HashMap::new();
        for MapGraphSpec { graph: id, .. } in &spec.graphs {
            if !graphs.contains_key(id) {
                let bytes = self.context.blobs.get(*id).await?.ok_or(EngineError::MissingBlob { id: *id })?;
                graphs.insert(*id, Graph::decode(&bytes).map_err(PlanError::Model)?);
            }
        }
        Ok(graphs)
    }

    fn blob_len(&self, id: BlobId) -> Result<u64, EngineError> {
        self.context.blobs.len(&id).map_err(EngineError::Blob)?.ok_or(EngineError::MissingBlob { id })
    }

    pub(super) async fn averaged(&mut self, job: JobId, outcome: RoundOutcome) -> Result<(), EngineError> {
        match outcome {
            RoundOutcome::NextRound => self.start_round(job).await?,
            RoundOutcome::Finished => tracing::info!(job = %job.short(), "job finished"),
            RoundOutcome::NotRunning => {}
            RoundOutcome::Failed(reason) => self.fail_job(job, &reason).await?,
            RoundOutcome::Broken(error) if error.is_the_jobs() => self.fail_job(job, &error.to_string()).await?,
            RoundOutcome::Broken(error) => return Err(error),
        }
        self.context.note_progress(job);
        Ok(())
    }

    pub(super) async fn cancel_job(
        &mut self,
        job: JobId,
        done: oneshot::Sender<Result<bool, StoreError>>,
    ) -> Result<(), EngineError> {
        let ended = self.context.store.end_job(&job, JobState::Cancelled, None).await;
        if matches!(ended, Ok(true)) {
            tracing::info!(job = %job.short(), "job cancelled");
            self.drop_round(job).await?;
        }
        // Whoever asked may have hung up.
        let _ = done.send(ended);
        Ok(())
    }

    /// Ends a job that cannot go on.
    pub(super) async fn fail_job(&mut self, job: JobId, reason: &str) -> Result<(), EngineError> {
        if self.context.store.end_job(&job, JobState::Failed, Some(reason)).await? {
            tracing::error!(job = %job.short(), reason, "job failed");
            self.drop_round(job).await?;
        }
        Ok(())
    }

    async fn drop_round(&mut self, job: JobId) -> Result<(), EngineError> {
        // Between rounds, while the last one is averaged, the coordinator knows nothing of the job.
        if self.coordinator.progress(&job).is_some() {
            self.feed(Input::CancelJob { job }).await?;
        }
        self.jobs.remove(&job);
        self.leases.remove_job(&job);
        self.context.note_progress(job);
        Ok(())
    }
}

/// The document of a stored job.
pub(crate) fn parse(row: &JobRow) -> Result<JobDocument, StoreError> {
    JobDocument::from_json(&row.document)
        .map_err(|error| StoreError::Corrupt { column: "document", found: error.to_string() })
}

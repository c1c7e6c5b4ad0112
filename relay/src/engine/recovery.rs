//! Taking up the store's jobs at the start: results that were stored but not judged are judged first, so that no work
//! that reached this relay is done again, then each open round starts.

use super::{
    Engine, EngineError,
    acceptance::JudgedResult,
    judging::{Judgement, examine},
};
use crate::store::JobRow;

impl Engine {
    pub(super) async fn recover(&mut self) -> Result<(), EngineError> {
        self.context.store.doubt_newest_deliveries().await?;
        for row in self.context.store.running_jobs().await? {
            match self.judge_pending(&row).await {
                Err(error) if error.is_the_jobs() => self.fail_job(row.id, &error.to_string()).await?,
                judged => judged?,
            }
            self.start_round(row.id).await?;
        }
        Ok(())
    }

    async fn judge_pending(&mut self, row: &JobRow) -> Result<(), EngineError> {
        let pending = self.context.store.pending_results(&row.id).await?;
        if pending.is_empty() {
            return Ok(());
        }
        tracing::info!(job = %row.id.short(), results = pending.len(), "judging results from before the restart");
        let (_, round, _) = self.load_round(row).await?;
        for result in pending {
            let Some(unit) = round.units.iter().find(|unit| unit.unit.id == result.unit) else { continue };
            let output = self.context.blobs.get(result.output).await?;
            let output = output.ok_or(EngineError::MissingBlob { id: result.output })?;
            match examine(&self.context, &self.validators, unit, output).await? {
                Judgement::Finding(finding) => {
                    let (lease, worker) = (result.lease, result.worker);
                    let judged = JudgedResult { lease, worker, unit, output: result.output, site: &result.site };
                    // The receipt reaches the worker when it comes back.
                    self.store_verdict(&judged, &finding, round.replicas).await?;
                }
                Judgement::Impossible(error) => {
                    return self.fail_job(row.id, &format!("a unit cannot be computed: {error}")).await;
                }
                Judgement::Unavailable => unreachable!("the output was read from disk"),
            }
        }
        Ok(())
    }
}

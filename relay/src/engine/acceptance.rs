//! From a finding to what is stored and sent: the signed verdict, and for a right result the receipt that pays for it.

use shoal_mesh::{Input, VerdictEffect};
use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId},
    proto::{Outcome, Receipt, Verdict, unit::Program},
};

use super::{
    Engine, EngineError,
    command::Outgoing,
    judging::{Judged, Judgement},
    state::ActiveUnit,
};
use crate::{
    store::{NewReceipt, NewVerdict},
    validate::Finding,
};

/// A result that was judged.
pub(super) struct JudgedResult<'a> {
    pub(super) lease: LeaseId,
    pub(super) worker: NodeId,
    pub(super) unit: &'a ActiveUnit,
    pub(super) output: BlobId,
    pub(super) site: &'a str,
}

impl Engine {
    pub(super) async fn judged(&mut self, judged: Judged) -> Result<(), EngineError> {
        let Judged { lease, worker, unit, output, site, judgement } = judged;
        let effect = self.coordinator.verdict_effect(&lease);
        let finding = match judgement {
            Err(error) if !error.is_the_jobs() => return Err(error),
            _ if effect == VerdictEffect::Ignored => {
                tracing::debug!(lease = %lease.short(), "verdict of a lease that ended");
                return Ok(());
            }
            Err(error) => return self.fail_job(unit.unit.job, &error.to_string()).await,
            Ok(Judgement::Impossible(error)) => {
                return self.fail_job(unit.unit.job, &format!("a unit cannot be computed: {error}")).await;
            }
            Ok(Judgement::Unavailable) => unavailable(),
            Ok(Judgement::Finding(finding)) => finding,
        };
        self.context.metrics.validation_seconds.inc_by(finding.check_seconds);
        let outcome = finding.outcome;
        let result = JudgedResult { lease, worker, unit: &unit, output, site: &site };
        let replicas = self.jobs.get(&unit.unit.job).map_or(1, |round| round.replicas);
        if let Some(envelope) = self.store_verdict(&result, &finding, replicas).await? {
            self.sessions.send(&worker, Outgoing { envelope, receipt: Some(lease), last: false });
        }
        self.feed(Input::Verdict { lease, outcome }).await?;
        Ok(())
    }

    /// Signs and stores a verdict, and with an accepting one the receipt. Returns the signed receipt, if one is due:
    /// a unit pays as many workers as its job asked replicas for, each once.
    pub(super) async fn store_verdict(
        &self,
        result: &JudgedResult<'_>,
        finding: &Finding,
        replicas: u32,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let (store, unit, worker) = (&self.context.store, &result.unit.unit, result.worker);
        let envelope = self.context.key.seal_bytes(&Verdict {
            unit: unit.id.to_vec(),
            lease: result.lease.to_vec(),
            worker: worker.to_vec(),
            output: result.output.to_vec(),
            outcome: finding.outcome as i32,
            deviation: finding.deviation,
        });
        let verdict = NewVerdict {
            lease: result.lease,
            unit: unit.id,
            worker,
            outcome: finding.outcome,
            envelope,
            check_seconds: finding.check_seconds,
            compute_seconds: finding.compute_seconds,
        };
        self.context.metrics.verdict(finding.outcome);
        let due = finding.outcome == Outcome::Accepted
            && !store.has_receipt(&unit.id, &worker).await?
            && store.count_unit_receipts(&unit.id).await? < replicas;
        if !due {
            store.insert_verdict(&verdict).await?;
            return Ok(None);
        }
        let receipt = self.receipt(result, &verdict).await?;
        let closes = store.accept(&verdict, &result.output, &receipt).await?;
        self.context.metrics.verified_ops.inc_by(receipt.reference_ops);
        if let (true, Program::Map(map)) = (closes, &unit.program) {
            self.context.metrics.map_rows.inc_by(u64::from(map.rows));
        }
        tracing::info!(
            worker = %worker.short(), job = %unit.job.short(), round = unit.message.round, index = unit.message.index,
            ops = receipt.reference_ops, closes, "unit accepted"
        );
        Ok(Some(receipt.envelope))
    }

    async fn receipt(&self, result: &JudgedResult<'_>, verdict: &NewVerdict) -> Result<NewReceipt, EngineError> {
        let unit = &result.unit.unit;
        let payout = self.context.store.payout(&result.worker).await?;
        let message = Receipt {
            job: unit.job.to_vec(),
            unit: unit.id.to_vec(),
            round: unit.message.round,
            index: unit.message.index,
            worker: result.worker.to_vec(),
            payout_address: payout.map_or_else(Vec::new, |address| address.to_vec()),
            site: result.site.to_owned(),
            relay: self.context.key.node_id().to_vec(),
            authorizer: Vec::new(),
            reference_ops: unit.message.reference_ops,
            output: result.output.to_vec(),
            verdict: verdict.envelope.clone(),
            class: unit.class as i32,
        };
        Ok(NewReceipt {
            unit: unit.id,
            worker: result.worker,
            job: unit.job,
            lease: result.lease,
            reference_ops: unit.message.reference_ops,
            payout,
            envelope: self.context.key.seal_bytes(&message),
        })
    }

    /// Stores the verdict on a broken commitment, which the coordinator finds without a validator.
    pub(super) async fn store_mismatch(
        &mut self,
        lease: LeaseId,
        worker: NodeId,
        job: &JobId,
        index: u32,
        output: BlobId,
    ) -> Result<(), EngineError> {
        let Some(unit) = self.active_unit(job, index) else { return Ok(()) };
        let finding = Finding { outcome: Outcome::CommitmentMismatch, ..unavailable() };
        self.store_verdict(&JudgedResult { lease, worker, unit: &unit, output, site: "" }, &finding, 0).await?;
        Ok(())
    }
}

fn unavailable() -> Finding {
    Finding {
        outcome: Outcome::OutputUnavailable,
        deviation: 0.0,
        reference: None,
        check_seconds: 0.0,
        compute_seconds: 0.0,
    }
}

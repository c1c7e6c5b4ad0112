//! Acting on what the coordinator wants done.

use std::sync::Arc;

use shoal_mesh::{NoWorkReason, Output, RefusalReason, Standing, WithdrawnReason};
use shoal_wire::{
    envelope::Signed,
    ids::{JobId, LeaseId, NodeId},
    proto::{CommitAck, Lease, NoWork, Outcome, RefusalCode, Rejection},
};

use super::{Command, Engine, EngineError, command::Outgoing, state::ActiveUnit};
use crate::{rounds, store::NewResult};

impl Engine {
    pub(super) async fn act(&mut self, output: Output) -> Result<(), EngineError> {
        match output {
            Output::GrantLease { worker, lease, job, index, duration_ms, .. } => {
                let unit = self.active_unit(&job, index).expect("leases are of active rounds");
                let message = Lease { lease: lease.to_vec(), unit: unit.bytes.clone(), duration_ms };
                self.leases.insert(lease, job, worker, unit);
                self.context.metrics.leases.inc();
                self.send(&worker, &message);
            }
            Output::Queued { worker, reason } => {
                self.send(&worker, &NoWork { reason: no_work(reason).to_owned() });
            }
            Output::CommitAcked { worker, lease } => self.send(&worker, &CommitAck { lease: lease.to_vec() }),
            Output::NeedVerdict { lease, worker, output, output_len, .. } => {
                self.judge(lease, worker, output, output_len);
            }
            Output::Accepted { lease, job, .. } => {
                self.leases.remove(&lease);
                self.context.note_progress(job);
            }
            Output::Confirmed { lease, worker, job, .. } => {
                self.leases.remove(&lease);
                tracing::debug!(worker = %worker.short(), "replica confirmed");
                self.context.note_progress(job);
            }
            Output::Rejected { lease, worker, job, index, output, outcome, .. } => {
                if outcome == Outcome::CommitmentMismatch {
                    self.store_mismatch(lease, worker, &job, index, output).await?;
                }
                self.leases.remove(&lease);
                tracing::warn!(worker = %worker.short(), job = %job.short(), index, ?outcome, "result rejected");
                let reason = format!("unit {index}: {outcome:?}");
                self.send(&worker, &Rejection { lease: lease.to_vec(), outcome: outcome as i32, reason });
                self.context.note_progress(job);
            }
            Output::LeaseWithdrawn { lease, worker, reason, .. } => {
                tracing::debug!(worker = %worker.short(), lease = %lease.short(), ?reason, "lease withdrawn");
                self.context.metrics.leases_withdrawn.inc();
                if is_final(reason) {
                    self.leases.remove(&lease);
                }
            }
            Output::RefuseMessage { worker, lease, reason } => self.refuse_message(&worker, &lease, reason),
            Output::RefuseWorker { worker, standing } => {
                tracing::warn!(worker = %worker.short(), ?standing, "worker refused for wrong results");
                let what = if standing == Standing::NoTolerant { "tolerant units" } else { "units" };
                let detail = format!("too many wrong results: no {what} from this relay");
                self.refuse(&worker, RefusalCode::TooMany, detail, false);
            }
            Output::RoundComplete { job, round, outputs } => {
                self.jobs.remove(&job);
                self.leases.remove_job(&job);
                let (context, engine) = (self.context.clone(), self.handle.clone());
                tokio::spawn(async move {
                    let outcome = rounds::finish(&context, job, round, &outputs).await;
                    // An error means that the engine has stopped; the round is averaged at the next start.
                    let _ = engine.send(Command::Averaged { job, outcome }).await;
                });
            }
            Output::VerdictIgnored { lease } => tracing::debug!(lease = %lease.short(), "verdict ignored"),
        }
        Ok(())
    }

    /// The unit of an active round.
    pub(super) fn active_unit(&self, job: &JobId, index: u32) -> Option<Arc<ActiveUnit>> {
        self.jobs.get(job)?.units.get(index as usize).cloned()
    }

    fn judge(&mut self, lease: LeaseId, worker: NodeId, output: shoal_wire::ids::BlobId, output_len: u64) {
        let record = self.leases.get(&lease).expect("a lease is recorded from its grant to its verdict");
        let (report, result) = record.result.clone().expect("the coordinator was fed a result");
        let commit = record.commit.clone().expect("the coordinator was fed a commitment");
        let site = self.sessions.get(&worker).map_or_else(String::new, |session| session.site.clone());
        let result = NewResult {
            lease,
            unit: record.unit.unit.id,
            worker,
            output,
            output_len,
            compute_ms: report.compute_ms,
            gpu_dispatches: report.gpu_dispatches,
            site,
            commit,
            result,
        };
        self.spawn_judge(result, record.unit.clone());
    }

    /// Signs and queues a message.
    pub(super) fn send<M: Signed>(&mut self, worker: &NodeId, message: &M) {
        let envelope = self.context.key.seal_bytes(message);
        self.sessions.send(worker, Outgoing { envelope, receipt: None, last: false });
    }

    fn refuse_message(&mut self, worker: &NodeId, lease: &LeaseId, reason: RefusalReason) {
        let code = match reason {
            RefusalReason::UnknownLease | RefusalReason::NotYourLease => RefusalCode::UnknownLease,
            _ => RefusalCode::OutOfOrder,
        };
        self.refuse(worker, code, format!("lease {}: {reason:?}", lease.short()), false);
    }
}

/// Whether nothing that comes for the lease can count any more.
fn is_final(reason: WithdrawnReason) -> bool {
    match reason {
        WithdrawnReason::Expired | WithdrawnReason::NotRevealed | WithdrawnReason::WorkerLeft => false,
        WithdrawnReason::Returned | WithdrawnReason::WorkerRefused | WithdrawnReason::JobCancelled => true,
    }
}

/// Volunteers read this in their tab, after "waiting for work".
fn no_work(reason: NoWorkReason) -> &'static str {
    match reason {
        NoWorkReason::NothingOpen => "nothing to compute until the next round or job",
        NoWorkReason::NothingSuitable => "what is left is for other machines; more comes with the next round",
        NoWorkReason::Resting => "resting, because work was not finished in time",
        NoWorkReason::EnoughLeases => "busy with as many units as one worker may hold",
        NoWorkReason::Refused => "no more work, because too many results were wrong",
    }
}

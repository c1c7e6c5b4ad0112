//! What workers do: come, ask, answer, go.

use shoal_mesh::Input;
use shoal_wire::{
    ids::{LeaseId, NodeId},
    proto::{Refusal, RefusalCode},
};

use super::{
    Engine, EngineError,
    command::{Outgoing, SessionEnd, SessionId, SessionStart, WorkerMessage},
    state::Session,
};

impl Engine {
    pub(super) async fn joined(&mut self, start: SessionStart) -> Result<(), EngineError> {
        let SessionStart { session, worker, peer, profile, strikes, labels, site, outgoing } = start;
        if let Some(old) = self.sessions.get(&worker) {
            // A tab that lost its link comes back before the old connection is found dead.
            let old = SessionEnd { session: old.id, worker };
            self.left(old).await?;
        }
        self.sessions.insert(worker, Session::new(session, peer, site, labels.clone(), outgoing));
        if self.feed(Input::WorkerJoined { worker, profile, strikes }).await? {
            self.context.metrics.workers.get_or_create(&labels).inc();
            self.context.set_connected(worker, true);
        } else {
            let detail = "the relay holds as many workers as it can".to_owned();
            self.refuse(&worker, RefusalCode::TooMany, detail, true);
            self.sessions.remove(&worker);
        }
        Ok(())
    }

    pub(super) async fn left(&mut self, end: SessionEnd) -> Result<(), EngineError> {
        if self.sessions.get(&end.worker).is_none_or(|session| session.id != end.session) {
            return Ok(());
        }
        if let Some(session) = self.sessions.remove(&end.worker) {
            self.context.metrics.workers.get_or_create(&session.labels).dec();
        }
        self.context.set_connected(end.worker, false);
        self.feed(Input::WorkerLeft { worker: end.worker }).await?;
        Ok(())
    }

    pub(super) async fn worker_message(
        &mut self,
        session: SessionId,
        worker: NodeId,
        message: WorkerMessage,
    ) -> Result<(), EngineError> {
        if self.sessions.get(&worker).is_none_or(|current| current.id != session) {
            return Ok(());
        }
        let input = match message {
            WorkerMessage::LeaseRequest { max_units } => Input::LeaseRequest { worker, max_units },
            WorkerMessage::LeaseReturn { lease, reason } => {
                tracing::info!(worker = %worker.short(), lease = %lease.short(), reason, "lease given back");
                self.note_return(&worker, &lease);
                Input::LeaseReturn { worker, lease }
            }
            WorkerMessage::Commit { lease, commitment, envelope } => {
                if let Some(record) = self.leases.of(&worker, &lease) {
                    record.commit.get_or_insert(envelope);
                }
                Input::Commit { worker, lease, commitment }
            }
            WorkerMessage::Result { lease, output, output_len, report, envelope } => {
                if let Some(record) = self.leases.of(&worker, &lease) {
                    record.result.get_or_insert((report, envelope));
                }
                Input::Result { worker, lease, output, output_len }
            }
        };
        self.feed(input).await?;
        Ok(())
    }

    /// Looks whether a unit can be computed at all, at the 2nd, 4th, 8th … lease given back in a round: volunteers leave,
    /// so one means nothing, and a job whose numbers overflow must not go round for ever.
    fn note_return(&mut self, worker: &NodeId, lease: &LeaseId) {
        let Some(record) = self.leases.of(worker, lease) else { return };
        let (job, unit) = (record.job, record.unit.clone());
        if let Some(round) = self.jobs.get_mut(&job) {
            round.returns += 1;
            if round.returns >= 2 && round.returns.is_power_of_two() {
                self.spawn_probe(unit);
            }
        }
    }

    /// Tells a worker that something was refused.
    pub(super) fn refuse(&mut self, worker: &NodeId, code: RefusalCode, detail: String, last: bool) {
        self.context.metrics.refusals.inc();
        let envelope = self.context.key.seal_bytes(&Refusal { code: code as i32, detail });
        self.sessions.send(worker, Outgoing { envelope, receipt: None, last });
    }
}

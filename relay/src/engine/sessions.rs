//! What workers do: come, ask, answer, go.

use shoal_mesh::Input;
use shoal_wire::{
    ids::NodeId,
    proto::{Refusal, RefusalCode},
};

use super::{
    Engine, EngineError,
    command::{Outgoing, SessionEnd, SessionId, SessionStart, WorkerMessage},
    state::Session,
};

/// Leases of one unit given back before the relay looks whether the unit can be computed at all. Volunteers leave, so
/// a few mean nothing.
const RETURNS_BEFORE_A_LOOK: u32 = 3;

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

    pub(super) async fn from_worker(
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
                if let Some(record) = self.leases.of(&worker, &lease)
                    && record.unit.note_return() == RETURNS_BEFORE_A_LOOK
                {
                    let unit = record.unit.clone();
                    self.spawn_probe(unit);
                }
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

    /// Tells a worker that something was refused.
    pub(super) fn refuse(&mut self, worker: &NodeId, code: RefusalCode, detail: String, last: bool) {
        self.context.metrics.refusals.inc();
        let envelope = self.context.key.seal_bytes(&Refusal { code: code as i32, detail });
        self.sessions.send(worker, Outgoing { envelope, receipt: None, last });
    }
}

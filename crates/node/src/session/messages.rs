//! What the relay says, and what the worker's own tasks bring.

use shoal_compute::Backend;
use shoal_transport::blob::Blob;
use shoal_wire::{
    envelope::{EnvelopeError, Signed, Verified},
    ids::{IdError, LeaseId},
    proto::{self, Commit, CommitAck, MessageType, NoWork, Refusal, RefusalCode, Rejection},
};

use super::{Lease, Session, SessionEnd, lost, open::refused, tasks};
use crate::{
    event::Event,
    leases::{Committed, OpenLease},
    platform::Platform,
    receipts::{Pending, ReceiptError},
};

impl<P: Platform, G: Backend> Session<'_, P, G> {
    pub(super) fn message(&mut self, message: &Verified) -> Result<(), SessionEnd> {
        match message.message_type() {
            MessageType::Lease => self.leased(&decode(message)?),
            MessageType::NoWork => {
                let NoWork { reason } = decode(message)?;
                self.core.emit(Event::Waiting { reason });
                Ok(())
            }
            MessageType::CommitAck => self.acknowledged(&decode(message)?),
            MessageType::Acceptance => {
                self.accepted(message);
                Ok(())
            }
            MessageType::Rejection => self.rejected(&decode(message)?),
            MessageType::Refusal => self.refused(&decode(message)?),
            other => Err(lost(format!("a relay does not send a {other:?} here"))),
        }
    }

    fn leased(&mut self, message: &Lease) -> Result<(), SessionEnd> {
        let lease = lease_id(&message.lease)?;
        let core = self.core;
        if self.stop_at.is_some() || core.pace.is_paused() {
            self.leases.requested = self.leases.requested.saturating_sub(1);
            return self.give_back(lease, "the volunteer paused or stopped meanwhile");
        }
        if self.leases.requested == 0 {
            return self.give_back(lease, format!("more leases than asked for, {} are open", self.leases.open()));
        }
        self.leases.requested -= 1;
        match OpenLease::check(message, core.platform.now(), &core.classes, &core.config.budget) {
            Ok(open) => {
                let (unit, duration_ms) = ((&open.unit).into(), message.duration_ms);
                core.emit(Event::Leased { lease, unit, duration_ms });
                self.leases.granted.push_back(open);
                Ok(())
            }
            Err(error) => self.give_back_faulty(lease, error.to_string()),
        }
    }

    /// The commitment is held: reveal.
    fn acknowledged(&mut self, message: &CommitAck) -> Result<(), SessionEnd> {
        let lease = lease_id(&message.lease)?;
        let Some(Committed { unit, output, report }) = self.leases.committed.remove(&lease) else {
            tracing::debug!(lease = %lease.short(), "acknowledgement of a lease that is not committed");
            return Ok(());
        };
        let pending = Pending { lease, unit: (&unit).into(), output: output.id() };
        let output_len = output.bytes().len() as u64;
        let result =
            proto::Result { lease: lease.to_vec(), output: output.id().to_vec(), output_len, report: Some(report) };
        self.core.outputs.reveal(output);
        self.core.pending.borrow_mut().push(pending);
        self.send(&result)
    }

    fn accepted(&mut self, acceptance: &Verified) {
        use prost::Message as _;
        let core = self.core;
        let (own, relay) = (core.key.node_id(), core.relay.1);
        let settled = core.pending.borrow_mut().settle(acceptance, core.key.network(), &own, &relay);
        match settled {
            Ok(pending) => {
                let mut stats = core.stats.borrow_mut();
                stats.accepted_units += 1;
                stats.verified_ops += pending.unit.reference_ops;
                drop(stats);
                let receipt = hex::encode(acceptance.envelope().encode_to_vec());
                core.emit(Event::Accepted { unit: pending.unit, receipt });
            }
            Err(error @ ReceiptError::NotPending(_)) => tracing::debug!(%error, "receipt seen before"),
            Err(error) => {
                tracing::warn!(%error, "receipt not believed");
                core.emit(Event::BadReceipt { reason: error.to_string() });
            }
        }
    }

    fn rejected(&mut self, message: &Rejection) -> Result<(), SessionEnd> {
        let lease = lease_id(&message.lease)?;
        let committed = self.leases.committed.remove(&lease).map(|committed| (&committed.unit).into());
        let revealed = self.core.pending.borrow_mut().take_lease(&lease).map(|pending| pending.unit);
        let Some(unit) = revealed.or(committed) else {
            tracing::debug!(lease = %lease.short(), "rejection of a result that is not pending");
            return Ok(());
        };
        self.core.stats.borrow_mut().rejected_units += 1;
        let outcome = message.outcome().as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
        self.core.emit(Event::Rejected { lease, unit, outcome, reason: message.reason.clone() });
        Ok(())
    }

    fn refused(&mut self, refusal: &Refusal) -> Result<(), SessionEnd> {
        if let Some(end) = refused(refusal) {
            return Err(end);
        }
        let code = refusal.code().as_str_name().trim_start_matches("REFUSAL_CODE_").to_lowercase();
        self.core.emit(Event::Refused { code: code.clone(), detail: refusal.detail.clone() });
        match refusal.code() {
            RefusalCode::ShuttingDown => Err(lost("the relay shuts down")),
            _ => Ok(()),
        }
    }

    pub(super) fn fetched(&mut self, result: tasks::Fetched) -> Result<(), SessionEnd> {
        let open = self.leases.fetching.take().expect("one fetch runs for the lease being fetched");
        match result {
            Ok(inputs) => {
                self.leases.ready.push_back((open, inputs));
                Ok(())
            }
            Err(error) => self.give_back_faulty(open.lease, error.to_string()),
        }
    }

    pub(super) fn computed(&mut self, result: tasks::ComputeResult) -> Result<(), SessionEnd> {
        let OpenLease { lease, unit, .. } = self.leases.computing.take().expect("one unit is computed at a time");
        let computed = match result {
            Ok(computed) => computed,
            Err(error) => return self.give_back_faulty(lease, error.to_string()),
        };
        self.core.faults_in_a_row.set(0);
        let report = computed.report;
        let mut stats = self.core.stats.borrow_mut();
        stats.computed_units += 1;
        stats.computed_ops += unit.message.reference_ops;
        stats.compute_ms += u64::from(report.compute_ms);
        stats.gpu_dispatches += u64::from(report.gpu_dispatches);
        drop(stats);

        let output = Blob::new(computed.output);
        let node = self.core.key.node_id();
        #[cfg(not(feature = "cheat"))]
        let commitment = shoal_wire::commitment::commitment(&node, &lease, &output.id());
        #[cfg(feature = "cheat")]
        let commitment = match self.core.config.cheat {
            Some(cheat) => cheat.commitment(&node, &lease, &output.id()),
            None => shoal_wire::commitment::commitment(&node, &lease, &output.id()),
        };
        self.core.emit(Event::Committed {
            lease,
            unit: (&unit).into(),
            backend: tasks::backend_name(report.backend()),
            compute_ms: report.compute_ms,
            gpu_dispatches: report.gpu_dispatches,
        });
        self.leases.committed.insert(lease, Committed { unit, output, report });
        self.send(&Commit { lease: lease.to_vec(), commitment: commitment.to_vec() })
    }
}

fn decode<M: Signed>(message: &Verified) -> Result<M, SessionEnd> {
    message.message().map_err(|error: EnvelopeError| lost(error.to_string()))
}

fn lease_id(bytes: &Vec<u8>) -> Result<LeaseId, SessionEnd> {
    LeaseId::try_from(bytes).map_err(|error: IdError| lost(error.to_string()))
}

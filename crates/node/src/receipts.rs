//! Results whose verdict is out, and the check of the receipts that come back for them.

use std::collections::VecDeque;

use shoal_wire::{
    envelope::{EnvelopeError, Verified},
    ids::{BlobId, LeaseId, NodeId, UnitId},
    proto::{Outcome, Receipt, Verdict},
};

use crate::{event::UnitRef, limits::MAX_PENDING_RESULTS};

/// Why a countersigned receipt was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not a receipt, or the verdict in it is not one.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// For a unit that no result is pending for: a relay that was restarted sends its newest receipts again, since it
    /// cannot know which of them left it.
    #[error("no result of this worker is pending for unit {0}")]
    NotPending(UnitId),
    /// A field is not what this worker knows it to be.
    #[error("receipt field {field} is {got}, expected {expected}")]
    Field {
        /// Field name in the schema.
        field: &'static str,
        /// What the receipt says.
        got: String,
        /// What it should say.
        expected: String,
    },
}

/// A result that was revealed.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) lease: LeaseId,
    pub(crate) unit: UnitRef,
    pub(crate) output: BlobId,
}

/// Revealed results in order; survives sessions, because a verdict may come after a reconnect.
#[derive(Debug, Default)]
pub(crate) struct PendingResults(VecDeque<Pending>);

impl PendingResults {
    pub(crate) fn push(&mut self, pending: Pending) {
        if self.0.len() == MAX_PENDING_RESULTS {
            self.0.pop_front();
        }
        self.0.push_back(pending);
    }

    pub(crate) fn take_lease(&mut self, lease: &LeaseId) -> Option<Pending> {
        let at = self.0.iter().position(|pending| pending.lease == *lease)?;
        self.0.remove(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn ops(&self) -> u64 {
        self.0.iter().map(|pending| pending.unit.reference_ops).sum()
    }

    /// Checks a receipt whose envelope the relay signed and takes the result it is for.
    pub(crate) fn settle(
        &mut self,
        acceptance: &Verified,
        network: &str,
        own: &NodeId,
        relay: &NodeId,
    ) -> Result<Pending, ReceiptError> {
        let receipt: Receipt = acceptance.message()?;
        let unit = UnitId::try_from(&receipt.unit).map_err(|error| ReceiptError::Field {
            field: "unit",
            got: hex::encode(&receipt.unit),
            expected: error.to_string(),
        })?;
        // A unit may have been leased to this worker more than once; the output says which result it is.
        let of_unit = |pending: &Pending| pending.unit.unit == unit;
        let same = |pending: &Pending| of_unit(pending) && pending.output.0[..] == receipt.output[..];
        let at = self.0.iter().position(same).or_else(|| self.0.iter().position(of_unit));
        let at = at.ok_or(ReceiptError::NotPending(unit))?;
        check(&receipt, &self.0[at], network, own, relay)?;
        Ok(self.0.remove(at).expect("just found"))
    }
}

fn check(
    receipt: &Receipt,
    pending: &Pending,
    network: &str,
    own: &NodeId,
    relay: &NodeId,
) -> Result<(), ReceiptError> {
    bytes("worker", &receipt.worker, &own.0)?;
    bytes("relay", &receipt.relay, &relay.0)?;
    bytes("job", &receipt.job, &pending.unit.job.0)?;
    bytes("output", &receipt.output, &pending.output.0)?;
    number("reference_ops", receipt.reference_ops, pending.unit.reference_ops)?;
    number("round", receipt.round.into(), pending.unit.round.into())?;
    number("index", receipt.index.into(), pending.unit.index.into())?;

    let verdict: Verdict = Verified::open(&receipt.verdict, network)?.message()?;
    bytes("verdict.unit", &verdict.unit, &pending.unit.unit.0)?;
    bytes("verdict.worker", &verdict.worker, &own.0)?;
    bytes("verdict.lease", &verdict.lease, &pending.lease.0)?;
    bytes("verdict.output", &verdict.output, &pending.output.0)?;
    if verdict.outcome() != Outcome::Accepted {
        let (got, expected) = (verdict.outcome().as_str_name().to_owned(), "OUTCOME_ACCEPTED".to_owned());
        return Err(ReceiptError::Field { field: "verdict.outcome", got, expected });
    }
    Ok(())
}

fn bytes(field: &'static str, got: &[u8], expected: &[u8]) -> Result<(), ReceiptError> {
    if got == expected {
        return Ok(());
    }
    Err(ReceiptError::Field { field, got: hex::encode(got), expected: hex::encode(expected) })
}

fn number(field: &'static str, got: u64, expected: u64) -> Result<(), ReceiptError> {
    if got == expected {
        return Ok(());
    }
    Err(ReceiptError::Field { field, got: got.to_string(), expected: expected.to_string() })
}

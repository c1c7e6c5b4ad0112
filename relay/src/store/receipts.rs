//! What is owed to whom for what.

use shoal_wire::ids::{JobId, LeaseId, NodeId, UnitId};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    rows::{address, id, unsigned},
};

/// A receipt to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReceipt {
    /// The unit.
    pub unit: UnitId,
    /// Who computed it.
    pub worker: NodeId,
    /// The job.
    pub job: JobId,
    /// The lease.
    pub lease: LeaseId,
    /// What it pays for.
    pub reference_ops: u64,
    /// Where to, if bound.
    pub payout: Option<[u8; 20]>,
    /// The signed Receipt.
    pub envelope: Vec<u8>,
}

/// A receipt as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Sequence number in the store.
    pub sequence: u64,
    /// Everything else.
    pub receipt: NewReceipt,
}

/// Most receipts sent again to a worker that comes back, at once: a frame each, so that a long absence does not flood
/// a slow link. The rest follows at its next session.
const MAX_REDELIVERED: i64 = 256;

/// Newest receipts that a start takes for undelivered: more than the links' buffers of a relay that was killed can
/// have held. Workers ignore what they have seen.
const UNSURE_RECEIPTS: i64 = 1024;

impl Store {
    /// Receipts of a job in order of acceptance.
    pub async fn job_receipts(&self, job: &JobId) -> Result<Vec<ReceiptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM receipts WHERE job = ? ORDER BY id")
            .bind(&job.0[..])
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(receipt_row).collect()
    }

    /// Receipts with a sequence number above `after`, at most `limit`, in order.
    pub async fn receipts_after(&self, after: u64, limit: u32) -> Result<Vec<ReceiptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM receipts WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after as i64)
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(receipt_row).collect()
    }

    /// Whether a worker has a receipt for this unit.
    pub async fn has_receipt(&self, unit: &UnitId, worker: &NodeId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT count(*) AS n FROM receipts WHERE unit = ? AND worker = ?")
            .bind(&unit.0[..])
            .bind(&worker.0[..])
            .fetch_one(&self.reader)
            .await?;
        Ok(unsigned::<u32>(&row, "n")? > 0)
    }

    /// Workers that have a receipt for this unit.
    pub async fn count_unit_receipts(&self, unit: &UnitId) -> Result<u32, StoreError> {
        let row = sqlx::query("SELECT count(*) AS n FROM receipts WHERE unit = ?")
            .bind(&unit.0[..])
            .fetch_one(&self.reader)
            .await?;
        unsigned(&row, "n")
    }

    /// Receipts that were never written to their worker's session, oldest first.
    pub async fn undelivered(&self, worker: &NodeId) -> Result<Vec<ReceiptRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM receipts WHERE worker = ? AND delivered = 0 ORDER BY id LIMIT ?")
            .bind(&worker.0[..])
            .bind(MAX_REDELIVERED)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(receipt_row).collect()
    }

    /// Forgets the newest deliveries: what was written to a session just before a kill may never have left.
    pub async fn doubt_newest_deliveries(&self) -> Result<(), StoreError> {
        sqlx::query("UPDATE receipts SET delivered = 0 WHERE id > (SELECT max(id) FROM receipts) - ?")
            .bind(UNSURE_RECEIPTS)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Notes that a receipt was written to its worker's session.
    pub async fn mark_delivered(&self, lease: &LeaseId) -> Result<(), StoreError> {
        sqlx::query("UPDATE receipts SET delivered = 1 WHERE lease = ?")
            .bind(&lease.0[..])
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

/// The primary rule against paying twice is the table's: one receipt for a unit and worker.
pub(super) async fn insert_receipt(tx: &mut Transaction<'_, Sqlite>, receipt: &NewReceipt) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO receipts (unit, worker, job, lease, reference_ops, payout, envelope) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&receipt.unit.0[..])
    .bind(&receipt.worker.0[..])
    .bind(&receipt.job.0[..])
    .bind(&receipt.lease.0[..])
    .bind(receipt.reference_ops as i64)
    .bind(receipt.payout.as_ref().map(|address| address.to_vec()))
    .bind(&receipt.envelope)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn receipt_row(row: &SqliteRow) -> Result<ReceiptRow, StoreError> {
    let receipt = NewReceipt {
        unit: id(row, "unit")?,
        worker: id(row, "worker")?,
        job: id(row, "job")?,
        lease: id(row, "lease")?,
        reference_ops: unsigned(row, "reference_ops")?,
        payout: address(row, "payout")?,
        envelope: row.try_get("envelope")?,
    };
    Ok(ReceiptRow { sequence: unsigned(row, "id")?, receipt })
}

//! Revealed outputs and what the validator found.

use shoal_wire::{
    ids::{BlobId, JobId, LeaseId, NodeId, UnitId},
    proto::Outcome,
};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    NewReceipt, Store, StoreError,
    receipts::insert_receipt,
    rows::{id, unsigned},
};

/// A revealed output; its blob is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewResult {
    /// The lease it answers.
    pub lease: LeaseId,
    /// The unit.
    pub unit: UnitId,
    /// Whose it is.
    pub worker: NodeId,
    /// The output.
    pub output: BlobId,
    /// Its length, bytes.
    pub output_len: u64,
    /// Time it took, as the worker says, milliseconds.
    pub compute_ms: u32,
    /// WebGPU dispatches, as the worker says.
    pub gpu_dispatches: u32,
    /// Origin of the embedding site, or empty.
    pub site: String,
    /// The signed Commit.
    pub commit: Vec<u8>,
    /// The signed Result.
    pub result: Vec<u8>,
}

/// A stored result that was not judged before the relay stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingResult {
    /// The lease it answers.
    pub lease: LeaseId,
    /// The unit.
    pub unit: UnitId,
    /// Whose it is.
    pub worker: NodeId,
    /// The output.
    pub output: BlobId,
    /// Origin of the embedding site, or empty.
    pub site: String,
}

/// A verdict to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVerdict {
    /// The lease.
    pub lease: LeaseId,
    /// The unit.
    pub unit: UnitId,
    /// Whose result it judges.
    pub worker: NodeId,
    /// What was found.
    pub outcome: Outcome,
    /// The signed Verdict.
    pub envelope: Vec<u8>,
    /// Native time spent on the verdict, seconds.
    pub check_seconds: f64,
    /// Native time of the unit itself, seconds.
    pub compute_seconds: f64,
}

/// What a job's verdicts cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValidationCost {
    /// Native time spent on verdicts, seconds.
    pub check_seconds: f64,
    /// Native time of the judged units themselves, seconds.
    pub compute_seconds: f64,
}

impl Store {
    /// Stores a result. A repeated call changes nothing.
    pub async fn insert_result(&self, result: &NewResult) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO results (lease, unit, worker, output, output_len, compute_ms, gpu_dispatches, site, \"commit\", result)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lease) DO NOTHING",
        )
        .bind(&result.lease.0[..])
        .bind(&result.unit.0[..])
        .bind(&result.worker.0[..])
        .bind(&result.output.0[..])
        .bind(result.output_len as i64)
        .bind(result.compute_ms)
        .bind(result.gpu_dispatches)
        .bind(&result.site)
        .bind(&result.commit)
        .bind(&result.result)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Results of running jobs' open units that have no verdict, oldest first.
    pub async fn pending_results(&self, job: &JobId) -> Result<Vec<PendingResult>, StoreError> {
        let rows = sqlx::query(
            "SELECT s.lease, s.unit, s.worker, s.output, s.site FROM results s
             JOIN units u ON u.id = s.unit LEFT JOIN verdicts v ON v.lease = s.lease
             WHERE u.job = ? AND u.output IS NULL AND v.lease IS NULL ORDER BY s.rowid",
        )
        .bind(&job.0[..])
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(pending_result).collect()
    }

    /// Stores a verdict that accepts nothing.
    pub async fn insert_verdict(&self, verdict: &NewVerdict) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        insert_verdict(&mut tx, verdict).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Stores an accepting verdict with its receipt and closes the unit, all or nothing. Returns whether this closed
    /// the unit; it is false for a replica of a unit that was closed before.
    pub async fn accept(
        &self,
        verdict: &NewVerdict,
        output: &BlobId,
        receipt: &NewReceipt,
    ) -> Result<bool, StoreError> {
        let mut tx = self.writer.begin().await?;
        insert_verdict(&mut tx, verdict).await?;
        let closed = sqlx::query("UPDATE units SET output = ?, worker = ? WHERE id = ? AND output IS NULL")
            .bind(&output.0[..])
            .bind(&verdict.worker.0[..])
            .bind(&verdict.unit.0[..])
            .execute(&mut *tx)
            .await?;
        insert_receipt(&mut tx, receipt).await?;
        tx.commit().await?;
        Ok(closed.rows_affected() > 0)
    }

    /// What a job's verdicts cost so far.
    pub async fn validation_cost(&self, job: &JobId) -> Result<ValidationCost, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(v.check_seconds), 0.0) AS checked, coalesce(sum(v.compute_seconds), 0.0) AS computed
             FROM verdicts v JOIN units u ON u.id = v.unit WHERE u.job = ?",
        )
        .bind(&job.0[..])
        .fetch_one(&self.reader)
        .await?;
        Ok(ValidationCost { check_seconds: row.try_get("checked")?, compute_seconds: row.try_get("computed")? })
    }

    /// Wrong results of a worker by class of the unit, by the coordinator's rule: an output that did not arrive is no
    /// lie, and a tolerant unit's result out of bounds is counted apart.
    pub async fn strikes(&self, worker: &NodeId) -> Result<(u32, u32), StoreError> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE NOT (u.class = 2 AND v.outcome = 2)) AS exact,
                    count(*) FILTER (WHERE u.class = 2 AND v.outcome = 2) AS tolerant
             FROM verdicts v JOIN units u ON u.id = v.unit WHERE v.worker = ? AND v.outcome NOT IN (1, 6)",
        )
        .bind(&worker.0[..])
        .fetch_one(&self.reader)
        .await?;
        Ok((unsigned(&row, "exact")?, unsigned(&row, "tolerant")?))
    }
}

// The numbers in the queries above are those of the schema in `receipt.proto` and `unit.proto`, which never change.
const _: () = assert!(Outcome::Accepted as i32 == 1 && Outcome::WrongResult as i32 == 2);
const _: () = assert!(Outcome::OutputUnavailable as i32 == 6 && shoal_wire::proto::Class::Tolerant as i32 == 2);

async fn insert_verdict(tx: &mut Transaction<'_, Sqlite>, verdict: &NewVerdict) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO verdicts (lease, unit, worker, outcome, envelope, check_seconds, compute_seconds)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&verdict.lease.0[..])
    .bind(&verdict.unit.0[..])
    .bind(&verdict.worker.0[..])
    .bind(verdict.outcome as i32)
    .bind(&verdict.envelope)
    .bind(verdict.check_seconds)
    .bind(verdict.compute_seconds)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn pending_result(row: &SqliteRow) -> Result<PendingResult, StoreError> {
    Ok(PendingResult {
        lease: id(row, "lease")?,
        unit: id(row, "unit")?,
        worker: id(row, "worker")?,
        output: id(row, "output")?,
        site: row.try_get("site")?,
    })
}

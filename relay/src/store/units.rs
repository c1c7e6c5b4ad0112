//! Units of rounds.

use shoal_wire::{
    api::MapOutput,
    ids::{BlobId, JobId, NodeId, UnitId},
    unit::CheckedUnit,
};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    rows::{id, optional_id, unsigned},
};

/// A unit as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitRow {
    /// The unit.
    pub unit: CheckedUnit,
    /// Its accepted output and whose it is; present once the unit is closed.
    pub accepted: Option<(BlobId, NodeId)>,
}

impl Store {
    /// Units of a round by index.
    pub async fn round_units(&self, job: &JobId, round: u32) -> Result<Vec<UnitRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM units WHERE job = ? AND round = ? ORDER BY position")
            .bind(&job.0[..])
            .bind(round)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(unit_row).collect()
    }

    /// One unit.
    pub async fn unit(&self, unit: &UnitId) -> Result<Option<UnitRow>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM units WHERE id = ?").bind(&unit.0[..]).fetch_optional(&self.reader).await?;
        row.as_ref().map(unit_row).transpose()
    }

    /// Units of a round that are accepted.
    pub async fn count_accepted(&self, job: &JobId, round: u32) -> Result<u32, StoreError> {
        let row = sqlx::query("SELECT count(*) AS n FROM units WHERE job = ? AND round = ? AND output IS NOT NULL")
            .bind(&job.0[..])
            .bind(round)
            .fetch_one(&self.reader)
            .await?;
        unsigned(&row, "n")
    }

    /// A map job's accepted outputs in order of the shards: the first `limit` from shard `from` on.
    pub async fn map_outputs(&self, job: &JobId, from: u32, limit: u32) -> Result<Vec<MapOutput>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.position, u.output, s.samples FROM units u JOIN shards s ON s.job = u.job AND s.position = u.position
             WHERE u.job = ? AND u.round = 0 AND u.position >= ? AND u.output IS NOT NULL ORDER BY u.position LIMIT ?",
        )
        .bind(&job.0[..])
        .bind(from)
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        let read = |row| {
            let (shard, rows) = (unsigned(row, "position")?, unsigned(row, "samples")?);
            Ok(MapOutput { shard, rows, blob: id(row, "output")? })
        };
        rows.iter().map(read).collect()
    }

    /// Rows of a map job's accepted shards.
    pub async fn map_rows_done(&self, job: &JobId) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(s.samples), 0) AS done
             FROM units u JOIN shards s ON s.job = u.job AND s.position = u.position
             WHERE u.job = ? AND u.round = 0 AND u.output IS NOT NULL",
        )
        .bind(&job.0[..])
        .fetch_one(&self.reader)
        .await?;
        unsigned(&row, "done")
    }

    /// Reference operations of a job's accepted units.
    pub async fn verified_ops(&self, job: &JobId) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(reference_ops), 0) AS ops FROM units WHERE job = ? AND output IS NOT NULL",
        )
        .bind(&job.0[..])
        .fetch_one(&self.reader)
        .await?;
        unsigned(&row, "ops")
    }
}

fn unit_row(row: &SqliteRow) -> Result<UnitRow, StoreError> {
    let bytes: &[u8] = row.try_get("bytes")?;
    let unit = CheckedUnit::decode(bytes)
        .map_err(|error| StoreError::Corrupt { column: "bytes", found: error.to_string() })?;
    let accepted = optional_id(row, "output")?.zip(optional_id(row, "worker")?);
    Ok(UnitRow { unit, accepted })
}

//! Payout bindings and closed epochs: what the ledger derives its trees from.

use shoal_ledger::{BaseUnits, Keccak, outbox::EpochRecord};
use shoal_wire::ids::NodeId;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    rows::{address, id, unix_seconds, unsigned},
};

/// A binding as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRow {
    /// Sequence number in the store.
    pub sequence: u64,
    /// The node.
    pub node: NodeId,
    /// Its address from then on.
    pub payout: [u8; 20],
}

impl Store {
    /// Bindings with a sequence number above `after`, at most `limit`, in order.
    pub async fn bindings_after(&self, after: u64, limit: u32) -> Result<Vec<BindingRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM bindings WHERE id > ? ORDER BY id LIMIT ?")
            .bind(after as i64)
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(binding_row).collect()
    }

    /// Stores a closed epoch.
    pub async fn insert_epoch(&self, epoch: &EpochRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO epochs (number, through_receipt, through_binding, root, total, closed_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(epoch.number as i64)
        .bind(epoch.through_receipt as i64)
        .bind(epoch.through_binding as i64)
        .bind(&epoch.root.0[..])
        .bind(epoch.total.to_string())
        .bind(unix_seconds())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The newest closed epoch.
    pub async fn newest_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        self.last_epoch("SELECT * FROM epochs ORDER BY number DESC LIMIT 1").await
    }

    /// The newest epoch that the chain was seen to have in force.
    pub async fn newest_posted_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        self.last_epoch("SELECT * FROM epochs WHERE posted = 1 ORDER BY number DESC LIMIT 1").await
    }

    async fn last_epoch(&self, sql: &'static str) -> Result<Option<EpochRecord>, StoreError> {
        let row = sqlx::query(sql).fetch_optional(&self.reader).await?;
        row.as_ref().map(epoch_row).transpose()
    }

    /// Notes that the chain has this epoch in force, and with it all before.
    pub async fn mark_posted(&self, number: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE epochs SET posted = 1 WHERE number <= ? AND posted = 0")
            .bind(number as i64)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Receipts that no epoch on chain holds.
    pub async fn outbox_depth(&self) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT count(*) AS n FROM receipts
             WHERE id > (SELECT coalesce(max(through_receipt), 0) FROM epochs WHERE posted = 1)",
        )
        .fetch_one(&self.reader)
        .await?;
        unsigned(&row, "n")
    }
}

fn binding_row(row: &SqliteRow) -> Result<BindingRow, StoreError> {
    let payout = address(row, "payout")?.ok_or(StoreError::Corrupt { column: "payout", found: "NULL".to_owned() })?;
    Ok(BindingRow { sequence: unsigned(row, "id")?, node: id(row, "node")?, payout })
}

fn epoch_row(row: &SqliteRow) -> Result<EpochRecord, StoreError> {
    let root: &[u8] = row.try_get("root")?;
    let found = root.len();
    let root: [u8; 32] =
        root.try_into().map_err(|_| StoreError::Corrupt { column: "root", found: format!("{found} bytes") })?;
    let total: &str = row.try_get("total")?;
    let total: BaseUnits =
        total.parse().map_err(|_| StoreError::Corrupt { column: "total", found: total.to_owned() })?;
    Ok(EpochRecord {
        number: unsigned(row, "number")?,
        through_receipt: unsigned(row, "through_receipt")?,
        through_binding: unsigned(row, "through_binding")?,
        root: Keccak(root),
        total,
    })
}

//! Workers, known by what they said of themselves and by how their results were judged.

use shoal_wire::{
    api::WorkerRow,
    ids::{JobId, NodeId},
};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    rows::{address, id, unix_seconds, unsigned},
};

/// A worker's session as it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSeen {
    /// The worker.
    pub node: NodeId,
    /// `browser`, `native` or `node`.
    pub kind: &'static str,
    /// `cpu` or `webgpu`.
    pub backend: &'static str,
    /// WebGPU adapter, or empty.
    pub adapter: String,
    /// Name and version of its software.
    pub agent: String,
    /// Whom to pay; kept if newer than the one known.
    pub binding: Option<Binding>,
}

/// A checked payout binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// EVM address.
    pub address: [u8; 20],
    /// When the node signed it, Unix seconds.
    pub issued_at_s: u64,
    /// The signed envelope.
    pub envelope: Vec<u8>,
}

impl Store {
    /// Stores a worker's session and its payout binding, if newer.
    pub async fn worker_seen(&self, seen: &WorkerSeen) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        sqlx::query(
            "INSERT INTO workers (node, kind, backend, adapter, agent, seen_at) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (node) DO UPDATE SET kind = excluded.kind, backend = excluded.backend,
                 adapter = excluded.adapter, agent = excluded.agent, seen_at = excluded.seen_at",
        )
        .bind(&seen.node.0[..])
        .bind(seen.kind)
        .bind(seen.backend)
        .bind(&seen.adapter)
        .bind(&seen.agent)
        .bind(unix_seconds())
        .execute(&mut *tx)
        .await?;
        if let Some(binding) = &seen.binding {
            // Only a newer binding counts, and only one that changes the address makes a row: the ledger reads each once.
            let known =
                sqlx::query("SELECT payout, max(issued_at) AS issued_at FROM bindings WHERE node = ? GROUP BY node")
                    .bind(&seen.node.0[..])
                    .fetch_optional(&mut *tx)
                    .await?;
            let changes = match &known {
                None => true,
                Some(row) => {
                    unsigned::<u64>(row, "issued_at")? < binding.issued_at_s
                        && address(row, "payout")? != Some(binding.address)
                }
            };
            if changes {
                insert_binding(&mut tx, &seen.node, binding).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Whom to pay for a node's work.
    pub async fn payout(&self, node: &NodeId) -> Result<Option<[u8; 20]>, StoreError> {
        let row = sqlx::query("SELECT payout FROM workers WHERE node = ?")
            .bind(&node.0[..])
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map_or(Ok(None), |row| address(row, "payout"))
    }

    /// Everyone who contributed to a job, or to any job, with what was verified and what was rejected. An
    /// output that did not arrive was not judged, so it is neither.
    pub async fn worker_rows(&self, job: Option<&JobId>) -> Result<Vec<WorkerRow>, StoreError> {
        let sql = "SELECT w.node, w.kind, w.backend, w.adapter, w.payout,
                coalesce(a.ops, 0) AS ops, coalesce(a.units, 0) AS accepted, coalesce(a.dispatches, 0) AS dispatches,
                coalesce(x.units, 0) AS rejected
            FROM workers w
            LEFT JOIN (SELECT r.worker, sum(r.reference_ops) AS ops, count(*) AS units, sum(s.gpu_dispatches) AS dispatches
                FROM receipts r JOIN results s ON s.lease = r.lease
                WHERE ?1 IS NULL OR r.job = ?1 GROUP BY r.worker) a ON a.worker = w.node
            LEFT JOIN (SELECT v.worker, count(*) AS units FROM verdicts v JOIN units u ON u.id = v.unit
                WHERE v.outcome NOT IN (1, 6) AND (?1 IS NULL OR u.job = ?1) GROUP BY v.worker) x ON x.worker = w.node
            WHERE ?1 IS NULL OR a.worker IS NOT NULL OR x.worker IS NOT NULL
            ORDER BY ops DESC, w.node";
        let rows = sqlx::query(sql).bind(job.map(|job| job.0.to_vec())).fetch_all(&self.reader).await?;
        rows.iter().map(worker_row).collect()
    }
}

async fn insert_binding(tx: &mut Transaction<'_, Sqlite>, node: &NodeId, binding: &Binding) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO bindings (node, payout, issued_at, envelope) VALUES (?, ?, ?, ?)")
        .bind(&node.0[..])
        .bind(&binding.address[..])
        .bind(binding.issued_at_s as i64)
        .bind(&binding.envelope)
        .execute(&mut **tx)
        .await?;
    sqlx::query("UPDATE workers SET payout = ? WHERE node = ?")
        .bind(&binding.address[..])
        .bind(&node.0[..])
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// `connected` is the swarm's to know; it is false here.
fn worker_row(row: &SqliteRow) -> Result<WorkerRow, StoreError> {
    Ok(WorkerRow {
        node: id(row, "node")?,
        kind: row.try_get("kind")?,
        backend: row.try_get("backend")?,
        adapter: row.try_get("adapter")?,
        connected: false,
        verified_ops: unsigned(row, "ops")?,
        accepted_units: unsigned(row, "accepted")?,
        rejected_units: unsigned(row, "rejected")?,
        gpu_dispatches: unsigned(row, "dispatches")?,
        payout_address: address(row, "payout")?.map(|bytes| format!("0x{}", hex::encode(bytes))),
    })
}

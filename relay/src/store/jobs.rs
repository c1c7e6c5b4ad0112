//! Jobs, their shards and their checkpoints.

use shoal_wire::{
    api::JobState,
    ids::{BlobId, JobId},
    unit::CheckedUnit,
};
use sqlx::{Row as _, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    rows::{id, state, state_text, unix_seconds, unsigned},
};

/// A job as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Identifier.
    pub id: JobId,
    /// JSON as submitted.
    pub document: Vec<u8>,
    /// Name for people.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed.
    pub failure: Option<String>,
    /// Rounds planned.
    pub rounds: u32,
    /// Rounds averaged.
    pub rounds_done: u32,
    /// Units of a round.
    pub units_per_round: u32,
    /// Blob that the current round starts from; after the last round, the model. A map job's units each name their own; here
    /// are those of its first graph.
    pub parameters: BlobId,
    /// After the last averaged round.
    pub held_out_accuracy: Option<f64>,
}

/// A part of the training data, or of a map job's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its blob.
    pub blob: BlobId,
    /// Samples in it, the weight of its unit in the average; or rows.
    pub samples: u32,
}

/// A job to be stored with its first round.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Identifier.
    pub id: JobId,
    /// JSON as submitted.
    pub document: Vec<u8>,
    /// How many times this document was submitted before.
    pub ordinal: u64,
    /// Name for people.
    pub name: String,
    /// Rounds planned.
    pub rounds: u32,
    /// Initial parameters.
    pub parameters: BlobId,
    /// Shards by unit index.
    pub shards: Vec<Shard>,
    /// Units of round 0 by index.
    pub units: Vec<CheckedUnit>,
}

impl Store {
    /// How many jobs have this document.
    pub async fn count_documents(&self, document: &[u8]) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) AS n FROM jobs WHERE document = ?")
            .bind(document)
            .fetch_one(&self.reader)
            .await?;
        unsigned(&row, "n")
    }

    /// Stores a job, its shards and the units of its first round.
    pub async fn insert_job(&self, job: &NewJob) -> Result<(), StoreError> {
        let mut tx = self.writer.begin().await?;
        sqlx::query(
            "INSERT INTO jobs (id, document, ordinal, name, state, rounds, units_per_round, parameters, submitted_at)
             VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?)",
        )
        .bind(&job.id.0[..])
        .bind(&job.document)
        .bind(job.ordinal as i64)
        .bind(&job.name)
        .bind(job.rounds)
        .bind(job.units.len() as i64)
        .bind(&job.parameters.0[..])
        .bind(unix_seconds())
        .execute(&mut *tx)
        .await?;
        for (position, shard) in job.shards.iter().enumerate() {
            sqlx::query("INSERT INTO shards (job, position, blob, samples) VALUES (?, ?, ?, ?)")
                .bind(&job.id.0[..])
                .bind(position as i64)
                .bind(&shard.blob.0[..])
                .bind(shard.samples)
                .execute(&mut *tx)
                .await?;
        }
        insert_units(&mut tx, &job.units).await?;
        tx.commit().await?;
        Ok(())
    }

    /// One job.
    pub async fn job(&self, job: &JobId) -> Result<Option<JobRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM jobs WHERE id = ?").bind(&job.0[..]).fetch_optional(&self.reader).await?;
        row.as_ref().map(job_row).transpose()
    }

    /// All jobs, oldest first.
    pub async fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM jobs ORDER BY submitted_at, rowid").fetch_all(&self.reader).await?;
        rows.iter().map(job_row).collect()
    }

    /// Jobs that are running, oldest first.
    pub async fn running_jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM jobs WHERE state = 'running' ORDER BY submitted_at, rowid")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(job_row).collect()
    }

    /// Shards by unit index.
    pub async fn shards(&self, job: &JobId) -> Result<Vec<Shard>, StoreError> {
        let rows = sqlx::query("SELECT * FROM shards WHERE job = ? ORDER BY position")
            .bind(&job.0[..])
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok(Shard { blob: id(row, "blob")?, samples: unsigned(row, "samples")? })).collect()
    }

    /// Closes round `round` with its new parameters and opens the next one with its units, or finishes the job where
    /// there are none. Nothing happens unless the job is running and at that round, so that a repeated call after a
    /// crash changes nothing; returns whether it did.
    pub async fn finish_round(
        &self,
        job: &JobId,
        round: u32,
        parameters: &BlobId,
        accuracy: Option<f64>,
        next_units: &[CheckedUnit],
    ) -> Result<bool, StoreError> {
        let mut tx = self.writer.begin().await?;
        let next_state = if next_units.is_empty() { JobState::Finished } else { JobState::Running };
        let updated = sqlx::query(
            "UPDATE jobs SET rounds_done = ?, parameters = ?, held_out_accuracy = ?, state = ?
             WHERE id = ? AND rounds_done = ? AND state = 'running'",
        )
        .bind(i64::from(round) + 1)
        .bind(&parameters.0[..])
        .bind(accuracy)
        .bind(state_text(next_state))
        .bind(&job.0[..])
        .bind(round)
        .execute(&mut *tx)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO checkpoints (job, round, parameters, held_out_accuracy, averaged_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&job.0[..])
        .bind(round)
        .bind(&parameters.0[..])
        .bind(accuracy)
        .bind(unix_seconds())
        .execute(&mut *tx)
        .await?;
        insert_units(&mut tx, next_units).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a running job; returns whether it was running.
    pub async fn end_job(&self, job: &JobId, state: JobState, failure: Option<&str>) -> Result<bool, StoreError> {
        let updated = sqlx::query("UPDATE jobs SET state = ?, failure = ? WHERE id = ? AND state = 'running'")
            .bind(state_text(state))
            .bind(failure)
            .bind(&job.0[..])
            .execute(&self.writer)
            .await?;
        Ok(updated.rows_affected() > 0)
    }
}

async fn insert_units(tx: &mut Transaction<'_, Sqlite>, units: &[CheckedUnit]) -> Result<(), StoreError> {
    for unit in units {
        sqlx::query(
            "INSERT INTO units (id, job, round, position, bytes, class, reference_ops) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&unit.id.0[..])
        .bind(&unit.job.0[..])
        .bind(unit.message.round)
        .bind(unit.message.index)
        .bind(unit.encode())
        .bind(unit.class as i32)
        .bind(unit.message.reference_ops as i64)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn job_row(row: &SqliteRow) -> Result<JobRow, StoreError> {
    Ok(JobRow {
        id: id(row, "id")?,
        document: row.try_get("document")?,
        name: row.try_get("name")?,
        state: state(row)?,
        failure: row.try_get("failure")?,
        rounds: unsigned(row, "rounds")?,
        rounds_done: unsigned(row, "rounds_done")?,
        units_per_round: unsigned(row, "units_per_round")?,
        parameters: id(row, "parameters")?,
        held_out_accuracy: row.try_get("held_out_accuracy")?,
    })
}

//! Everything that must survive: SQLite for rows, a folder for blobs.
//!
//! One writer connection and a few readers (WAL). `synchronous=FULL` makes a commit survive a power loss. Every method
//! that changes several rows does so in one transaction; blobs a row names are on disk before the row is.

mod epochs;
mod jobs;
mod receipts;
mod results;
mod rows;
mod units;
mod workers;

pub mod blobs;
pub mod files;
pub mod hashed;

use std::path::Path;

use sqlx::{
    SqlSafeStr as _, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use epochs::BindingRow;
pub use jobs::{JobRow, NewJob, Shard};
pub use receipts::{NewReceipt, ReceiptRow};
pub use results::{NewResult, NewVerdict, PendingResult, ValidationCost};
pub use rows::unix_seconds;
pub use units::UnitRow;
pub use workers::{Binding, WorkerSeen};

/// Reader connections of the relay itself, and as many for strangers' HTTP requests; SQLite serves few readers best.
const READERS: u32 = 4;

/// How long the relay's own queries wait for a connection. The engine stops when the store fails, so a crowd or a slow
/// disk must make it wait, not fail; beyond this something hangs.
const OWN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// How long a stranger's request waits for a connection before it is answered with an error.
const PUBLIC_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a connection waits for a lock before the query fails. The only writer is this process; only a backup
/// program or a curious person with a shell can hold it longer than a commit takes.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A store that failed or holds what it cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] MigrateError),
    /// A stored value that no version of this program writes.
    #[error("column {column} holds {found}")]
    Corrupt {
        /// Which column.
        column: &'static str,
        /// What is there.
        found: String,
    },
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    /// Readers of [`Self::public`].
    public: SqlitePool,
}

impl Store {
    /// Opens the file, making it if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// A file that is not a database, or one written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(OWN_PATIENCE);
        let writer = writer.connect_with(options.clone()).await?;
        migrator().run(&writer).await?;
        let options = options.read_only(true);
        let readers = SqlitePoolOptions::new().max_connections(READERS);
        let reader = readers.clone().acquire_timeout(OWN_PATIENCE).connect_with(options.clone()).await?;
        let public = readers.acquire_timeout(PUBLIC_PATIENCE).connect_with(options).await?;
        Ok(Self { writer, reader, public })
    }

    /// The same store read over connections of its own: strangers' requests wait for each other, the engine never for
    /// them.
    pub fn public(&self) -> Self {
        Self { reader: self.public.clone(), ..self.clone() }
    }

    /// Waits for running queries and closes the files.
    pub async fn close(&self) {
        self.public.close().await;
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Migrations in order. A released one is never edited: its checksum is kept in each database.
fn migrator() -> Migrator {
    let files = [
        (1, "initial", include_str!("../../migrations/0001_initial.sql")),
        (2, "map_rows", include_str!("../../migrations/0002_map_rows.sql")),
    ];
    Migrator::with_migrations(
        files
            .into_iter()
            .map(|(version, name, sql)| {
                Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests;

//! Between columns and types.

use std::time::{SystemTime, UNIX_EPOCH};

use shoal_wire::{api::JobState, ids::IdError};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::StoreError;

/// Seconds since 1970; for people and bindings, never for leases.
pub fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

pub(super) fn id<T>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: for<'b> TryFrom<&'b [u8], Error = IdError>,
{
    let bytes: &[u8] = row.try_get(column)?;
    T::try_from(bytes).map_err(|error| StoreError::Corrupt { column, found: error.to_string() })
}

pub(super) fn optional_id<T>(row: &SqliteRow, column: &'static str) -> Result<Option<T>, StoreError>
where
    T: for<'b> TryFrom<&'b [u8], Error = IdError>,
{
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes
        .map(|bytes| T::try_from(bytes).map_err(|error| StoreError::Corrupt { column, found: error.to_string() }))
        .transpose()
}

pub(super) fn address(row: &SqliteRow, column: &'static str) -> Result<Option<[u8; 20]>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    let Some(bytes) = bytes else { return Ok(None) };
    let found = bytes.len();
    let address = bytes.try_into().map_err(|_| StoreError::Corrupt { column, found: format!("{found} bytes") })?;
    Ok(Some(address))
}

/// A column that holds a count or a number below 2^63.
pub(super) fn unsigned<T: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt { column, found: value.to_string() })
}

pub(super) fn state_text(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Finished => "finished",
        JobState::Cancelled => "cancelled",
        JobState::Failed => "failed",
    }
}

pub(super) fn state(row: &SqliteRow) -> Result<JobState, StoreError> {
    match row.try_get::<&str, _>("state")? {
        "running" => Ok(JobState::Running),
        "finished" => Ok(JobState::Finished),
        "cancelled" => Ok(JobState::Cancelled),
        "failed" => Ok(JobState::Failed),
        other => Err(StoreError::Corrupt { column: "state", found: other.to_owned() }),
    }
}

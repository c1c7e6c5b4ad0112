//! Computes shards on a swarm: [`plan`] uploads them and makes the job's document, [`follow`] fetches outputs as they are
//! accepted and writes them in the order of the input.
//!
//! The same input and flags give the same document, byte for byte. So a command that is killed and repeated reads its input
//! again, sees by the document's hash that it is the same job, and fetches what it has not written.

mod follow;
mod plan;

use std::path::Path;

use serde_json::json;
use shoal_dataset::{InOrder, OutputFormat, ResultWriter};

use super::{Done, Rows, RowsError, state::State};
use crate::{error::CliError, output::Output, relay_api::RelayApi};
use plan::Plan;

/// Runs all rows on a swarm and writes the output.
pub(crate) async fn write(
    rows: Rows,
    name: &str,
    relay: &RelayApi,
    path: &Path,
    resume: bool,
    output: &Output,
) -> Result<Done, CliError> {
    let columns = rows.results.columns();
    if OutputFormat::of(path).is_none() {
        return Err(shoal_dataset::DatasetError::UnknownOutput { path: path.to_owned() }.into());
    }
    let kept = State::read(path)?;
    if let Some(State { job, .. }) = &kept
        && !resume
    {
        let (output, state) = (path.to_owned(), State::path(path));
        return Err(RowsError::Unfinished { job: *job, output, state }.into());
    }
    let plan = Plan::make(rows, name, kept.is_none().then_some(relay), output).await?;
    let (state, writer) = match kept {
        Some(state) if state.document != plan.document => {
            return Err(RowsError::Changed { job: state.job, state: State::path(path) }.into());
        }
        // Parquet is whole or nothing: its index comes last.
        Some(state) if state.rows > 0 && OutputFormat::of(path) != Some(OutputFormat::Parquet) => {
            let writer = ResultWriter::resume(path, columns, state.rows)?;
            (state, writer)
        }
        Some(state) => (state, ResultWriter::create(path, columns)?),
        None if plan.spec.shards.is_empty() => return plan.write_failed(ResultWriter::create(path, columns)?),
        None => {
            // Before the job is paid for: an output that cannot be written is found here.
            let writer = ResultWriter::create(path, columns)?;
            let state = State::new(relay.submit_map(&plan.spec).await?, plan.document);
            state.write(path)?;
            (state, writer)
        }
    };
    let (job, done, total) = (state.job, state.rows, plan.rows);
    let units = plan.spec.shards.len();
    output.result(
        &json!({"event": "submitted", "job": job, "units": units, "rows": total, "rows_written": done}),
        match done {
            0 => format!("job {job}: {total} rows in {units} units"),
            _ => format!("job {job}: {done} of {total} rows are written already"),
        },
    );
    let done = follow::follow(&plan, state, InOrder::new(writer), relay, path, output).await?;
    State::remove(path)?;
    Ok(done)
}

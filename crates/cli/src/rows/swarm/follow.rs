//! Fetches a job's outputs as they are accepted, and writes their rows.

use std::{collections::BTreeSet, path::Path, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use shoal_compute::Tensors;
use shoal_dataset::{InOrder, ResultRow};
use shoal_wire::api::{JobState, JobStatus, MapOutput};

use super::{
    super::{Done, MAX_WINDOW_ROWS, RowsError, state::State},
    plan::Plan,
};
use crate::{
    error::CliError,
    job::watch::{INTERVAL, MAX_ABSENCE},
    output::Output,
    relay_api::{OUTPUTS_PER_PAGE, RelayApi},
};

/// Outputs that begin further behind the first missing row are fetched later. With the rows of a window, which an output may
/// span, this stays below what the writer takes.
const MAX_ROWS_AHEAD: u64 = 1 << 18;
const _: () = assert!(MAX_ROWS_AHEAD + MAX_WINDOW_ROWS <= shoal_dataset::limits::MAX_ROWS_AHEAD);

struct Follow<'a> {
    plan: &'a Plan,
    relay: &'a RelayApi,
    path: &'a Path,
    state: State,
    writer: InOrder,
    /// Shards whose rows were given to the writer.
    taken: BTreeSet<u32>,
    /// The first row that may have failed here and was not given to the writer.
    next_failed: u64,
    done: Done,
}

/// Until the last row is written. A job that ends without all outputs is an error.
pub(super) async fn follow(
    plan: &Plan,
    state: State,
    writer: InOrder,
    relay: &RelayApi,
    path: &Path,
    output: &Output,
) -> Result<Done, CliError> {
    let done = Done { rows: plan.rows, failed_rows: plan.failed.len() as u64 };
    let next_failed = writer.next_row();
    let mut follow = Follow { plan, relay, path, state, writer, taken: BTreeSet::new(), next_failed, done };
    let bar = bar(plan.rows, output);
    let mut absent = Duration::ZERO;
    let mut last: Option<JobStatus> = None;
    loop {
        let (status, advanced) = match follow.advance().await {
            Ok(made) => made,
            Err(CliError::Unreachable { .. }) if absent < MAX_ABSENCE => {
                absent += INTERVAL;
                tokio::time::sleep(INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        absent = Duration::ZERO;
        let written = follow.writer.next_row();
        bar.set_position(written);
        let workers = status.workers.iter().filter(|worker| worker.connected).count();
        bar.set_message(format!("{} accepted, {workers} workers", status.rows.map_or(0, |rows| rows.done)));
        if advanced {
            output.object(&serde_json::json!({"event": "progress", "rows_written": written, "rows": plan.rows}));
        }
        if last.as_ref() != Some(&status) {
            output.object(&status);
        }
        match status.state {
            JobState::Finished if written == plan.rows => {
                bar.finish_and_clear();
                follow.writer.finish()?;
                return Ok(follow.done);
            }
            JobState::Finished if advanced => continue,
            JobState::Finished => {
                let shard = (0..).find(|shard| !follow.taken.contains(shard)).unwrap_or(0);
                return Err(RowsError::Output { shard, reason: "the job is finished without it".to_owned() }.into());
            }
            JobState::Running => {}
            JobState::Cancelled | JobState::Failed => {
                bar.finish_and_clear();
                // There is nothing to go on with.
                State::remove(path)?;
                return Err(CliError::JobEnded { state: status.state, failure: status.failure });
            }
        }
        last = Some(status);
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Follow<'_> {
    /// Takes what is there and near enough; the status is from before it. Says whether rows were written.
    async fn advance(&mut self) -> Result<(JobStatus, bool), CliError> {
        let status = self.relay.job(&self.state.job).await?;
        let before = self.writer.next_row();
        self.take_failed()?;
        let mut from = (0..).find(|shard| !self.taken.contains(shard)).unwrap_or(0);
        loop {
            let page = self.relay.outputs(&self.state.job, from).await?;
            for output in &page {
                if self.is_wanted(output)? {
                    self.take(output).await?;
                    self.take_failed()?;
                }
            }
            match page.last() {
                Some(last) if page.len() == OUTPUTS_PER_PAGE => from = last.shard + 1,
                _ => break,
            }
        }
        let written = self.writer.next_row();
        if written > before {
            self.writer.flush()?;
            self.state.rows = written;
            self.state.write(self.path)?;
        }
        Ok((status, written > before))
    }

    fn is_wanted(&self, output: &MapOutput) -> Result<bool, CliError> {
        let Some(rows) = self.plan.shard_rows.get(output.shard as usize) else {
            let reason = format!("the job has {} shards", self.plan.shard_rows.len());
            return Err(RowsError::Output { shard: output.shard, reason }.into());
        };
        let next = self.writer.next_row();
        let is_near = rows.first().is_some_and(|first| *first < next + MAX_ROWS_AHEAD);
        Ok(is_near && !self.taken.contains(&output.shard))
    }

    /// Rows of a shard that are written already are passed over by the writer.
    async fn take(&mut self, output: &MapOutput) -> Result<(), CliError> {
        let rows = &self.plan.shard_rows[output.shard as usize];
        if rows.last().is_some_and(|last| *last >= self.writer.next_row()) {
            let refused = |reason: String| RowsError::Output { shard: output.shard, reason };
            let bytes = self.relay.blob(&output.blob).await?;
            let made = Tensors::from_bytes(&bytes).map_err(|error| refused(error.to_string()))?;
            for row in self.plan.results.rows(output.shard, rows, &made)? {
                self.done.failed_rows += u64::from(row.values.is_err());
                self.writer.put(row)?;
            }
        }
        self.taken.insert(output.shard);
        Ok(())
    }

    /// Rows that failed here, as far as they are due or nearly so.
    fn take_failed(&mut self) -> Result<(), CliError> {
        let end = self.writer.next_row() + MAX_ROWS_AHEAD;
        if self.next_failed < end {
            for (row, reason) in self.plan.failed.range(self.next_failed..end) {
                self.writer.put(ResultRow { row: *row, values: Err(reason.clone()) })?;
            }
            self.next_failed = end;
        }
        Ok(())
    }
}

fn bar(rows: u64, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let template = "{spinner} [{elapsed_precise}] {bar:30} {pos}/{len} rows written  {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    let bar = ProgressBar::new(rows).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

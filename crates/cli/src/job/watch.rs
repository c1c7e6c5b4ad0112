//! Follows a job until it ends.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use shoal_wire::{
    api::{JobState, JobStatus},
    ids::JobId,
};

use super::state_name;
use crate::{error::CliError, output::Output, relay_api::RelayApi};

/// How often the relay is asked: as fast as people read.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// How long a relay may be away before watching it is given up: a restart takes seconds.
pub(crate) const MAX_ABSENCE: Duration = Duration::from_secs(60);

/// Shows progress until the job ends. A job that ends without a model is an error.
pub(super) async fn watch(relay: &RelayApi, id: &JobId, output: &Output) -> Result<(), CliError> {
    let bar = bar(output);
    let mut last: Option<JobStatus> = None;
    let mut absent = Duration::ZERO;
    loop {
        let status = match relay.job(id).await {
            Ok(status) => status,
            // Known before: the relay restarts and goes on with the job.
            Err(CliError::Unreachable { .. }) if last.is_some() && absent < MAX_ABSENCE => {
                absent += INTERVAL;
                tokio::time::sleep(INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        absent = Duration::ZERO;
        if last.as_ref() != Some(&status) {
            output.object(&status);
            show(&bar, &status);
            let rounds_before = last.as_ref().map_or(0, |last| last.rounds_done);
            if bar.is_hidden() && status.rounds_done > rounds_before {
                output.text(format!("round {}/{}: {}", status.rounds_done, status.rounds, accuracy(&status)));
            }
        }
        let ended = status.state != JobState::Running;
        if ended {
            bar.finish_and_clear();
            return end(&status, output);
        }
        last = Some(status);
        tokio::time::sleep(INTERVAL).await;
    }
}

fn bar(output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let template = "{spinner} [{elapsed_precise}] {bar:30} {pos}/{len} units  {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    let bar = ProgressBar::new(0).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn show(bar: &ProgressBar, status: &JobStatus) {
    let (done, per_round) = (u64::from(status.rounds_done), u64::from(status.units_per_round));
    bar.set_length(u64::from(status.rounds) * per_round);
    bar.set_position(done * per_round + u64::from(status.round_accepted));
    let workers = status.workers.iter().filter(|worker| worker.connected).count();
    bar.set_message(format!("round {done}/{}, {}, {workers} workers", status.rounds, accuracy(status)));
}

fn accuracy(status: &JobStatus) -> String {
    match status.held_out_accuracy {
        Some(accuracy) => format!("{:.2} % held-out", accuracy * 100.0),
        None => "no accuracy yet".to_owned(),
    }
}

fn end(status: &JobStatus, output: &Output) -> Result<(), CliError> {
    for worker in &status.workers {
        let (kind, backend) = (&worker.kind, &worker.backend);
        let (ops, accepted, rejected) = (worker.verified_ops, worker.accepted_units, worker.rejected_units);
        output.text(format!(
            "{}  {kind:<8} {backend:<7} {ops:>15} ops  {accepted:>5} accepted  {rejected:>4} rejected",
            worker.node.short()
        ));
    }
    if status.state != JobState::Finished {
        return Err(CliError::JobEnded { state: status.state, failure: status.failure.clone() });
    }
    let overhead =
        status.validation_overhead.map(|x| format!(", checking cost {x:.2} of computing")).unwrap_or_default();
    let (state, ops) = (state_name(status.state), status.verified_ops);
    output.text(format!("{state}: {}, {ops} verified operations{overhead}", accuracy(status)));
    Ok(())
}

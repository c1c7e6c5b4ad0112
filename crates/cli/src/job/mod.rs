//! `shoal job`: submit, watch, fetch, cancel, list.

mod data;
pub(crate) mod file;
pub(crate) mod watch;

use std::path::Path;

use serde_json::json;
use shoal_wire::api::{JobState, JobStatus};

use crate::{args::JobCommand, error::CliError, files, output::Output, relay_api::RelayApi};
use file::Prepared;

pub(crate) async fn run(command: JobCommand, output: &Output) -> Result<(), CliError> {
    match command {
        JobCommand::Submit { file, watch, check, relay } => {
            let prepared = prepare(&file).await?;
            if check {
                return checked(&prepared, output);
            }
            let relay = RelayApi::new(&relay)?;
            let spec = prepared.upload(&relay).await?;
            let id = relay.submit(&spec).await?;
            let text = format!(
                "job {id} is submitted: {} rounds of {} units",
                spec.training.rounds, spec.training.units_per_round
            );
            output.result(&json!({"event": "submitted", "job": id}), text);
            if watch { watch::watch(&relay, &id, output).await } else { Ok(()) }
        }
        JobCommand::Watch { job, relay } => watch::watch(&RelayApi::new(&relay)?, &job, output).await,
        JobCommand::Fetch { job, output: path, relay } => {
            let model = RelayApi::new(&relay)?.model(&job).await?;
            files::write_whole(&path, &model)?;
            let (file, bytes) = (path.display().to_string(), model.len());
            output.result(
                &json!({"event": "fetched", "job": job, "file": file, "bytes": bytes}),
                format!("{file}: {bytes} bytes"),
            );
            Ok(())
        }
        JobCommand::Cancel { job, relay } => {
            let status = RelayApi::new(&relay)?.cancel(&job).await?;
            output.result(
                &status,
                format!("job {job} is cancelled after {} of {} rounds", status.rounds_done, status.rounds),
            );
            Ok(())
        }
        JobCommand::List { relay } => {
            let jobs = RelayApi::new(&relay)?.jobs().await?;
            list(&jobs, output);
            Ok(())
        }
    }
}

/// Reads a job file and its data; seconds of work for a large file, so off the runtime's threads.
async fn prepare(file: &Path) -> Result<Prepared, CliError> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || file::prepare(&file));
    Ok(read.await.expect("reading a job file does not panic")?)
}

fn checked(prepared: &Prepared, output: &Output) -> Result<(), CliError> {
    let (train, held_out) = (prepared.train.samples, prepared.held_out.as_ref().map_or(0, |data| data.samples));
    output.result(
        &json!({"event": "checked", "name": prepared.spec.name, "train_samples": train, "held_out_samples": held_out}),
        format!("{}: fine, {train} training samples and {held_out} held out", prepared.spec.name),
    );
    Ok(())
}

fn list(jobs: &[JobStatus], output: &Output) {
    for job in jobs {
        output.object(job);
        let accuracy =
            job.held_out_accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{:.2} %", accuracy * 100.0));
        let state = state_name(job.state);
        let (done, rounds) = (job.rounds_done, job.rounds);
        output.text(format!("{}  {state:<9}  round {done}/{rounds}  {accuracy:>8}  {}", job.id, job.name));
    }
    if jobs.is_empty() {
        output.text("no jobs");
    }
}

pub(crate) fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Finished => "finished",
        JobState::Cancelled => "cancelled",
        JobState::Failed => "failed",
    }
}

//! `shoal map`: rows through a model on a swarm.

use std::time::Instant;

use serde_json::json;

use crate::{
    args::MapArgs,
    error::CliError,
    output::Output,
    relay_api::RelayApi,
    rows::{Rows, file_name, swarm},
};

pub(crate) async fn run(args: Box<MapArgs>, output: &Output) -> Result<(), CliError> {
    let started = Instant::now();
    let relay = RelayApi::new(&args.relay)?;
    let rows = args.rows.clone();
    // Reading a model takes seconds, so off the runtime's threads.
    let opened = tokio::task::spawn_blocking(move || Rows::open(&rows));
    let rows = opened.await.expect("reading a model does not panic")?;
    output.text(rows.description());
    let name =
        args.name.clone().unwrap_or_else(|| format!("{} {}", file_name(&args.rows.model), file_name(&args.rows.input)));
    let path = &args.rows.output;
    let done = swarm::write(rows, &name, &relay, path, args.resume, output).await?;
    let (file, seconds) = (path.display().to_string(), started.elapsed().as_secs_f64());
    output.result(
        &json!({"event": "done", "file": file, "rows": done.rows, "failed_rows": done.failed_rows, "seconds": seconds}),
        format!("{file}: {done} in {seconds:.1} s"),
    );
    Ok(())
}

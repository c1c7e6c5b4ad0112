//! `shoal model run`: rows through a model on this machine, as `shoal map` runs them on a swarm.

use std::time::Instant;

use serde_json::json;

use crate::{
    error::CliError,
    output::Output,
    rows::{Rows, RowsArgs, local},
};

pub(super) fn run(args: &RowsArgs, output: Output) -> Result<(), CliError> {
    let started = Instant::now();
    let rows = Rows::open(args)?;
    output.text(rows.description());
    let done = local::write(rows, &args.output)?;
    let seconds = started.elapsed().as_secs_f64();
    let file = args.output.display().to_string();
    output.result(
        &json!({"event": "done", "file": file, "rows": done.rows, "failed_rows": done.failed_rows, "seconds": seconds}),
        format!("{file}: {done} in {seconds:.1} s"),
    );
    Ok(())
}

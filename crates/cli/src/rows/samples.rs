//! Rows as a graph takes them, all of one shape: what a model is calibrated by and judged by.

use shoal_compute::Tensors;
use shoal_dataset::{ShardOptions, Shards, Source, Step};
use shoal_graph::Graph;

use super::{RowsArgs, RowsError, detect, local, prepare, tensors, text_rows};
use crate::error::CliError;

/// How many times as many rows are read as taken, so that they are from more than the beginning of a file.
const READ_FOR_TAKEN: usize = 16;

/// A model's graph with runs of it.
pub(crate) struct Samples {
    pub(crate) graph: Graph,
    pub(crate) weights: Tensors,
    pub(crate) calibration: Vec<Tensors>,
    /// As many others.
    pub(crate) held_out: Vec<Tensors>,
    /// Rows of a run.
    pub(crate) batch: u32,
}

/// About `rows` rows for either purpose, in full runs, in turn.
pub(crate) fn samples(args: &RowsArgs, rows: u32) -> Result<Samples, CliError> {
    let open = || Source::open_with(&args.input, args.format.map(Into::into), text_rows(args.lines));
    let mut source = open()?;
    let mut prepared = prepare(args, &mut detect::Probe::new(&mut source)?)?;
    let batch = prepared.graphs.batch();
    let wanted = 2 * rows.div_ceil(batch) as usize;
    let options = ShardOptions { rows_per_shard: batch, window_rows: u64::from(batch) };
    let mut shards = Shards::new(open()?, prepared.recipe, options)?;
    let mut runs: Vec<Tensors> = Vec::new();
    while runs.len() < wanted * READ_FOR_TAKEN
        && let Some(step) = shards.next_step()?
    {
        let Step::Shard(shard) = step else { continue };
        if shard.rows.len() == batch as usize && prepared.graphs.of(&shard)? == prepared.typical {
            runs.push(tensors(&shard, &prepared.graphs.ready(prepared.typical).inputs));
        }
    }
    if runs.len() < 2 {
        let source_name = super::file_name(&args.input);
        return Err(RowsError::NoRows { source_name }.into());
    }
    let step = (runs.len() / wanted).max(1);
    let mut taken = runs.into_iter().step_by(step).take(wanted);
    let (mut calibration, mut held_out) = (Vec::new(), Vec::new());
    while let Some(run) = taken.next() {
        calibration.push(run);
        held_out.extend(taken.next());
    }
    let ready = prepared.graphs.ready(prepared.typical);
    let weights = ready.weights.iter().map(|(name, weight)| (name.clone(), local::tensor(weight))).collect();
    Ok(Samples { graph: ready.graph.clone(), weights, calibration, held_out, batch })
}

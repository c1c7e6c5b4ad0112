//! Computes shards on this machine: one thread, the backend that workers and the relay have, so that the bytes are theirs.

use std::collections::HashMap;

use shoal_compute::{Data, Executable, Tensor, Tensors, program::run_rows};
use shoal_dataset::{InOrder, ResultRow, ResultWriter, Shard, Step};
use shoal_onnx::Weight;

use super::{Done, Rows, graphs::Graphs, tensors};
use crate::error::CliError;

/// Graphs that stay ready to run, each with its weights: the lengths that texts are padded to.
const MAX_READY: usize = 6;

/// Graphs that are ready to run.
pub(super) struct Local {
    ready: HashMap<usize, Executable>,
}

/// Runs all rows and writes the output.
pub(crate) fn write(mut rows: Rows, output: &std::path::Path) -> Result<Done, CliError> {
    let mut writer = InOrder::new(ResultWriter::create(output, rows.results.columns())?);
    let mut local = Local::new();
    let mut done = Done::default();
    while let Some(step) = rows.shards.next_step()? {
        match step {
            Step::Failed(error) => {
                done.failed_rows += 1;
                writer.put(ResultRow { row: error.index, values: Err(error.to_string()) })?;
            }
            Step::Shard(shard) => {
                let made = local.run(&mut rows.graphs, &shard)?;
                for row in rows.results.rows(shard.number as u32, &shard.rows, &made)? {
                    done.failed_rows += u64::from(row.values.is_err());
                    writer.put(row)?;
                }
            }
        }
    }
    done.rows = rows.shards.rows_read();
    writer.finish()?;
    Ok(done)
}

impl Local {
    pub(super) fn new() -> Self {
        Self { ready: HashMap::new() }
    }

    /// The outputs of a shard, `[rows, …]` each. The last run is filled up with its last row, as in a map unit.
    pub(super) fn run(&mut self, graphs: &mut Graphs, shard: &Shard) -> Result<Tensors, CliError> {
        let index = graphs.of(shard)?;
        if !self.ready.contains_key(&index) {
            if self.ready.len() == MAX_READY {
                self.ready.clear();
            }
            let ready = graphs.ready(index);
            let mut executable = Executable::new(ready.graph.clone());
            executable.hold(ready.weights.iter().map(|(name, weight)| (name.clone(), tensor(weight))).collect())?;
            self.ready.insert(index, executable);
        }
        let executable = self.ready.get_mut(&index).expect("it was put there");
        let inputs = tensors(shard, &graphs.ready(index).inputs);
        Ok(run_rows(executable, &inputs, graphs.batch(), shard.rows.len() as u32)?)
    }
}

/// A weight as a backend takes it.
pub(crate) fn tensor(weight: &Weight) -> Tensor {
    let data = Data::from_bytes(weight.tensor_type.dtype, &weight.bytes);
    Tensor::new(weight.tensor_type.shape.clone(), data)
}

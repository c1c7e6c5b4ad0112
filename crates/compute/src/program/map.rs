//! A map unit: the graph runs over every row of a shard, `batch` rows at a time, with weights that are bound once.

use shoal_graph::{Graph, TensorType};
use shoal_wire::proto;

use crate::{
    error::ComputeError,
    executable::{Executable, check_type},
    tensor::{Tensor, Tensors},
};

/// Runs of the graph that a shard takes.
pub(super) fn runs(program: &proto::Map) -> u32 {
    program.rows.div_ceil(program.batch)
}

/// Bytes of the outputs of all runs, and of the file made of them.
pub(super) fn kept_bytes(program: &proto::Map, graph: &Graph) -> u64 {
    let made = graph.outputs().iter().map(|(_, value)| bytes(graph.value_type(*value)));
    made.fold(0, u64::saturating_add).saturating_mul(2 * u64::from(runs(program)))
}

fn bytes(tensor_type: &TensorType) -> u64 {
    let elements = tensor_type.shape.iter().fold(1u64, |product, dim| product.saturating_mul(u64::from(*dim)));
    elements.saturating_mul(tensor_type.dtype.bytes())
}

/// Length of the output of a shard of that many rows, bytes.
pub fn map_output_len(graph: &Graph, rows: u32) -> u64 {
    let types = graph.outputs().iter().map(|(name, value)| (name.as_str(), of_rows(graph.value_type(*value), rows)));
    Tensors::len_of(types)
}

/// A graph that can be run over rows: what its parameters leave to the rows.
#[derive(Clone, Debug)]
pub struct MapGraph {
    /// Types of the inputs that the rows hold, for one run.
    inputs: Vec<(String, TensorType)>,
}

impl MapGraph {
    /// Checks the parameters and splits the inputs between them and the rows.
    ///
    /// # Errors
    /// Parameters that do not fit the graph, and a graph whose other inputs or whose outputs are not `[batch, …]`.
    pub fn new(graph: &Graph, parameters: &Tensors, batch: u32) -> Result<Self, ComputeError> {
        let mut inputs = Vec::new();
        for (name, value) in graph.inputs() {
            let expected = graph.value_type(*value);
            match parameters.get(name) {
                Some(tensor) => check_type(name, tensor, expected)?,
                None => inputs.push((name.clone(), batched(name, expected, batch)?)),
            }
        }
        if let Some((name, _)) = parameters.iter().find(|(name, _)| graph.input_type(name).is_none()) {
            return Err(ComputeError::UnknownTensor { name: name.to_owned() });
        }
        for (name, value) in graph.outputs() {
            batched(name, graph.value_type(*value), batch)?;
        }
        Ok(Self { inputs })
    }

    /// Reads a shard of that many rows.
    ///
    /// # Errors
    /// Bytes that are no safetensors file of exactly the inputs that the parameters do not hold.
    pub fn read_shard(&self, bytes: &[u8], rows: u32) -> Result<Tensors, ComputeError> {
        let mut found = Tensors::from_bytes(bytes)?;
        let mut shard = Tensors::new();
        for (name, one_run) in &self.inputs {
            let tensor = found.remove(name).ok_or_else(|| ComputeError::MissingTensor { name: name.clone() })?;
            check_type(name, &tensor, &of_rows(one_run, rows))?;
            shard.insert(name, tensor);
        }
        match found.into_iter().next() {
            Some((name, _)) => Err(ComputeError::UnknownTensor { name }),
            None => Ok(shard),
        }
    }
}

fn of_rows(one_run: &TensorType, rows: u32) -> TensorType {
    let mut all = one_run.clone();
    all.shape[0] = rows;
    all
}

fn batched(name: &str, found: &TensorType, batch: u32) -> Result<TensorType, ComputeError> {
    match found.shape.first() {
        Some(first) if *first == batch => Ok(found.clone()),
        Some(first) => Err(ComputeError::WrongBatch { graph: *first, unit: batch }),
        None => Err(ComputeError::NoRows { name: name.to_owned() }),
    }
}

/// A map unit being computed.
#[derive(Debug)]
pub(super) struct MapRun {
    /// Holds the parameters.
    executable: Executable,
    shard: Tensors,
    batch: u32,
    rows: u32,
    /// The outputs of the runs so far, by run.
    made: Vec<Tensors>,
}

impl MapRun {
    pub(super) fn new(
        program: &proto::Map,
        graph: Graph,
        parameters: &[u8],
        data: &[u8],
    ) -> Result<Self, ComputeError> {
        let parameters = Tensors::from_bytes(parameters)?;
        let shard = MapGraph::new(&graph, &parameters, program.batch)?.read_shard(data, program.rows)?;
        let mut executable = Executable::new(graph);
        executable.hold(parameters)?;
        Ok(Self { executable, shard, batch: program.batch, rows: program.rows, made: Vec::new() })
    }

    /// Runs the graph over the next rows.
    pub(super) fn step(&mut self) -> Result<(), ComputeError> {
        let inputs = run_inputs(&self.shard, self.batch, self.rows, self.made.len() as u32);
        self.made.push(self.executable.run(inputs)?);
        Ok(())
    }

    pub(super) fn outputs(self) -> Tensors {
        joined(&self.made, self.rows)
    }
}

/// What a map unit of these rows makes, `batch` rows at a time: one tensor an output, `[rows, …]` each. The executable
/// holds the parameters; `shard` has at least one row and all other inputs, `[rows, …]` each.
///
/// # Errors
/// Those of [`Executable::run`].
pub fn run_rows(executable: &mut Executable, shard: &Tensors, batch: u32, rows: u32) -> Result<Tensors, ComputeError> {
    let runs = 0..rows.div_ceil(batch);
    let made = runs.map(|run| executable.run(run_inputs(shard, batch, rows, run))).collect::<Result<Vec<_>, _>>()?;
    Ok(joined(&made, rows))
}

/// The rows of one run; past the end the last row again.
fn run_inputs(shard: &Tensors, batch: u32, rows: u32, run: u32) -> Tensors {
    let first = u64::from(run) * u64::from(batch);
    let last = u64::from(rows) - 1;
    let rows = (0..batch as usize).map(|i| (first + i as u64).min(last) as usize);
    shard.iter().map(|(name, tensor)| (name.to_owned(), tensor.gather_rows(rows.clone()))).collect()
}

/// One tensor an output, without the rows that filled up the last run. Whatever made a NaN, it has the same bits.
fn joined(made: &[Tensors], rows: u32) -> Tensors {
    // A shard has a row, so there was a run.
    let joined = made[0].iter().map(|(name, _)| {
        let parts: Vec<&Tensor> = made.iter().map(|run| run.get(name).expect("every run makes every output")).collect();
        (name.to_owned(), Tensor::join_rows(&parts, rows).with_one_nan())
    });
    joined.collect()
}

//! One graph of a model for each shape of rows: lowered, its outputs chosen and pooled.
//!
//! All of them read the same weights where the model lets them. Constants that follow from sizes stay in the graph; one too
//! large for that becomes a weight of that graph alone, and its parameters are then a blob of their own.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use shoal_dataset::Shard;
use shoal_graph::{DType, Graph};
use shoal_onnx::{Model, Sizes, Weight};

use super::{OutputArgs, RowsError, args::PoolArg, pool};
use crate::{error::CliError, model::file::model_error};

/// Shapes of the inputs of one row, by input.
pub(super) type Shapes = BTreeMap<String, Vec<u32>>;

/// The graphs made so far.
pub(super) struct Graphs {
    path: PathBuf,
    model: Model,
    outputs: Vec<String>,
    pool: PoolArg,
    mask: Option<String>,
    batch: u32,
    by_shapes: HashMap<Shapes, usize>,
    ready: Vec<Ready>,
}

/// A graph and its weights.
pub(super) struct Ready {
    pub(super) graph: Graph,
    pub(super) weights: Vec<(String, Weight)>,
    /// Inputs that rows hold.
    pub(super) inputs: Vec<String>,
}

impl Graphs {
    pub(super) fn new(
        path: &Path,
        model: Model,
        args: &OutputArgs,
        mask: Option<String>,
        batch: u32,
    ) -> Result<Self, CliError> {
        let names = || model.outputs().iter().map(|port| port.name.as_str());
        let outputs = match args.output_tensor.as_slice() {
            [] => names().take(1).map(str::to_owned).collect(),
            given => given.to_vec(),
        };
        if let Some(name) = outputs.iter().find(|name| !names().any(|known| known == **name)) {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(RowsError::NoOutput { name: name.clone(), known }.into());
        }
        let pool = args.pool.unwrap_or(if mask.is_some() { PoolArg::Mean } else { PoolArg::None });
        let (by_shapes, ready) = Default::default();
        Ok(Self { path: path.to_owned(), model, outputs, pool, mask, batch, by_shapes, ready })
    }

    /// Rows of one run.
    pub(super) fn batch(&self) -> u32 {
        self.batch
    }

    pub(super) fn ready(&self, index: usize) -> &Ready {
        &self.ready[index]
    }

    /// The graph for the rows of a shard.
    pub(super) fn of(&mut self, shard: &Shard) -> Result<usize, CliError> {
        let shapes = shard.arrays.iter().map(|(name, array)| (name.clone(), array.shape()[1..].to_vec()));
        self.of_shapes(&shapes.collect())
    }

    /// The graph for rows of these shapes.
    pub(super) fn of_shapes(&mut self, shapes: &Shapes) -> Result<usize, CliError> {
        if let Some(index) = self.by_shapes.get(shapes) {
            return Ok(*index);
        }
        let ready = self.make(shapes)?;
        self.by_shapes.insert(shapes.clone(), self.ready.len());
        self.ready.push(ready);
        Ok(self.ready.len() - 1)
    }

    /// Rows whose cost is about `ops` by one of the graphs: a multiple of the batch, and no more than `most`.
    pub(super) fn rows_of(&self, index: usize, ops: u64, most: u64) -> u32 {
        let per_run = self.ready[index].graph.reference_ops().max(1);
        let batch = u64::from(self.batch);
        let runs = (ops / per_run).clamp(1, (most / batch).max(1));
        (runs * batch) as u32
    }

    fn make(&self, shapes: &Shapes) -> Result<Ready, CliError> {
        let sizes = shapes.iter().fold(Sizes::new(), |sizes, (input, shape)| {
            sizes.shape(input.clone(), [&[self.batch], shape.as_slice()].concat())
        });
        let refused = |source| model_error(&self.path, source);
        let lowered = self.model.graph(&sizes).map_err(refused)?;
        let mask = self.mask.as_deref();
        let graph = pool::with_outputs(&lowered.graph, &self.outputs, self.pool, mask)
            .map_err(|error| refused(error.into()))?;
        for (name, value) in graph.outputs() {
            let shape = &graph.value_type(*value).shape;
            if shape.first() != Some(&self.batch) {
                let (name, shape) = (name.clone(), shape.clone());
                return Err(RowsError::NotRows { name, shape, batch: self.batch }.into());
            }
        }
        let weights: Vec<(String, Weight)> =
            lowered.weights.into_iter().filter(|(name, _)| graph.input_type(name).is_some()).collect();
        let mut inputs = Vec::new();
        for (name, value) in graph.inputs() {
            if weights.iter().any(|(weight, _)| weight == name) {
                continue;
            }
            let dtype = graph.value_type(*value).dtype;
            if !matches!(dtype, DType::F32 | DType::I32) {
                return Err(RowsError::Element { input: name.clone(), element: format!("{dtype:?}") }.into());
            }
            inputs.push(name.clone());
        }
        Ok(Ready { graph, weights, inputs })
    }
}

//! A map job's units: one a shard, in the order of the shards.

use std::sync::Arc;

use shoal_compute::{
    Tensors,
    program::{MapGraph, map_output_len, unit_cost},
};
use shoal_graph::Graph;
use shoal_wire::{
    ids::JobId,
    job::{MapGraphSpec, MapShard, MapSpec},
    limits::MAX_BLOB_LEN,
    proto::{Class, Map, Unit, unit::Program},
    unit::CheckedUnit,
};

use super::{PlanError, graphs::check_cost};

/// One of a map job's graphs, and what follows from it and its parameters for the shards that it takes.
#[derive(Clone, Debug)]
pub struct MapGraphPlan {
    spec: MapGraphSpec,
    graph: Graph,
    rows: MapGraph,
}

impl MapGraphPlan {
    /// Reads the graph at that position of the document.
    ///
    /// # Errors
    /// Bytes that are no graph, or do not go together with the parameters or the batch.
    pub fn new(position: usize, spec: MapGraphSpec, graph: &[u8], parameters: &Tensors) -> Result<Self, PlanError> {
        let map_error = |field| move |source| PlanError::Map { graph: position, field, source };
        let graph = Graph::decode(graph).map_err(|error| map_error("graph")(error.into()))?;
        let rows = MapGraph::new(&graph, parameters, spec.batch).map_err(map_error("parameters"))?;
        Ok(Self { spec, graph, rows })
    }

    /// Checks a shard's bytes.
    ///
    /// # Errors
    /// A shard that does not fit.
    pub fn check_shard(&self, shard: u32, bytes: &[u8], rows: u32) -> Result<(), PlanError> {
        self.rows.read_shard(bytes, rows).map_err(|source| PlanError::Shard { shard, source })?;
        let (bytes, limit) = (map_output_len(&self.graph, rows), MAX_BLOB_LEN);
        if bytes > limit { Err(PlanError::OutputTooLarge { shard, bytes, limit }) } else { Ok(()) }
    }

    fn unit(&self, job: JobId, index: u32, shard: &MapShard) -> Result<CheckedUnit, PlanError> {
        let program = Program::Map(Map { batch: self.spec.batch, rows: shard.rows });
        let cost = unit_cost(&program, &self.graph);
        check_cost(&cost)?;
        Ok(CheckedUnit::new(Unit {
            job: job.to_vec(),
            round: 0,
            index,
            class: Class::Exact as i32,
            graph: self.spec.graph.to_vec(),
            parameters: self.spec.parameters.to_vec(),
            data: shard.blob.to_vec(),
            reference_ops: cost.reference_ops,
            memory_bytes: cost.memory_bytes,
            program: Some(program),
        })?)
    }
}

/// The units of a map job's only round. `graphs` are those of the document, in its order.
///
/// # Errors
/// Units that are too large.
pub fn map_units(job: JobId, spec: &MapSpec, graphs: &[Arc<MapGraphPlan>]) -> Result<Vec<CheckedUnit>, PlanError> {
    let units = (0u32..).zip(&spec.shards).map(|(index, shard)| graphs[shard.graph as usize].unit(job, index, shard));
    units.collect()
}

//! A map job's units: one a shard, in the order of the shards.

use shoal_compute::program::{MapGraph, unit_cost};
use shoal_graph::Graph;
use shoal_wire::{
    ids::{BlobId, JobId},
    job::MapSpec,
    limits::MAX_BLOB_LEN,
    proto::{Class, Map, Unit, unit::Program},
    unit::CheckedUnit,
};

use super::{PlanError, graphs::check_cost};

/// A map job's graph with its parameters, and what follows from them for each shard.
#[derive(Clone, Debug)]
pub struct MapPlan {
    graph: Graph,
    rows: MapGraph,
}

impl MapPlan {
    /// Reads the graph and the parameters.
    ///
    /// # Errors
    /// Blobs that are none, or do not go together.
    pub fn new(spec: &MapSpec, graph: &[u8], parameters: &[u8]) -> Result<Self, PlanError> {
        let map_error = |field| move |source| PlanError::Map { field, source };
        let graph = Graph::decode(graph).map_err(|error| map_error("graph")(error.into()))?;
        let rows = MapGraph::new(&graph, parameters, spec.batch).map_err(map_error("parameters"))?;
        Ok(Self { graph, rows })
    }

    /// Checks a shard's bytes.
    ///
    /// # Errors
    /// A shard that does not fit.
    pub fn check_shard(&self, shard: u32, bytes: &[u8], rows: u32) -> Result<(), PlanError> {
        self.rows.read_shard(bytes, rows).map_err(|source| PlanError::Shard { shard, source })?;
        let (bytes, limit) = (self.output_len(rows), MAX_BLOB_LEN);
        if bytes > limit { Err(PlanError::OutputTooLarge { shard, bytes, limit }) } else { Ok(()) }
    }

    /// Length of the right output for a shard of that many rows, bytes.
    pub fn output_len(&self, rows: u32) -> u64 {
        self.rows.output_len(rows)
    }

    /// The units of the job's only round.
    ///
    /// # Errors
    /// Units that are too large.
    pub fn units(&self, job: JobId, spec: &MapSpec) -> Result<Vec<CheckedUnit>, PlanError> {
        (0u32..)
            .zip(&spec.shards)
            .map(|(index, shard)| {
                let program = Program::Map(Map { batch: spec.batch, rows: shard.rows });
                let cost = unit_cost(&program, &self.graph);
                check_cost(&cost)?;
                Ok(CheckedUnit::new(Unit {
                    job: job.to_vec(),
                    round: 0,
                    index,
                    class: Class::Exact as i32,
                    graph: BlobId(self.graph.hash()).to_vec(),
                    parameters: spec.parameters.to_vec(),
                    data: shard.blob.to_vec(),
                    reference_ops: cost.reference_ops,
                    memory_bytes: cost.memory_bytes,
                    program: Some(program),
                })?)
            })
            .collect()
    }
}

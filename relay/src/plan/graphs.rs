//! Graphs of a job and the units that run them.

use shoal_compute::program::{UnitCost, unit_cost};
use shoal_graph::{Graph, programs};
use shoal_wire::{
    ids::{BlobId, JobId},
    job::JobSpec,
    proto::{Class, Gradient, LocalTraining, Unit, unit::Program},
    unit::CheckedUnit,
};

use super::{MAX_UNIT_MEMORY, MAX_UNIT_OPS, PlanError};

/// A graph blob and the program that runs it.
#[derive(Clone, Debug)]
struct Planned {
    graph: Graph,
    program: Program,
    class: Class,
    cost: UnitCost,
}

/// What a job's units run. Made from the document alone.
#[derive(Clone, Debug)]
pub struct JobGraphs {
    training: Option<Planned>,
    gradient: Option<Planned>,
    classes: u32,
}

/// What a round starts from.
#[derive(Clone, Copy, Debug)]
pub struct RoundInputs<'a> {
    /// The job.
    pub job: JobId,
    /// Number of the round.
    pub round: u32,
    /// Blob of its parameters.
    pub parameters: BlobId,
    /// Shards by unit index.
    pub shards: &'a [BlobId],
}

impl JobGraphs {
    /// The graphs that a document's units run.
    ///
    /// # Errors
    /// Layers that do not make a classifier; units above the limits.
    pub fn new(spec: &JobSpec) -> Result<Self, PlanError> {
        let inference = programs::inference(&spec.model, 1)?;
        let (_, logits) = &inference.outputs()[0];
        let shape = &inference.value_type(*logits).shape;
        let [_, classes] = shape[..] else {
            return Err(PlanError::NoLogits { shape: shape[1..].to_vec() });
        };
        let t = &spec.training;
        let training = (t.gradient_units_per_round < t.units_per_round).then(|| {
            let program = Program::LocalTraining(LocalTraining {
                steps: t.local_steps,
                batch: t.batch,
                learning_rate: t.learning_rate,
                momentum: t.momentum,
            });
            planned(programs::training_step(&spec.model, t.batch)?, program, Class::Exact)
        });
        let gradient = (t.gradient_units_per_round > 0).then(|| {
            let program = Program::Gradient(Gradient { batch: t.gradient_batch });
            planned(programs::gradient(&spec.model, t.gradient_batch)?, program, Class::Tolerant)
        });
        Ok(Self { training: training.transpose()?, gradient: gradient.transpose()?, classes })
    }

    /// Classes that the model tells apart.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// Bytes of the graph blobs.
    pub fn blobs(&self) -> impl Iterator<Item = &[u8]> {
        self.training.iter().chain(&self.gradient).map(|planned| planned.graph.bytes())
    }

    /// Units of a round by index: the last `gradient_units_per_round` are tolerant gradients, the others exact local
    /// training.
    ///
    /// # Errors
    /// A number that no unit may have.
    pub fn round_units(&self, spec: &JobSpec, inputs: &RoundInputs<'_>) -> Result<Vec<CheckedUnit>, PlanError> {
        let first_gradient = spec.training.units_per_round - spec.training.gradient_units_per_round;
        (0u32..)
            .zip(inputs.shards)
            .map(|(index, shard)| {
                let planned = if index < first_gradient { &self.training } else { &self.gradient };
                let planned = planned.as_ref().expect("a graph was made for each kind of unit in the round");
                Ok(CheckedUnit::new(Unit {
                    job: inputs.job.to_vec(),
                    round: inputs.round,
                    index,
                    class: planned.class as i32,
                    graph: BlobId(planned.graph.hash()).to_vec(),
                    parameters: inputs.parameters.to_vec(),
                    data: shard.to_vec(),
                    reference_ops: planned.cost.reference_ops,
                    memory_bytes: planned.cost.memory_bytes,
                    program: Some(planned.program),
                })?)
            })
            .collect()
    }
}

fn planned(graph: Graph, program: Program, class: Class) -> Result<Planned, PlanError> {
    let cost = unit_cost(&program, &graph);
    check_cost(&cost)?;
    Ok(Planned { graph, program, class, cost })
}

/// Refuses what is too large for one unit.
pub(super) fn check_cost(cost: &UnitCost) -> Result<(), PlanError> {
    for (what, needed, limit) in [
        ("reference operations", cost.reference_ops, MAX_UNIT_OPS),
        ("bytes of memory", cost.memory_bytes, MAX_UNIT_MEMORY),
    ] {
        if needed > limit {
            return Err(PlanError::UnitTooLarge { what, needed, limit });
        }
    }
    Ok(())
}

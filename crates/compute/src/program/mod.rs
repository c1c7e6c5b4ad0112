//! Runs a whole work unit: the blobs it names go in, the bytes of its output come out. Everything is checked before
//! anything is allocated for it: hashes, graph, the cost that the unit claims, the budget that this machine agreed to,
//! and the types of all tensors.
//!
//! Driving contract of [`UnitRun`]: [`UnitRun::prepare`], then [`UnitRun::step`] until [`UnitRun::is_done`], then
//! [`UnitRun::finish`]. Between steps the caller may pause, report progress or drop the run. [`run_unit`] does it all.

mod map;
mod training;

use shoal_graph::Graph;
use shoal_wire::{
    ids::BlobId,
    proto::{Class, unit::Program},
    unit::CheckedUnit,
};

pub use self::map::{MapGraph, map_output_len, run_rows};
use self::{map::MapRun, training::Training};
use crate::{backend::Backend, cpu::CpuBackend, error::ComputeError};

/// What a machine agreed to spend on one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Reference operations.
    pub reference_ops: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// What a unit costs, counted from its graph; the values of `reference_ops` and `memory_bytes` in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitCost {
    /// Reference operations of all its steps.
    pub reference_ops: u64,
    /// Peak memory of one run of the graph, and for a map unit the rows made so far, bytes.
    pub memory_bytes: u64,
}

/// The cost of a program on a graph.
pub fn unit_cost(program: &Program, graph: &Graph) -> UnitCost {
    let (runs, kept_bytes) = match program {
        Program::LocalTraining(training) => (u64::from(training.steps), 0),
        Program::Gradient(_) => (1, 0),
        Program::Map(program) => (u64::from(map::runs(program)), map::kept_bytes(program, graph)),
    };
    UnitCost {
        reference_ops: graph.reference_ops().saturating_mul(runs),
        memory_bytes: graph.peak_memory_bytes().saturating_add(kept_bytes),
    }
}

/// Runs a unit and returns its output: canonical safetensors bytes with one tensor a parameter, or of a map unit one an
/// output of the graph.
///
/// # Errors
/// Whatever is wrong with the unit, its blobs or the device; see [`ComputeError`].
pub async fn run_unit<B: Backend>(
    unit: &CheckedUnit,
    graph: &[u8],
    parameters: &[u8],
    data: &[u8],
    backend: &mut B,
    budget: &Budget,
) -> Result<Vec<u8>, ComputeError> {
    let mut run = UnitRun::prepare(unit, graph, parameters, data, budget)?;
    while !run.is_done() {
        run.step(backend).await?;
    }
    run.finish()
}

/// [`run_unit`] on the CPU, without a future: what a validator recomputes with.
///
/// # Errors
/// As [`run_unit`].
pub fn run_unit_on_cpu(
    unit: &CheckedUnit,
    graph: &[u8],
    parameters: &[u8],
    data: &[u8],
    budget: &Budget,
) -> Result<Vec<u8>, ComputeError> {
    let mut run = UnitRun::prepare(unit, graph, parameters, data, budget)?;
    while !run.is_done() {
        run.step_on_cpu()?;
    }
    run.finish()
}

/// A unit being computed.
#[derive(Debug)]
pub struct UnitRun {
    exact: bool,
    work: Work,
    steps: u32,
    done: u32,
}

/// What differs between programs: what a step takes, and what becomes of what it makes.
#[derive(Debug)]
enum Work {
    Training(Box<TrainingRun>),
    Map(Box<MapRun>),
}

#[derive(Debug)]
struct TrainingRun {
    graph: Graph,
    /// For [`UnitRun::step_on_cpu`].
    cpu: CpuBackend,
    training: Training,
}

impl UnitRun {
    /// Checks everything and draws the order of a training unit's samples.
    ///
    /// # Errors
    /// Every fault of the unit and its blobs that can be seen without computing.
    pub fn prepare(
        unit: &CheckedUnit,
        graph: &[u8],
        parameters: &[u8],
        data: &[u8],
        budget: &Budget,
    ) -> Result<Self, ComputeError> {
        for (blob, named, bytes) in
            [("graph", unit.graph, graph), ("parameters", unit.parameters, parameters), ("data", unit.data, data)]
        {
            let found = BlobId::of(bytes);
            if found != named {
                return Err(ComputeError::WrongBlob { blob, named: named.to_string(), found: found.to_string() });
            }
        }
        let graph = Graph::decode(graph)?;
        check_cost(unit, &graph, budget, parameters.len() + data.len())?;
        let (steps, batch) = match &unit.program {
            Program::Map(program) => (map::runs(program), program.batch),
            Program::LocalTraining(training) => (training.steps, training.batch),
            Program::Gradient(gradient) => (1, gradient.batch),
        };
        let work = match &unit.program {
            Program::Map(program) => Work::Map(Box::new(MapRun::new(program, graph, parameters, data)?)),
            Program::LocalTraining(_) | Program::Gradient(_) => {
                let training = Training::new(unit, &graph, batch, parameters, data)?;
                Work::Training(Box::new(TrainingRun { graph, cpu: CpuBackend::new(), training }))
            }
        };
        Ok(Self { exact: unit.class == Class::Exact, work, steps, done: 0 })
    }

    /// Steps that the unit takes.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Steps taken so far.
    pub fn steps_done(&self) -> u32 {
        self.done
    }

    /// Whether all steps are taken.
    pub fn is_done(&self) -> bool {
        self.done == self.steps
    }

    /// Takes one step: one run of the graph over the next mini-batch or rows. A map unit, which is exact, runs on the CPU
    /// with the weights that it keeps from step to step.
    ///
    /// # Errors
    /// [`ComputeError::BackendNotExact`], labels out of range, failures of the device.
    ///
    /// # Panics
    /// When the unit is done or a step failed before: that breaks the driving contract.
    pub async fn step<B: Backend>(&mut self, backend: &mut B) -> Result<(), ComputeError> {
        let info = backend.info();
        if self.exact && !info.is_exact {
            return Err(ComputeError::BackendNotExact { backend: info.kind.name() });
        }
        self.assert_not_done();
        match &mut self.work {
            Work::Training(run) => {
                let made = backend.run(&run.graph, run.training.next_inputs(self.done)).await?;
                run.training.accept(made);
            }
            Work::Map(map) => map.step()?,
        }
        self.done += 1;
        Ok(())
    }

    /// [`Self::step`] on the exact CPU backend, without a future: the reference of either class.
    ///
    /// # Errors
    /// As [`Self::step`].
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn step_on_cpu(&mut self) -> Result<(), ComputeError> {
        self.assert_not_done();
        match &mut self.work {
            Work::Training(run) => {
                let made = run.cpu.run_now(&run.graph, run.training.next_inputs(self.done))?;
                run.training.accept(made);
            }
            Work::Map(map) => map.step()?,
        }
        self.done += 1;
        Ok(())
    }

    /// The output's bytes. Those of a map unit may hold infinities and NaN, which then has one pattern of bits; training
    /// makes numbers or fails.
    ///
    /// # Errors
    /// [`ComputeError::NonFinite`].
    ///
    /// # Panics
    /// When steps are left: that breaks the driving contract.
    pub fn finish(self) -> Result<Vec<u8>, ComputeError> {
        assert!(self.is_done(), "{} of {} steps are taken", self.done, self.steps);
        let outputs = match self.work {
            Work::Training(run) => {
                let outputs = run.training.outputs();
                outputs.check_finite()?;
                outputs
            }
            Work::Map(map) => map.outputs(),
        };
        Ok(outputs.to_bytes())
    }

    fn assert_not_done(&self) {
        assert!(!self.is_done(), "all {} steps are taken", self.steps);
    }
}

fn check_cost(unit: &CheckedUnit, graph: &Graph, budget: &Budget, blob_bytes: usize) -> Result<(), ComputeError> {
    let counted = unit_cost(&unit.program, graph);
    for (what, claimed, counted) in [
        ("reference operations", unit.message.reference_ops, counted.reference_ops),
        ("peak memory", unit.message.memory_bytes, counted.memory_bytes),
    ] {
        if claimed != counted {
            return Err(ComputeError::CostMismatch { what, claimed, counted });
        }
    }
    // Parameters and data are held as bytes and as tensors at once.
    let memory = counted.memory_bytes.saturating_add(2 * blob_bytes as u64);
    for (what, needed, budget) in [
        ("reference operations", counted.reference_ops, budget.reference_ops),
        ("bytes of memory", memory, budget.memory_bytes),
    ] {
        if needed > budget {
            return Err(ComputeError::OverBudget { what, needed, budget });
        }
    }
    Ok(())
}

//! Runs a whole work unit: the blobs it names go in, the bytes of its output come out. Everything is checked before
//! anything is allocated for it: hashes, graph, the cost that the unit claims, the budget that this machine agreed to,
//! and the types of all tensors.
//!
//! Driving contract of [`UnitRun`]: [`UnitRun::prepare`], then [`UnitRun::step`] until [`UnitRun::is_done`], then
//! [`UnitRun::finish`]. Between steps the caller may pause, report progress or drop the run. [`run_unit`] does it all.

use shoal_graph::{Graph, programs};
use shoal_wire::{
    ids::BlobId,
    proto::{Class, unit::Program},
    unit::CheckedUnit,
};

use crate::{
    backend::Backend,
    cpu::CpuBackend,
    error::ComputeError,
    executable::check_type,
    seed::{SHUFFLE, permutation, unit_seed},
    tensor::{Tensor, Tensors},
};

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
    /// Peak memory of one run of the graph, bytes.
    pub memory_bytes: u64,
}

/// The cost of a program on a graph.
pub fn unit_cost(program: &Program, graph: &Graph) -> UnitCost {
    let runs = match program {
        Program::LocalTraining(training) => u64::from(training.steps),
        Program::Gradient(_) => 1,
    };
    UnitCost { reference_ops: graph.reference_ops().saturating_mul(runs), memory_bytes: graph.peak_memory_bytes() }
}

/// Runs a unit and returns its output: canonical safetensors bytes with one tensor a parameter.
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
    graph: Graph,
    /// For [`Self::step_on_cpu`].
    cpu: CpuBackend,
    program: Program,
    exact: bool,
    batch: u32,
    names: Vec<String>,
    /// Parameters, and velocities when training; absent during a step and after one that failed.
    state: Option<Tensors>,
    samples: Tensor,
    labels: Tensor,
    order: Vec<u32>,
    steps: u32,
    done: u32,
}

impl UnitRun {
    /// Checks everything and draws the order of the samples.
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
            Program::LocalTraining(training) => (training.steps, training.batch),
            Program::Gradient(gradient) => (1, gradient.batch),
        };
        let mut state = Tensors::from_bytes(parameters)?;
        let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
        if let Some(name) = names.iter().find(|name| is_reserved(name)) {
            return Err(ComputeError::UnknownTensor { name: name.clone() });
        }
        if matches!(unit.program, Program::LocalTraining(_)) {
            for name in &names {
                let zeros = Tensor::zeros(state.get(name).expect("just listed").shape());
                state.insert(format!("{}{name}", programs::VELOCITY_PREFIX), zeros);
            }
        }
        let (samples, labels) = read_data(data, &graph, batch)?;
        check_graph(&graph, &unit.program, &state, &names)?;
        let seed = unit_seed(&unit.job, unit.message.round, &unit.id, SHUFFLE);
        let order = permutation(seed, samples.shape()[0]);
        let exact = unit.class == Class::Exact;
        let program = unit.program;
        let cpu = CpuBackend::new();
        Ok(Self {
            graph,
            cpu,
            program,
            exact,
            batch,
            names,
            state: Some(state),
            samples,
            labels,
            order,
            steps,
            done: 0,
        })
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

    /// Takes one step: one run of the graph over the next mini-batch.
    ///
    /// # Errors
    /// [`ComputeError::BackendNotExact`], labels out of range, failures of the device.
    ///
    /// # Panics
    /// When the unit is done or a step failed before: that breaks the driving contract.
    pub async fn step<B: Backend>(&mut self, backend: &mut B) -> Result<(), ComputeError> {
        let kind = backend.info().kind;
        if self.exact && !kind.is_exact() {
            return Err(ComputeError::BackendNotExact { backend: kind.name() });
        }
        let inputs = self.next_inputs();
        let made = backend.run(&self.graph, inputs).await?;
        self.accept(made);
        Ok(())
    }

    /// [`Self::step`] on the CPU, without a future.
    ///
    /// # Errors
    /// As [`Self::step`].
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn step_on_cpu(&mut self) -> Result<(), ComputeError> {
        let inputs = self.next_inputs();
        let made = self.cpu.run_now(&self.graph, inputs)?;
        self.accept(made);
        Ok(())
    }

    /// The output's bytes.
    ///
    /// # Errors
    /// [`ComputeError::NonFinite`].
    ///
    /// # Panics
    /// When steps are left: that breaks the driving contract.
    pub fn finish(mut self) -> Result<Vec<u8>, ComputeError> {
        assert!(self.is_done(), "{} of {} steps are taken", self.done, self.steps);
        let mut state = self.state.take().expect("every step that succeeds leaves a state");
        let outputs: Tensors = self
            .names
            .into_iter()
            .map(|name| {
                let tensor = state.remove(&name).expect("every step makes every parameter");
                (name, tensor)
            })
            .collect();
        outputs.check_finite()?;
        Ok(outputs.to_bytes())
    }

    fn next_inputs(&mut self) -> Tensors {
        assert!(!self.is_done(), "all {} steps are taken", self.steps);
        let mut inputs = self.state.take().expect("a run whose step failed cannot go on");
        let (first, len) = (u64::from(self.done) * u64::from(self.batch), self.order.len() as u64);
        let order = &self.order;
        let rows = (0..self.batch as usize).map(|i| order[((first + i as u64) % len) as usize] as usize);
        inputs.insert(programs::SAMPLES, self.samples.gather_rows(rows.clone()));
        inputs.insert(programs::LABELS, self.labels.gather_rows(rows));
        if let Program::LocalTraining(training) = &self.program {
            inputs.insert(programs::LEARNING_RATE, Tensor::f32([], vec![training.learning_rate]));
            inputs.insert(programs::MOMENTUM, Tensor::f32([], vec![training.momentum]));
        }
        inputs
    }

    fn accept(&mut self, made: Tensors) {
        self.state = Some(made.into_iter().filter(|(name, _)| name != programs::LOSS).collect());
        self.done += 1;
    }
}

/// Whether a name means something else in a unit than a parameter.
fn is_reserved(name: &str) -> bool {
    let reserved = [programs::SAMPLES, programs::LABELS, programs::LOSS, programs::LEARNING_RATE, programs::MOMENTUM];
    reserved.contains(&name) || name.starts_with(programs::VELOCITY_PREFIX)
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

/// The shard's samples and labels, checked against the graph's but for the number of rows.
fn read_data(bytes: &[u8], graph: &Graph, batch: u32) -> Result<(Tensor, Tensor), ComputeError> {
    let mut data = Tensors::from_bytes(bytes)?;
    let rows = data.get(programs::SAMPLES).and_then(|x| x.shape().first().copied()).unwrap_or(0);
    let mut take = |name: &str| {
        let missing = || ComputeError::MissingTensor { name: name.to_owned() };
        let mut expected = graph.input_type(name).ok_or_else(missing)?.clone();
        let graph_batch = expected.shape.first_mut().ok_or_else(missing)?;
        if *graph_batch != batch {
            return Err(ComputeError::WrongBatch { graph: *graph_batch, unit: batch });
        }
        *graph_batch = rows;
        let tensor = data.remove(name).ok_or_else(missing)?;
        check_type(name, &tensor, &expected)?;
        Ok(tensor)
    };
    let (samples, labels) = (take(programs::SAMPLES)?, take(programs::LABELS)?);
    match data.into_iter().next() {
        Some((name, _)) => Err(ComputeError::UnknownTensor { name }),
        None => Ok((samples, labels)),
    }
}

/// Checks that the graph's inputs are exactly what a step gives it, and that its outputs hold the next step's state.
fn check_graph(graph: &Graph, program: &Program, state: &Tensors, names: &[String]) -> Result<(), ComputeError> {
    let scalars: &[&str] = match program {
        Program::LocalTraining(_) => &[programs::LEARNING_RATE, programs::MOMENTUM],
        Program::Gradient(_) => &[],
    };
    for (name, value) in graph.inputs() {
        match state.get(name) {
            Some(tensor) => check_type(name, tensor, graph.value_type(*value))?,
            None if scalars.contains(&name.as_str()) => {
                check_type(name, &Tensor::zeros([]), graph.value_type(*value))?;
            }
            None if name == programs::SAMPLES || name == programs::LABELS => {}
            None => return Err(ComputeError::MissingTensor { name: name.clone() }),
        }
    }
    let missing = |name: &str| ComputeError::MissingTensor { name: name.to_owned() };
    let given = state.iter().map(|(name, _)| name).chain(scalars.iter().copied());
    for name in given {
        graph.input_type(name).ok_or_else(|| ComputeError::UnknownTensor { name: name.to_owned() })?;
    }
    let made: Vec<&str> = match program {
        Program::LocalTraining(_) => state.iter().map(|(name, _)| name).collect(),
        Program::Gradient(_) => names.iter().map(String::as_str).collect(),
    };
    for name in &made {
        let (_, value) = graph.outputs().iter().find(|(own, _)| own == name).ok_or_else(|| missing(name))?;
        check_type(name, state.get(name).expect("a name of the state"), graph.value_type(*value))?;
    }
    match graph.outputs().iter().find(|(name, _)| name != programs::LOSS && !made.contains(&name.as_str())) {
        Some((name, _)) => Err(ComputeError::UnknownTensor { name: name.clone() }),
        None => Ok(()),
    }
}

//! Local training and single gradients: mini-batches of labelled samples in the order that the unit's seed draws.

use std::collections::{BTreeMap, BTreeSet};

use shoal_graph::{Graph, ValueId, programs};
use shoal_wire::{proto::unit::Program, unit::CheckedUnit};

use crate::{
    error::ComputeError,
    executable::check_type,
    seed::{SHUFFLE, permutation, unit_seed},
    tensor::{Tensor, Tensors},
};

/// A training unit being computed.
#[derive(Debug)]
pub(super) struct Training {
    program: Program,
    batch: u32,
    names: Vec<String>,
    /// Parameters, and velocities when training; absent during a step and after one that failed.
    state: Option<Tensors>,
    samples: Tensor,
    labels: Tensor,
    order: Vec<u32>,
}

impl Training {
    pub(super) fn new(
        unit: &CheckedUnit,
        graph: &Graph,
        batch: u32,
        parameters: &[u8],
        data: &[u8],
    ) -> Result<Self, ComputeError> {
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
        let (samples, labels) = read_data(data, graph, batch)?;
        check_graph(graph, &unit.program, &state, &names)?;
        let seed = unit_seed(&unit.job, unit.message.round, &unit.id, SHUFFLE);
        let order = permutation(seed, samples.shape()[0]);
        Ok(Self { program: unit.program, batch, names, state: Some(state), samples, labels, order })
    }

    pub(super) fn next_inputs(&mut self, done: u32) -> Tensors {
        let mut inputs = self.state.take().expect("a run whose step failed cannot go on");
        let (first, len) = (u64::from(done) * u64::from(self.batch), self.order.len() as u64);
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

    pub(super) fn accept(&mut self, made: Tensors) {
        self.state = Some(made.into_iter().filter(|(name, _)| name != programs::LOSS).collect());
    }

    /// One tensor a parameter.
    pub(super) fn outputs(self) -> Tensors {
        let mut state = self.state.expect("every step that succeeds leaves a state");
        let outputs = self.names.into_iter().map(|name| {
            let tensor = state.remove(&name).expect("every step makes every parameter");
            (name, tensor)
        });
        outputs.collect()
    }
}

/// Whether a name means something else in a unit than a parameter.
fn is_reserved(name: &str) -> bool {
    let reserved = [programs::SAMPLES, programs::LABELS, programs::LOSS, programs::LEARNING_RATE, programs::MOMENTUM];
    reserved.contains(&name) || name.starts_with(programs::VELOCITY_PREFIX)
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
        Program::Gradient(_) | Program::Map(_) => &[],
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
    let inputs: BTreeSet<&str> = graph.inputs().iter().map(|(name, _)| name.as_str()).collect();
    let given = state.iter().map(|(name, _)| name).chain(scalars.iter().copied());
    for name in given {
        if !inputs.contains(name) {
            return Err(ComputeError::UnknownTensor { name: name.to_owned() });
        }
    }
    let made: BTreeSet<&str> = match program {
        Program::LocalTraining(_) => state.iter().map(|(name, _)| name).collect(),
        Program::Gradient(_) | Program::Map(_) => names.iter().map(String::as_str).collect(),
    };
    let outputs: BTreeMap<&str, ValueId> =
        graph.outputs().iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for name in &made {
        let value = outputs.get(name).ok_or_else(|| missing(name))?;
        check_type(name, state.get(name).expect("a name of the state"), graph.value_type(*value))?;
    }
    match graph.outputs().iter().find(|(name, _)| name != programs::LOSS && !made.contains(name.as_str())) {
        Some((name, _)) => Err(ComputeError::UnknownTensor { name: name.clone() }),
        None => Ok(()),
    }
}

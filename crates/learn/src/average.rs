//! Federated averaging (McMahan et al. 2017, <https://arxiv.org/abs/1602.05629>, Algorithm 1) by unit index.
//!
//! θ′ = Σ (nᵢ / n) θᵢ with nᵢ the samples of unit i and n their sum. The arithmetic is exact/1: nᵢ / n is one f32
//! division; each product is rounded, then added; contribution number k in order of unit index goes to lane k mod 16;
//! the lanes are folded in halves. No step depends on the order in which contributions arrived.

use crate::{
    error::LearnError,
    limits::{MAX_CONTRIBUTIONS, MAX_ROUND_SAMPLES},
    parameters::{Parameter, Parameters},
};

/// Lanes of an exact/1 reduction.
const LANES: usize = 16;

/// Elements averaged at a time: 16 lanes of them fit a core's 32 KiB of level-1 cache with the input beside them.
const BLOCK: usize = 256;

/// What one unit found.
#[derive(Clone, Copy, Debug)]
pub enum Update<'a> {
    /// New parameters after local training.
    Parameters(&'a Parameters),
    /// A gradient: stands for one step θ − learning rate · g, the FedAvg client with one epoch and one batch (FedSGD).
    Gradient {
        /// One gradient a parameter.
        gradient: &'a Parameters,
        /// Step size.
        learning_rate: f32,
    },
}

/// One accepted unit of the round.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// The unit's index in the round; fixes its place in the sum.
    pub index: u32,
    /// Samples behind it: its weight.
    pub samples: u32,
    /// What it found.
    pub update: Update<'a>,
}

/// The next parameters: the average of what the units found, weighted by samples. Contributions may come in any order.
///
/// # Errors
/// Contributions that do not fit `current` or each other, and anything that is not finite; see [`LearnError`].
pub fn federated_average(current: &Parameters, contributions: &[Contribution<'_>]) -> Result<Parameters, LearnError> {
    let mut contributions = contributions.to_vec();
    contributions.sort_by_key(|contribution| contribution.index);
    let samples = check_counts(&contributions)?;
    for contribution in &contributions {
        check_tensors(current, contribution)?;
    }
    let weights: Vec<f32> =
        contributions.iter().map(|contribution| contribution.samples as f32 / samples as f32).collect();
    let averaged = current.with_values(|name| average_tensor(name, current, &contributions, &weights));
    for (name, parameter) in averaged.iter() {
        if let Some(element) = first_non_finite(parameter) {
            return Err(LearnError::Overflow { name: name.to_owned(), element });
        }
    }
    Ok(averaged)
}

/// Total samples of contributions sorted by index.
fn check_counts(contributions: &[Contribution<'_>]) -> Result<u64, LearnError> {
    if contributions.is_empty() {
        return Err(LearnError::NoContributions);
    }
    if contributions.len() > MAX_CONTRIBUTIONS {
        return Err(LearnError::TooManyContributions { contributions: contributions.len(), limit: MAX_CONTRIBUTIONS });
    }
    if let Some(pair) = contributions.windows(2).find(|pair| pair[0].index == pair[1].index) {
        return Err(LearnError::DuplicateIndex { index: pair[0].index });
    }
    if let Some(empty) = contributions.iter().find(|contribution| contribution.samples == 0) {
        return Err(LearnError::NoSamples { index: empty.index });
    }
    let samples = contributions.iter().map(|contribution| u64::from(contribution.samples)).sum();
    if samples > MAX_ROUND_SAMPLES {
        return Err(LearnError::TooManySamples { samples, limit: MAX_ROUND_SAMPLES });
    }
    Ok(samples)
}

fn check_tensors(current: &Parameters, contribution: &Contribution<'_>) -> Result<(), LearnError> {
    let index = contribution.index;
    let tensors = match contribution.update {
        Update::Parameters(parameters) => parameters,
        Update::Gradient { gradient, learning_rate } => {
            if !learning_rate.is_finite() {
                return Err(LearnError::LearningRate { index });
            }
            gradient
        }
    };
    if tensors.len() != current.len() {
        return Err(LearnError::TensorCount { index, got: tensors.len(), expected: current.len() });
    }
    for (name, expected) in current.iter() {
        let name = || name.to_owned();
        let Some(got) = tensors.get(&name()) else {
            return Err(LearnError::MissingTensor { index, name: name() });
        };
        if got.shape != expected.shape {
            return Err(LearnError::Shape {
                index,
                name: name(),
                got: got.shape.clone(),
                expected: expected.shape.clone(),
            });
        }
        if let Some(element) = first_non_finite(got) {
            return Err(LearnError::NonFinite { index, name: name(), element });
        }
    }
    Ok(())
}

fn first_non_finite(parameter: &Parameter) -> Option<usize> {
    parameter.values.iter().position(|value| !value.is_finite())
}

fn average_tensor(name: &str, current: &Parameters, contributions: &[Contribution<'_>], weights: &[f32]) -> Vec<f32> {
    let theta = &current.get(name).expect("the name comes from these parameters").values;
    let mut averaged = Vec::with_capacity(theta.len());
    for (block, theta) in theta.chunks(BLOCK).enumerate() {
        let mut lanes = [[0.0f32; BLOCK]; LANES];
        for (position, (contribution, weight)) in contributions.iter().zip(weights).enumerate() {
            let lane = &mut lanes[position % LANES][..theta.len()];
            add_weighted(lane, theta, name, contribution, *weight, block * BLOCK);
        }
        fold(&mut lanes);
        averaged.extend_from_slice(&lanes[0][..theta.len()]);
    }
    averaged
}

/// Adds weight · θᵢ for one block of elements.
fn add_weighted(
    lane: &mut [f32],
    theta: &[f32],
    name: &str,
    contribution: &Contribution<'_>,
    weight: f32,
    offset: usize,
) {
    match contribution.update {
        Update::Parameters(parameters) => {
            let values = &values(parameters, name)[offset..offset + lane.len()];
            for (sum, value) in lane.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        Update::Gradient { gradient, learning_rate } => {
            let values = &values(gradient, name)[offset..offset + lane.len()];
            for ((sum, slope), theta) in lane.iter_mut().zip(values).zip(theta) {
                *sum += weight * (theta - learning_rate * slope);
            }
        }
    }
}

fn values<'a>(tensors: &'a Parameters, name: &str) -> &'a [f32] {
    &tensors.get(name).expect("every contribution was checked to have every tensor").values
}

/// Adds the lanes in halves: 16 to 8 to 4 to 2 to 1.
fn fold(lanes: &mut [[f32; BLOCK]; LANES]) {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high.iter()) {
            for (sum, value) in low.iter_mut().zip(high) {
                *sum += value;
            }
        }
        half /= 2;
    }
}

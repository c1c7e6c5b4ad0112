//! The in-process validator: computes a unit itself and compares. Pure; the caller puts it on a thread of its own.
//!
//! Exact outputs are right or wrong by hash. Tolerant ones are compared norm-wise with the CPU reference within the
//! bound derived from the graph (`shoal_compute::tolerance`).

use std::time::Instant;

use shoal_compute::{
    ComputeError, Tensors,
    program::{Budget, run_unit_on_cpu},
    tolerance::{bound, compare_tolerant},
};
use shoal_graph::Graph;
use shoal_wire::{
    ids::BlobId,
    proto::{Class, Outcome, unit::Program},
    unit::CheckedUnit,
};

/// The blobs that a unit names.
#[derive(Clone, Debug)]
pub struct UnitBlobs {
    /// Graph.
    pub graph: Vec<u8>,
    /// Parameters.
    pub parameters: Vec<u8>,
    /// Shard.
    pub data: Vec<u8>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Accepted or why not.
    pub outcome: Outcome,
    /// Tolerant units: largest norm-wise deviation; 0 for exact ones.
    pub deviation: f64,
    /// The right output of an exact unit.
    pub reference: Option<BlobId>,
    /// Time of the whole check, seconds.
    pub check_seconds: f64,
    /// Time of the unit itself, seconds.
    pub compute_seconds: f64,
}

/// The validator takes every unit that could be planned.
const BUDGET: Budget = Budget { reference_ops: u64::MAX, memory_bytes: u64::MAX };

/// Computes the unit, as the reference does.
///
/// # Errors
/// A unit that nobody can compute: its job is at fault.
pub fn compute(unit: &CheckedUnit, blobs: &UnitBlobs) -> Result<Vec<u8>, ComputeError> {
    run_unit_on_cpu(unit, &blobs.graph, &blobs.parameters, &blobs.data, &BUDGET)
}

/// Judges an output. `known` is the right output's hash and the seconds it took, where an exact unit was computed here
/// before.
///
/// # Errors
/// As [`compute`].
pub fn judge(
    unit: &CheckedUnit,
    blobs: &UnitBlobs,
    output: &[u8],
    known: Option<(BlobId, f64)>,
) -> Result<Finding, ComputeError> {
    let start = Instant::now();
    if let Some((reference, compute_seconds)) = known
        && BlobId::of(output) == reference
    {
        let (outcome, deviation, reference) = (Outcome::Accepted, 0.0, Some(reference));
        let check_seconds = start.elapsed().as_secs_f64();
        return Ok(Finding { outcome, deviation, reference, check_seconds, compute_seconds });
    }
    let right = compute(unit, blobs)?;
    let compute_seconds = start.elapsed().as_secs_f64();
    let (outcome, deviation, reference) = match unit.class {
        Class::Exact => (exact_outcome(unit, output, &right), 0.0, Some(BlobId::of(&right))),
        Class::Tolerant | Class::Unspecified => {
            let (outcome, deviation) = tolerant_outcome(output, &right, bound(&Graph::decode(&blobs.graph)?));
            (outcome, deviation, None)
        }
    };
    let check_seconds = start.elapsed().as_secs_f64();
    Ok(Finding { outcome, deviation, reference, check_seconds, compute_seconds })
}

fn exact_outcome(unit: &CheckedUnit, output: &[u8], right: &[u8]) -> Outcome {
    if output == right {
        return Outcome::Accepted;
    }
    // Why it is wrong is for people; the bound decides nothing here.
    match tolerant_outcome(output, right, f64::INFINITY) {
        (Outcome::Accepted, _) => Outcome::WrongResult,
        // Rows that are not finite are no fault of a map unit's output.
        (Outcome::NonFinite, _) if matches!(unit.program, Program::Map(_)) => Outcome::WrongResult,
        (other, _) => other,
    }
}

fn tolerant_outcome(output: &[u8], right: &[u8], bound: f64) -> (Outcome, f64) {
    let right = Tensors::from_bytes(right).expect("the reference wrote these bytes");
    let Ok(got) = Tensors::from_bytes(output) else { return (Outcome::MalformedOutput, 0.0) };
    match compare_tolerant(&got, &right, bound) {
        Ok(comparison) if comparison.is_within() => (Outcome::Accepted, comparison.distance),
        Ok(comparison) => (Outcome::WrongResult, comparison.distance),
        Err(ComputeError::NonFinite { .. }) => (Outcome::NonFinite, 0.0),
        Err(_) => (Outcome::MalformedOutput, 0.0),
    }
}

#[cfg(test)]
mod tests;

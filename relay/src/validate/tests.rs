//! Right outputs pass, and each way of being wrong has its name.

use shoal_compute::{Data, Tensor, vectors::not_finite_unit};
use shoal_wire::job::JobSpec;

use super::*;
use crate::plan::{job_id, plan_job};

/// The exact and the tolerant unit of a small job.
fn units() -> [(CheckedUnit, UnitBlobs); 2] {
    let document = serde_json::json!({
        "name": "toy",
        "model": {"input": [3], "layers": [{"op": "dense", "units": 4}, {"op": "relu"}, {"op": "dense", "units": 2}]},
        "data": {"train": "00".repeat(32)},
        "training": {"rounds": 1, "units_per_round": 2, "gradient_units_per_round": 1, "local_steps": 3, "batch": 2,
                     "learning_rate": 0.1, "gradient_batch": 4},
    });
    let mut data = Tensors::new();
    data.insert("x", Tensor::f32([8, 3], (0..24).map(|i| (i % 7) as f32 - 3.0).collect()));
    data.insert("y", Tensor::i32([8], (0..8).map(|i| i % 2).collect()));
    let spec = JobSpec::from_json(document.to_string().as_bytes()).unwrap();
    let planned = plan_job(job_id(b"{}", 0), spec, &data.to_bytes(), None).unwrap();
    let graphs: Vec<_> = planned.graphs.blobs().map(<[u8]>::to_vec).collect();
    [0, 1].map(|index| {
        let (parameters, data) = (planned.parameters.clone(), planned.shards[index].0.clone());
        (planned.units[index].clone(), UnitBlobs { graph: graphs[index].clone(), parameters, data })
    })
}

/// The right output with one element of the first tensor changed.
fn edited(right: &[u8], edit: impl Fn(&mut f32)) -> Vec<u8> {
    let mut tensors = Tensors::from_bytes(right).unwrap();
    let (name, tensor) = tensors.iter().next().map(|(name, tensor)| (name.to_owned(), tensor.clone())).unwrap();
    let Data::F32(mut data) = tensor.data().clone() else { panic!("parameters are floats") };
    edit(&mut data[0]);
    tensors.insert(name, Tensor::f32(tensor.shape(), data));
    tensors.to_bytes()
}

#[test]
fn an_exact_output_is_right_to_the_bit_or_wrong() {
    let [(unit, blobs), _] = units();
    let right = compute(&unit, &blobs).unwrap();
    let outcome = |output: &[u8]| judge(&unit, &blobs, output, None).unwrap().outcome;
    assert_eq!(outcome(&right), Outcome::Accepted);
    assert_eq!(outcome(&edited(&right, |x| *x = f32::from_bits(x.to_bits() ^ 1))), Outcome::WrongResult);
    assert_eq!(outcome(&edited(&right, |x| *x = f32::NAN)), Outcome::NonFinite);
    assert_eq!(outcome(&right[..right.len() - 1]), Outcome::MalformedOutput);
    assert_eq!(outcome(b""), Outcome::MalformedOutput);
    assert_eq!(outcome(&blobs.data), Outcome::MalformedOutput);
}

#[test]
fn a_map_output_that_is_not_finite_is_right_or_wrong_like_any_other() {
    let unit = not_finite_unit();
    let blobs = UnitBlobs { graph: unit.graph, parameters: unit.parameters, data: unit.data };
    let right = compute(&unit.unit, &blobs).unwrap();
    let outcome = |output: &[u8]| judge(&unit.unit, &blobs, output, None).unwrap().outcome;
    assert_eq!(outcome(&right), Outcome::Accepted);
    assert_eq!(outcome(&edited(&right, |x| *x += 1.0)), Outcome::WrongResult);
    let nan = right.windows(4).rposition(|bytes| bytes == f32::NAN.to_le_bytes()).unwrap();
    let mut other_nan = right.clone();
    other_nan[nan] ^= 1;
    assert_eq!(outcome(&other_nan), Outcome::WrongResult, "a NaN of other bits is another output");
}

#[test]
fn a_tolerant_output_is_right_within_the_bound() {
    let [_, (unit, blobs)] = units();
    let right = compute(&unit, &blobs).unwrap();
    let finding = |output: &[u8]| judge(&unit, &blobs, output, None).unwrap();
    assert_eq!(finding(&right).outcome, Outcome::Accepted);
    let near = finding(&edited(&right, |x| *x *= 1.0 + 1e-6));
    assert_eq!(near.outcome, Outcome::Accepted, "deviation {}", near.deviation);
    assert!(near.deviation > 0.0);
    assert_eq!(finding(&edited(&right, |x| *x += 1.0)).outcome, Outcome::WrongResult);
    assert_eq!(finding(&edited(&right, |x| *x = f32::INFINITY)).outcome, Outcome::NonFinite);
    assert_eq!(finding(&blobs.data).outcome, Outcome::MalformedOutput);
}

#[test]
fn a_known_reference_saves_the_computation_but_not_the_check() {
    let [(unit, blobs), _] = units();
    let right = compute(&unit, &blobs).unwrap();
    let known = Some((BlobId::of(&right), 7.0));
    let finding = judge(&unit, &blobs, &right, known).unwrap();
    assert_eq!((finding.outcome, finding.compute_seconds), (Outcome::Accepted, 7.0));
    let wrong = edited(&right, |x| *x += 1.0);
    assert_eq!(judge(&unit, &blobs, &wrong, known).unwrap().outcome, Outcome::WrongResult);
}

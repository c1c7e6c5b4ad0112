//! What a plan holds, and what is refused by name.

use std::collections::BTreeSet;

use shoal_compute::{Tensor, Tensors};
use shoal_wire::proto::{Class, unit::Program};

use super::*;

fn spec() -> JobSpec {
    let document = serde_json::json!({
        "name": "toy",
        "model": {"input": [3], "layers": [{"op": "dense", "units": 2}]},
        "data": {"train": "00".repeat(32)},
        "training": {"rounds": 2, "units_per_round": 4, "gradient_units_per_round": 1, "local_steps": 3, "batch": 2,
                     "learning_rate": 0.1, "gradient_batch": 2, "gradient_learning_rate": 0.1, "seed": 7},
    });
    JobSpec::from_json(document.to_string().as_bytes()).unwrap()
}

fn data(n: u32, edit: impl Fn(&mut Vec<f32>, &mut Vec<i32>)) -> Vec<u8> {
    let mut x: Vec<f32> = (0..n * 3).map(|i| i as f32).collect();
    let mut y: Vec<i32> = (0..n as i32).map(|i| i % 2).collect();
    edit(&mut x, &mut y);
    let mut tensors = Tensors::new();
    tensors.insert("x", Tensor::f32([n, 3], x));
    tensors.insert("y", Tensor::i32([n], y));
    tensors.to_bytes()
}

fn plan(train: &[u8]) -> Result<PlannedJob, PlanError> {
    plan_job(job_id(b"{}", 0), spec(), train, None)
}

fn refused(train: &[u8]) -> String {
    plan(train).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_sample_is_in_one_shard() {
    let planned = plan(&data(10, |_, _| ())).unwrap();
    let mut seen = BTreeSet::new();
    for (shard, samples) in &planned.shards {
        let shard = Tensors::from_bytes(shard).unwrap();
        let x = shard.get("x").unwrap();
        assert!((2..=3).contains(samples) && x.shape()[0] == *samples, "{:?}", x.shape());
        let y = shard.get("y").unwrap().as_i32().unwrap();
        for (sample, label) in x.as_f32().unwrap().chunks(3).zip(y) {
            let row = sample[0] as i32 / 3;
            assert_eq!(*label, row % 2, "the label stays with its sample");
            assert!(seen.insert(row));
        }
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn the_last_units_are_tolerant_gradients() {
    let planned = plan(&data(8, |_, _| ())).unwrap();
    let classes: Vec<_> = planned.units.iter().map(|unit| unit.class).collect();
    assert_eq!(classes, [Class::Exact, Class::Exact, Class::Exact, Class::Tolerant]);
    assert!(matches!(planned.units[3].program, Program::Gradient(_)));
    // A step on a batch of 2: forward 2·2·2·3 and bias 4, loss 16·4 twice, its own gradient 1, dW 24, db 4, update
    // 4·(6 + 2).
    assert_eq!(planned.units[0].message.reference_ops, 3 * (24 + 4 + 64 + 64 + 1 + 24 + 4 + 32));
    assert_eq!(planned.units[3].message.reference_ops, 24 + 4 + 64 + 64 + 1 + 24 + 4);
}

#[test]
fn a_plan_is_the_same_again_and_differs_by_job() {
    let train = data(9, |_, _| ());
    let (one, two) = (plan(&train).unwrap(), plan(&train).unwrap());
    assert_eq!((&one.units, &one.shards, &one.parameters), (&two.units, &two.shards, &two.parameters));
    let again = plan_job(job_id(b"{}", 1), spec(), &train, None).unwrap();
    assert_eq!(again.parameters, one.parameters);
    assert_ne!(again.units[0].id, one.units[0].id);
}

#[test]
fn bad_data_are_refused_by_name_and_value() {
    assert!(refused(b"garbage").starts_with("data.train: "));
    assert_eq!(refused(&data(3, |_, _| ())), "data.train has 3 samples for 4 units in a round");
    let error = refused(&data(9, |_, y| y[4] = 2));
    assert_eq!(error, "data.train: label 2 of sample 4 is not in 0..2");
    assert!(refused(&data(9, |_, y| y[0] = -1)).contains("label -1 of sample 0"));
    assert!(refused(&data(9, |x, _| x[5] = f32::NAN)).contains("element 5 of \"x\" is NaN"));

    let mut tensors = Tensors::new();
    tensors.insert("x", Tensor::f32([4, 2], vec![0.0; 8]));
    assert_eq!(refused(&tensors.to_bytes()), "data.train has no tensor \"y\"");
    tensors.insert("y", Tensor::i32([4], vec![0; 4]));
    assert_eq!(refused(&tensors.to_bytes()), "data.train: tensor \"x\" is F32 [4, 2], needed is F32 [n, 3]");
    tensors.insert("x", Tensor::f32([4, 3], vec![0.0; 12]));
    tensors.insert("y", Tensor::f32([4], vec![0.0; 4]));
    assert_eq!(refused(&tensors.to_bytes()), "data.train: tensor \"y\" is F32 [4], needed is I32 [4]");
    tensors.insert("y", Tensor::i32([4], vec![0; 4]));
    tensors.insert("z", Tensor::i32([4], vec![0; 4]));
    assert!(refused(&tensors.to_bytes()).contains("\"z\""));
}

#[test]
fn bad_models_and_large_units_are_refused() {
    let train = data(9, |_, _| ());
    let plan = |edit: &dyn Fn(&mut JobSpec)| {
        let mut spec = spec();
        edit(&mut spec);
        plan_job(job_id(b"{}", 0), spec, &train, None).map(|_| ()).unwrap_err().to_string()
    };
    let pool = shoal_wire::job::LayerSpec::MaxPool2d { size: 2 };
    assert!(plan(&|spec| spec.model.layers[0] = pool.clone()).starts_with("model: "));
    let large = plan(&|spec| {
        spec.model.layers[0] = shoal_wire::job::LayerSpec::Dense { units: 20 };
        spec.training.local_steps = 100_000;
        spec.training.batch = 65_536;
    });
    assert!(large.contains("reference operations, allowed is 1000000000000"), "{large}");
}

//! ONNX's own tests of single operators (onnx/backend/test/data/node of its Python package): each is a model with inputs
//! and outputs. Every one is tried: what lowers must compute what ONNX says, and what lowered once must go on to do so
//! (`node_tests.txt`).
//!
//! Tolerances are those of ONNX's own runner, relative 10⁻³ and absolute 10⁻⁷; outputs of 16 bits may differ by the
//! rounding of their type, because a graph computes in f32.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use shoal_compute::{Data as Made, Executable, Tensor as MadeTensor, Tensors};
use shoal_onnx::{Data, Element, Model, OnnxError, Sizes, Stored, Tensor};

/// The folder that set-up unpacks the tests into, within the user's cache.
const FOLDER: &str = "onnx-node-tests-1.22.0";
const LIST: &str = "tests/node_tests.txt";
const RTOL: f64 = 1e-3;
const ATOL: f64 = 1e-7;

enum Outcome {
    Passed { constants: usize },
    Failed(String),
    Unsupported(String),
}

#[test]
fn what_lowers_computes_what_onnx_says() {
    let folder = common::cached(FOLDER);
    let mut names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let only = env::var("SHOAL_NODE_TEST").unwrap_or_default();
    let (mut passed, mut failed) = (BTreeSet::new(), Vec::new());
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut with_constants = 0;
    for name in names.iter().filter(|name| name.contains(&only)) {
        match run(&folder.join(name)) {
            Outcome::Passed { constants } => {
                passed.insert(name.clone());
                with_constants += usize::from(constants > 0);
            }
            Outcome::Failed(reason) => failed.push(format!("{name}: {reason}")),
            Outcome::Unsupported(reason) => reasons.entry(reason).or_default().push(name.clone()),
        }
    }
    let unsupported: usize = reasons.values().map(Vec::len).sum();
    let mut by_count: Vec<_> = reasons.iter().collect();
    by_count.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    for (reason, names) in by_count {
        println!("{:4} {reason} ({}, …)", names.len(), names[0]);
    }
    println!(
        "{} passed ({with_constants} of them with inputs given as constants), {} failed, {unsupported} unsupported",
        passed.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "failed:\n{}", failed.join("\n"));
    if !only.is_empty() {
        return;
    }
    if env::var_os("SHOAL_UPDATE").is_some() {
        let list: String = passed.iter().map(|name| format!("{name}\n")).collect();
        fs::write(LIST, list).unwrap();
    }
    let list: BTreeSet<String> = fs::read_to_string(LIST).unwrap().lines().map(str::to_owned).collect();
    let lost: Vec<_> = list.difference(&passed).collect();
    assert!(lost.is_empty(), "passed before: {lost:?}");
    let new: Vec<_> = passed.difference(&list).collect();
    assert!(new.is_empty(), "add them to node_tests.txt by running with SHOAL_UPDATE=1: {new:?}");
}

fn run(folder: &Path) -> Outcome {
    let model = match Model::read(fs::read(folder.join("model.onnx")).unwrap()) {
        Ok(model) => model,
        Err(error) => return Outcome::Unsupported(short(&error)),
    };
    let mut sets: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sets.retain(|path| path.is_dir());
    sets.sort();
    let mut most = 0;
    for set in sets {
        match run_set(&model, &set) {
            Outcome::Passed { constants } => most = most.max(constants),
            other => return other,
        }
    }
    Outcome::Passed { constants: most }
}

fn tensors(set: &Path, kind: &str, count: usize) -> Result<Vec<Stored>, OnnxError> {
    let path = |index| set.join(format!("{kind}_{index}.pb"));
    (0..count)
        .filter(|index| path(*index).exists())
        .map(|index| Stored::read(fs::read(path(index)).unwrap()).map(|(_, stored)| stored))
        .collect()
}

fn run_set(model: &Model, set: &Path) -> Outcome {
    let read = tensors(set, "input", model.inputs().len())
        .and_then(|inputs| Ok((inputs, tensors(set, "output", model.outputs().len())?)));
    let (inputs, expected) = match read {
        Ok(read) => read,
        Err(error) => return Outcome::Unsupported(short(&error)),
    };
    let named: Vec<(&str, &Stored)> = model.inputs().iter().map(|port| port.name.as_str()).zip(&inputs).collect();
    // Some inputs decide shapes: they are given as constants, as few as it takes.
    let is_integer = |(_, stored): &(&str, &Stored)| !stored.element().is_float() || stored.elements() == 0;
    let choices: [Box<dyn Fn(usize) -> bool>; 4] = [
        Box::new(|_| false),
        Box::new(|index| index > 0 && is_integer(&named[index])),
        Box::new(|index| index > 0),
        Box::new(|_| true),
    ];
    let mut first_error = None;
    for is_constant in choices {
        let mut sizes = Sizes::new();
        let mut constants = 0;
        for (index, (name, stored)) in named.iter().enumerate() {
            if is_constant(index) {
                constants += 1;
                sizes = sizes.constant(*name, stored.decode());
            } else {
                sizes = sizes.shape(*name, stored.shape().to_vec());
            }
        }
        let lowered = match model.graph(&sizes) {
            Ok(lowered) => lowered,
            Err(error) => {
                first_error.get_or_insert(error);
                continue;
            }
        };
        let mut given = Tensors::new();
        for (name, weight) in &lowered.weights {
            let dtype = weight.tensor_type.dtype;
            given.insert(
                name,
                MadeTensor::new(weight.tensor_type.shape.clone(), Made::from_bytes(dtype, &weight.bytes)),
            );
        }
        for (index, (name, stored)) in named.iter().enumerate() {
            if is_constant(index) {
                continue;
            }
            match stored.weight() {
                Ok(weight) => {
                    let data = Made::from_bytes(weight.tensor_type.dtype, &weight.bytes);
                    given.insert(*name, MadeTensor::new(weight.tensor_type.shape, data));
                }
                Err(error) => return Outcome::Unsupported(error.to_string()),
            }
        }
        let made = match Executable::new(lowered.graph).run(given) {
            Ok(made) => made,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        for (port, expected) in model.outputs().iter().zip(&expected) {
            if let Err(reason) = compare(made.get(&port.name).unwrap(), expected) {
                return Outcome::Failed(format!("{}: {reason}", port.name));
            }
        }
        return Outcome::Passed { constants };
    }
    Outcome::Unsupported(short(&first_error.unwrap()))
}

fn compare(made: &MadeTensor, expected: &Stored) -> Result<(), String> {
    if made.shape() != expected.shape() {
        return Err(format!("shape {:?}, {:?} expected", made.shape(), expected.shape()));
    }
    let Tensor { element, data, .. } = expected.decode();
    let rtol = match element {
        Element::F16 => f64::from(2f32.powi(-9)),
        Element::Bf16 => f64::from(2f32.powi(-7)),
        _ => RTOL,
    };
    let made: Vec<f64> = match made.data() {
        Made::F32(values) => values.iter().map(|x| f64::from(*x)).collect(),
        Made::I32(values) => values.iter().map(|x| f64::from(*x)).collect(),
        Made::I8(values) => values.iter().map(|x| f64::from(*x)).collect(),
        Made::U8(values) => values.iter().map(|x| f64::from(*x)).collect(),
    };
    let expected: Vec<f64> = match data {
        Data::Floats(values) => values,
        Data::Integers(values) => values.iter().map(|x| *x as f64).collect(),
    };
    for (index, (made, expected)) in made.iter().zip(&expected).enumerate() {
        let same = made == expected || (made.is_nan() && expected.is_nan());
        let close = element.is_float() && (made - expected).abs() <= ATOL + rtol * expected.abs();
        if !same && !close {
            return Err(format!("element {index} is {made}, {expected} expected"));
        }
    }
    Ok(())
}

/// The reason without names and numbers of the one test.
fn short(error: &OnnxError) -> String {
    match error {
        OnnxError::Unsupported { ops } => {
            format!("no lowering for {}", ops.iter().map(|op| op.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        OnnxError::BadTensor { reason, .. } => reason.to_string(),
        OnnxError::Node { op, error, .. } => format!("{op}: {error}"),
        other => other.to_string(),
    }
}

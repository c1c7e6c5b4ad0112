//! `shoal model inspect`: what is in a model file, and what one run of given sizes costs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use shoal_onnx::{Dimension, Lowered, Model, OnnxError, Port, Sizes, read_safetensors};

use super::{
    file::{ModelFile, model_error},
    measure,
    report::{CostReport, ModelReport, TensorsReport},
};
use crate::{args::SizeArg, error::CliError, files::io_error, output::Output};

/// Sizes of symbols that nobody gave, by what their names contain.
const USUAL_SIZES: [(&[&str], u32); 3] = [(&["batch"], 1), (&["seq", "len", "token"], 64), (&["height", "width"], 224)];
/// Names of a batch that say nothing else.
const BATCHES: [&str; 3] = ["n", "b", "bs"];

/// Where the size of a symbol is from.
pub(super) struct Chosen {
    pub(super) symbol: String,
    pub(super) size: u32,
    pub(super) is_given: bool,
}

pub(super) fn inspect(path: &Path, weights: &[PathBuf], sizes: &[SizeArg], output: Output) -> Result<(), CliError> {
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        let bytes = Bytes::from(fs::read(path).map_err(io_error(path))?);
        let tensors = read_safetensors(&bytes).map_err(|source| model_error(path, source))?;
        let report = TensorsReport::new(path, &tensors);
        output.result(&report, &report);
        return Ok(());
    }
    let file = ModelFile::open(path)?;
    let mut report = ModelReport::new(path, &file.summary);
    if file.summary.operators.iter().any(|op| !op.is_supported) {
        output.result(&report, &report);
        return file.model(weights).map(drop);
    }
    let model = file.model(weights)?;
    let (sizes, chosen) = choose(path, &model, sizes)?;
    let lowered = model.graph(&sizes).map_err(|source| model_error(path, source))?;
    report.cost = Some(cost(&lowered, &model, &chosen));
    output.result(&report, &report);
    Ok(())
}

fn cost(lowered: &Lowered, model: &Model, chosen: &[Chosen]) -> CostReport {
    let first = model.inputs().first().and_then(|port| lowered.graph.input_type(&port.name));
    let is_batch = model.inputs().first().and_then(|port| port.shape.as_deref()?.first().map(is_batch));
    let samples = match (first, is_batch) {
        (Some(input), Some(true)) => input.shape.first().copied().unwrap_or(1),
        _ => 1,
    };
    CostReport::new(lowered, chosen, samples, measure::seconds(lowered))
}

fn is_batch(dimension: &Dimension) -> bool {
    match dimension {
        Dimension::Fixed(_) => false,
        Dimension::Open => true,
        Dimension::Symbol(name) => {
            let name = name.to_lowercase();
            name.contains("batch") || BATCHES.contains(&name.as_str())
        }
    }
}

/// A size for every symbol: that of a flag, or the usual one of such a name.
fn choose(path: &Path, model: &Model, given: &[SizeArg]) -> Result<(Sizes, Vec<Chosen>), CliError> {
    let mut sizes = Sizes::new();
    let mut chosen = Vec::new();
    let shaped = |port: &Port| given.iter().any(|size| size.name == port.name && is_shape(size, port));
    for size in given {
        let port = model.inputs().iter().find(|port| port.name == size.name && is_shape(size, port));
        sizes = match (port, size.shape.as_slice()) {
            (Some(port), shape) => sizes.shape(port.name.clone(), shape),
            (None, [one]) => sizes.symbol(size.name.clone(), *one),
            (None, _) => {
                let name = size.name.clone();
                return Err(model_error(path, OnnxError::NoSuchName { what: "input", name }));
            }
        };
    }
    for symbol in model.symbols() {
        let by_flag = given.iter().find(|size| size.name == symbol).and_then(|size| size.shape.first());
        match by_flag.copied().or_else(|| usual(symbol)) {
            Some(size) => {
                sizes = sizes.symbol(symbol, size);
                chosen.push(Chosen { symbol: symbol.to_owned(), size, is_given: by_flag.is_some() });
            }
            None => {
                let of = |port: &&Port| port.shape.iter().flatten().any(|dim| dim.to_string() == symbol);
                if model.inputs().iter().filter(of).any(|port| !shaped(port)) {
                    return Err(CliError::Argument {
                        argument: "--size",
                        value: symbol.to_owned(),
                        reason: format!("the model does not say how large it is: give --size {symbol}=NUMBER"),
                    });
                }
            }
        }
    }
    for port in model.inputs().iter().filter(|port| !shaped(port)) {
        let Some([Dimension::Open, rest @ ..]) = port.shape.as_deref() else { continue };
        let fixed = rest.iter().map(|dim| match dim {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Symbol(name) => chosen.iter().find(|own| own.symbol == *name).map(|own| own.size),
            Dimension::Open => None,
        });
        if let Some(rest) = fixed.collect::<Option<Vec<u32>>>() {
            sizes = sizes.shape(port.name.clone(), [vec![1], rest].concat());
        }
    }
    Ok((sizes, chosen))
}

/// Whether a flag's numbers are the shape of an input, rather than the size of a symbol of the same name.
fn is_shape(size: &SizeArg, port: &Port) -> bool {
    size.shape.len() > 1 || port.shape.as_ref().is_some_and(|shape| shape.len() == 1)
}

fn usual(symbol: &str) -> Option<u32> {
    let name = symbol.to_lowercase();
    let named = USUAL_SIZES.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part)));
    named.map(|(_, size)| *size).or_else(|| BATCHES.contains(&name.as_str()).then_some(1))
}

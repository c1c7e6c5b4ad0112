//! `shoal model quantize`: a model as integers, written as ONNX, with how far it is from what it was.

use std::{collections::BTreeMap, fmt, fs, time::Instant};

use bytes::Bytes;
use serde::Serialize;
use shoal_compute::{Executable, Tensors};
use shoal_graph::Graph;
use shoal_onnx::{Weight, export_with};
use shoal_quantize::{Accuracy, Options, Quantised, RangeRule, compare, quantised_inputs, quantize};

use super::{
    args::{QuantizeArgs, RuleArg},
    file::model_error,
};
use crate::{
    error::CliError,
    files::io_error,
    output::Output,
    rows::{Samples, samples},
};

/// Runs of which the fastest is measured.
const MEASURED_RUNS: usize = 8;

#[derive(Serialize)]
struct Report {
    file: String,
    calibration_rows: usize,
    held_out_rows: usize,
    weight_bytes: u64,
    weight_bytes_before: u64,
    nodes: usize,
    outputs: Vec<OutputReport>,
    input_scales: BTreeMap<String, f32>,
    output_scales: BTreeMap<String, f32>,
    seconds_per_row: f64,
    seconds_per_row_before: f64,
}

#[derive(Serialize)]
struct OutputReport {
    name: String,
    mean_cosine: f64,
    least_cosine: f64,
    relative_error: f64,
    top_1_agreement: f64,
}

pub(super) fn run(args: &QuantizeArgs, output: Output) -> Result<(), CliError> {
    let Samples { graph, weights, calibration, held_out, batch } = samples(&args.rows_args(), args.rows)?;
    let rule = match args.rule {
        RuleArg::MinMax => RangeRule::MinMax,
        RuleArg::MeanSquare => RangeRule::MeanSquare,
        RuleArg::Percentile => RangeRule::Percentile,
    };
    let made = quantize(&graph, &weights, &calibration, Options { rule, max_loss: args.max_loss })?;
    let accuracy = compare(&graph, &weights, &made, &held_out)?;
    let model = written(&made).map_err(|source| model_error(&args.model, source))?;
    fs::write(&args.output, model).map_err(io_error(&args.output))?;
    let inputs: Vec<Tensors> = held_out.iter().map(|run| quantised_inputs(&made, run)).collect();
    let before = seconds(&graph, &weights, &held_out)? / f64::from(batch);
    let after = seconds(&made.graph, &made.weights, &inputs)? / f64::from(batch);
    let rows = |runs: &[Tensors]| runs.len() * batch as usize;
    let report = Report {
        file: args.output.display().to_string(),
        calibration_rows: rows(&calibration),
        held_out_rows: rows(&held_out),
        weight_bytes: made.weight_bytes(),
        weight_bytes_before: weights.iter().map(|(_, tensor)| tensor.tensor_type().bytes()).sum(),
        nodes: made.graph.nodes().len(),
        outputs: outputs(accuracy),
        input_scales: made.input_scales,
        output_scales: made.output_scales,
        seconds_per_row: after,
        seconds_per_row_before: before,
    };
    output.result(&report, &report);
    Ok(())
}

fn outputs(accuracy: Accuracy) -> Vec<OutputReport> {
    let one = |(name, own): (String, shoal_quantize::OutputAccuracy)| OutputReport {
        name,
        mean_cosine: own.mean_cosine,
        least_cosine: own.least_cosine,
        relative_error: own.relative_error,
        top_1_agreement: own.top_1,
    };
    accuracy.outputs.into_iter().map(one).collect()
}

/// The model's bytes; what its integers stand for is among its properties.
fn written(made: &Quantised) -> Result<Vec<u8>, shoal_onnx::OnnxError> {
    let weights: BTreeMap<String, Weight> = made
        .weights
        .iter()
        .map(|(name, tensor)| {
            let bytes = Bytes::from(tensor.data().to_bytes());
            (name.to_owned(), Weight { tensor_type: tensor.tensor_type(), bytes })
        })
        .collect();
    let scales = [("shoal.input_scale", &made.input_scales), ("shoal.output_scale", &made.output_scales)];
    let properties = scales
        .into_iter()
        .flat_map(|(key, scales)| scales.iter().map(move |(name, scale)| (format!("{key}.{name}"), scale.to_string())));
    export_with(&made.graph, &weights, &properties.collect())
}

/// Of the fastest of some runs.
fn seconds(graph: &Graph, weights: &Tensors, runs: &[Tensors]) -> Result<f64, CliError> {
    let mut executable = Executable::new(graph.clone());
    executable.hold(weights.clone())?;
    let mut fastest = f64::INFINITY;
    for run in runs.iter().cycle().take(MEASURED_RUNS) {
        let run = run.clone();
        let started = Instant::now();
        let made = executable.run(run)?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
        executable.recycle(made);
    }
    Ok(fastest)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "{}", self.file)?;
        writeln!(f, "calibrated  on {} rows, compared on {} others", self.calibration_rows, self.held_out_rows)?;
        writeln!(f, "weights     {:.1} MiB, were {:.1} MiB", mib(self.weight_bytes), mib(self.weight_bytes_before))?;
        for own in &self.outputs {
            writeln!(
                f,
                "output      {}: cosine {:.5} in the mean, {:.5} at least; relative error {:.4}; same greatest {:.1} %",
                own.name,
                own.mean_cosine,
                own.least_cosine,
                own.relative_error,
                own.top_1_agreement * 100.0
            )?;
        }
        for (what, scales) in [("input", &self.input_scales), ("output", &self.output_scales)] {
            for (name, scale) in scales {
                writeln!(f, "scale       {what} {name}: {scale:e}")?;
            }
        }
        let (now, before) = (self.seconds_per_row * 1e3, self.seconds_per_row_before * 1e3);
        write!(f, "measured    {now:.3} ms a row, was {before:.3} ms (here, 1 thread)")
    }
}

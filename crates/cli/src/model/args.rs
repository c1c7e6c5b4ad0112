//! Flags of `shoal model quantize`. The comments are the help texts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::rows::{FormatArg, ImageArgs, ModelArgs, OutputArgs, RowsArgs, TextArgs};

/// A model to quantise.
#[derive(Clone, Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// ONNX model
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Rows that scales are chosen by; as many others of them are compared
    #[arg(long, value_name = "INPUT")]
    pub(crate) calibrate: PathBuf,
    /// Model to write, of the sizes that it was calibrated with
    #[arg(long, short, value_name = "OUT.onnx")]
    pub(crate) output: PathBuf,
    /// Rows to calibrate with
    #[arg(long, value_name = "ROWS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) rows: u32,
    /// How the range of an activation is chosen
    #[arg(long, value_name = "RULE", default_value = "mean-square")]
    pub(crate) rule: RuleArg,
    /// Part of its mean square that a left factor may lose to bytes; one that loses more takes two
    #[arg(long, value_name = "PART", default_value_t = 1e-3)]
    pub(crate) max_loss: f64,
    /// What the input is read as, instead of what its ending says
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
    /// Plain text has a row a line, not a row a paragraph
    #[arg(long)]
    pub(crate) lines: bool,
    /// Columns of numbers, in the order of the model's input; all columns of numbers unless given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Rows of one run of the graph; 8 of texts and images, 64 of numbers unless given
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) batch: Option<u32>,
    #[command(flatten)]
    pub(crate) weights: ModelArgs,
    #[command(flatten)]
    pub(crate) text: TextArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleArg {
    /// The greatest magnitude that was seen
    MinMax,
    /// The clip that loses least in the mean of squares
    MeanSquare,
    /// What all but one in ten thousand elements are within
    Percentile,
}

impl QuantizeArgs {
    /// The calibration rows as rows of the model.
    pub(crate) fn rows_args(&self) -> RowsArgs {
        RowsArgs {
            model: self.model.clone(),
            input: self.calibrate.clone(),
            output: self.output.clone(),
            format: self.format,
            lines: self.lines,
            columns: self.columns.clone(),
            batch: self.batch,
            rows_per_unit: None,
            is_calibration: true,
            weights: self.weights.clone(),
            text: self.text.clone(),
            images: self.images.clone(),
            outputs: self.outputs.clone(),
        }
    }
}

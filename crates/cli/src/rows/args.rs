//! Flags of rows through a model. The comments are the help texts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use shoal_dataset::{Format, TextRows};

/// A model, an input and an output.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RowsArgs {
    /// ONNX model
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    /// Rows: a file of JSONL, CSV, Parquet, NPY or plain text, or a folder of images
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
    /// File to write: .jsonl, .csv, .npy or .parquet
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
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
    /// Rows of a unit; unless given, about 50 billion reference operations
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) rows_per_unit: Option<u32>,
    /// For calibration: texts are all filled up to the most tokens, and outputs are as the model has them.
    #[arg(skip)]
    pub(crate) is_calibration: bool,
    #[command(flatten)]
    pub(crate) weights: ModelArgs,
    #[command(flatten)]
    pub(crate) text: TextArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

/// Where a model's weights are.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModelArgs {
    /// File that the model keeps weights in, where it does not lie beside the model; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Vec<PathBuf>,
}

/// Texts as token ids.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TextArgs {
    /// The model's tokenizer.json; the one beside the model or its weights unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Column of texts, images or arrays; `text` or the first that fits unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Option<String>,
    /// Column of a second text, for models of pairs
    #[arg(long, value_name = "NAME")]
    pub(crate) second_column: Option<String>,
    /// Longer texts are cut to so many tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub(crate) max_tokens: u32,
}

/// Images as pixels.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ImageArgs {
    /// Width and height that the model takes, as 224 or 320x240; the model's own where it says them
    #[arg(long, value_name = "PIXELS", value_parser = image_size)]
    pub(crate) image_size: Option<(u32, u32)>,
    /// Length that the shorter side is scaled to before the middle is cut out; 8/7 of the size unless given
    #[arg(long, value_name = "PIXELS")]
    pub(crate) resize: Option<u32>,
    /// Scales by a cubic filter, as CLIP's models take; linear unless given
    #[arg(long)]
    pub(crate) bicubic: bool,
    /// Subtracted from each channel, of levels from 0 to 1
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', default_value = "0.485,0.456,0.406")]
    pub(crate) mean: Vec<f32>,
    /// Each channel is divided by this
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', default_value = "0.229,0.224,0.225")]
    pub(crate) std: Vec<f32>,
    /// Where the channels are: what the model's shape says unless given
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<LayoutArg>,
}

/// What becomes of the model's outputs.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OutputArgs {
    /// Output of the model; may be repeated; its first unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) output_tensor: Vec<String>,
    /// How vectors of tokens become one: by their mean, or the first one's; mean for texts unless given
    #[arg(long, value_name = "HOW")]
    pub(crate) pool: Option<PoolArg>,
    /// Divides every vector by its length
    #[arg(long)]
    pub(crate) normalise: bool,
    /// Makes scores probabilities
    #[arg(long)]
    pub(crate) softmax: bool,
    /// Keeps the highest scores, with labels
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) top: Option<u32>,
    /// Labels of the scores, one a line; numbers unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PoolArg {
    /// Mean of the tokens that are not padding
    Mean,
    /// The first token's vector
    Cls,
    /// Every token's vector
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// Channels first
    Nchw,
    /// Channels last
    Nhwc,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    /// One JSON object a line
    Jsonl,
    /// Comma-separated, with a header
    Csv,
    /// Apache Parquet
    Parquet,
    /// One NumPy array
    Npy,
    /// Plain text
    Text,
    /// A folder of images
    Images,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
            FormatArg::Parquet => Self::Parquet,
            FormatArg::Npy => Self::Npy,
            FormatArg::Text => Self::Text,
            FormatArg::Images => Self::Images,
        }
    }
}

/// How plain text falls into rows.
pub(crate) fn text_rows(lines: bool) -> TextRows {
    if lines { TextRows::Lines } else { TextRows::Paragraphs }
}

fn image_size(text: &str) -> Result<(u32, u32), String> {
    let (width, height) = text.split_once('x').unwrap_or((text, text));
    match (width.parse(), height.parse()) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err(format!("{text:?} is no size; write one as 224 or 320x240")),
    }
}

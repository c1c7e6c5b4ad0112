//! Rows of files through a model: what `shoal model run`, `shoal map` and `shoal search` share.
//!
//! [`detect`] matches the model's inputs with the columns of the source, which gives a recipe; [`graphs`] makes one graph
//! for each shape of rows; [`results`] turns what a graph makes into rows of the output. What lies between, computing, is
//! [`local`] here or [`swarm`] elsewhere: both get the same shards and must give the same bytes.

mod args;
mod detect;
mod error;
mod graphs;
pub(crate) mod local;
mod pool;
mod results;
mod samples;
mod state;
pub(crate) mod swarm;

use std::{fmt, path::Path};

use shoal_compute::{Data, Tensor, Tensors};
use shoal_dataset::{Elements, Recipe, Row, Shard, ShardOptions, Shards, Source};

use crate::{error::CliError, model::file::ModelFile};
pub(crate) use args::{FormatArg, ImageArgs, ModelArgs, OutputArgs, RowsArgs, TextArgs, text_rows};
pub(crate) use error::RowsError;
use graphs::Graphs;
use results::Results;
pub(crate) use samples::{Samples, samples};

/// Reference operations of a unit, unless told otherwise: ten seconds of a phone, one of a laptop's tab, so that little is
/// lost when either leaves.
const UNIT_OPS: u64 = 50_000_000_000;
/// Most rows of a unit, unless told otherwise: a light model's outputs should not wait for each other.
const MAX_DEFAULT_ROWS: u64 = 4096;
/// Units after which all rows so far go out, full or not: no result waits for one of a row much later.
const WINDOW_UNITS: u64 = 64;
/// Most rows of such a window: what the results of an output may span.
const MAX_WINDOW_ROWS: u64 = 1 << 18;

/// A model and a source that fit each other.
pub(crate) struct Rows {
    shards: Shards,
    graphs: Graphs,
    results: Results,
    description: String,
}

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) rows: u64,
    /// Rows with an error in place of values.
    pub(crate) failed_rows: u64,
}

impl Rows {
    /// Opens the model and the source and matches them.
    pub(crate) fn open(args: &RowsArgs) -> Result<Self, CliError> {
        let open = || Source::open_with(&args.input, args.format.map(Into::into), text_rows(args.lines));
        let mut source = open()?;
        let mut prepared = prepare(args, &mut detect::Probe::new(&mut source)?)?;
        let rows_per_unit = match args.rows_per_unit {
            Some(rows) => rows,
            None => prepared.graphs.rows_of(prepared.typical, UNIT_OPS, MAX_DEFAULT_ROWS),
        };
        let window_rows = (u64::from(rows_per_unit) * WINDOW_UNITS).min(MAX_WINDOW_ROWS);
        let options = ShardOptions { rows_per_shard: rows_per_unit, window_rows };
        let shards = Shards::new(open()?, prepared.recipe, options)?;
        prepared.description.push_str(&format!(", {rows_per_unit} rows a unit"));
        Ok(Self { shards, graphs: prepared.graphs, results: prepared.results, description: prepared.description })
    }

    /// One line for people.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }
}

/// A model for rows of a kind, without a source.
struct Prepared {
    recipe: Recipe,
    graphs: Graphs,
    results: Results,
    /// Graph of the shapes that most rows are expected to have.
    typical: usize,
    description: String,
}

fn prepare(args: &RowsArgs, probe: &mut detect::Probe) -> Result<Prepared, CliError> {
    let file = ModelFile::open(&args.model)?;
    let model = file.model(&args.weights.weights)?;
    let detected = detect::detect(&model, args, probe)?;
    let recipe = Recipe::new(detected.inputs)?;
    let mask = recipe.attention_mask().map(str::to_owned);
    let mut graphs = Graphs::new(&args.model, model, &args.outputs, mask, detected.batch)?;
    let typical = graphs.of_shapes(&detected.typical)?;
    let results = Results::new(&args.outputs, graphs.ready(typical), recipe.token_ids().is_some())?;
    let description = format!("{}; {}; {} rows a run", detected.description, results.description(), detected.batch);
    Ok(Prepared { recipe, graphs, results, typical, description })
}

/// The vector that a text model gives one text.
pub(crate) fn vector_of(args: &RowsArgs, text: &str) -> Result<Vec<f32>, CliError> {
    let row = detect::text_row(text);
    let mut prepared = prepare(args, &mut detect::Probe::of(row.clone()))?;
    let shard = stacked(&prepared.recipe, &row)?;
    let made = local::Local::new().run(&mut prepared.graphs, &shard)?;
    prepared.results.vector(&made)
}

/// A shard of one row.
fn stacked(recipe: &Recipe, row: &Row) -> Result<Shard, CliError> {
    let arrays = recipe.prepare(row).map_err(|error| RowsError::Row(Box::new(error)))?;
    let stack = |(name, array)| Some((name, shoal_dataset::Array::stack([&array])?));
    let arrays = arrays.into_iter().filter_map(stack).collect();
    Ok(Shard { number: 0, rows: vec![row.index], bucket: None, arrays })
}

/// The tensors of a shard that a graph takes.
fn tensors(shard: &Shard, inputs: &[String]) -> Tensors {
    let taken = shard.arrays.iter().filter(|(name, _)| inputs.contains(name));
    let each = taken.map(|(name, array)| {
        let (shape, elements) = array.clone().into_parts();
        let data = match elements {
            Elements::F32(values) => Data::F32(values),
            Elements::I32(values) => Data::I32(values),
        };
        (name.clone(), Tensor::new(shape, data))
    });
    each.collect()
}

/// A name for people: that of the file, without its folder.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows, {} of them with an error", self.rows, self.failed_rows)
    }
}

//! Matches the inputs of a model with the columns of a source: token ids with a column of text, pixels with images,
//! numbers with columns of numbers, arrays with a column of arrays.

mod images;
mod numbers;
mod texts;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use shoal_dataset::{Format, Input, Row, Source, Value};
use shoal_onnx::{Dimension, Model, Port};

use super::{RowsArgs, RowsError, file_name};
use crate::error::CliError;

/// Rows of a run of texts or images: enough to use a core's vector unit well, and few enough for a phone's memory.
const HEAVY_BATCH: u32 = 8;
/// Rows of a run of plain numbers, whose models are small.
const LIGHT_BATCH: u32 = 64;

/// How the inputs of a model are made.
pub(super) struct Detected {
    pub(super) inputs: Vec<Input>,
    /// Shapes that most rows are expected to have, by input.
    pub(super) typical: BTreeMap<String, Vec<u32>>,
    /// Rows of one run.
    pub(super) batch: u32,
    /// For people.
    pub(super) description: String,
}

/// What a source looks like: its first row.
pub(super) struct Probe {
    row: Row,
    format: Format,
    source_name: String,
    /// What paths in rows are relative to.
    folder: PathBuf,
}

impl Probe {
    /// Reads up to the first row without an error.
    pub(super) fn new(source: &mut Source) -> Result<Self, CliError> {
        let source_name = file_name(source.path());
        while let Some(row) = source.next_row()? {
            if let Ok(row) = row {
                let folder = source.path().parent().unwrap_or(Path::new("")).to_owned();
                return Ok(Self { row, format: source.format(), source_name, folder });
            }
        }
        Err(RowsError::NoRows { source_name }.into())
    }

    /// A row that comes from nowhere.
    pub(super) fn of(row: Row) -> Self {
        Self { row, format: Format::Text, source_name: "the query".to_owned(), folder: PathBuf::new() }
    }

    fn columns(&self) -> String {
        let columns = self.row.fields.iter().map(|(name, value)| format!("{name} ({})", value.kind()));
        columns.collect::<Vec<_>>().join(", ")
    }

    fn no_column(&self, port: &Port) -> RowsError {
        RowsError::NoColumn {
            input: port.name.clone(),
            shape: shape(port),
            source_name: self.source_name.clone(),
            columns: self.columns(),
        }
    }
}

/// A row that is one text.
pub(super) fn text_row(text: &str) -> Row {
    let fields = vec![(texts::COLUMN.to_owned(), Value::Text(text.to_owned()))];
    Row { index: 0, place: "the query".to_owned(), fields }
}

pub(super) fn detect(model: &Model, args: &RowsArgs, probe: &Probe) -> Result<Detected, CliError> {
    let own_batch = model.inputs().iter().find_map(|port| match port.shape.as_deref()?.first()? {
        Dimension::Fixed(rows) => Some(*rows),
        _ => None,
    });
    let batch = |usual: u32| match (own_batch, args.batch) {
        (Some(model), Some(given)) if model != given => Err(RowsError::Batch { given, model }),
        (own, given) => Ok(own.or(given).unwrap_or(usual)),
    };
    let made = if let Some(ids) = texts::ids(model) {
        let texts = texts::detect(model, ids, args, probe)?;
        Detected { batch: batch(HEAVY_BATCH)?, ..texts }
    } else if let [port] = model.inputs()
        && images::is_image(port, args, probe)
    {
        let images = images::detect(port, args, probe)?;
        Detected { batch: batch(HEAVY_BATCH)?, ..images }
    } else {
        let numbers = numbers::detect(model, args, probe)?;
        Detected { batch: batch(LIGHT_BATCH)?, ..numbers }
    };
    match model.inputs().iter().find(|port| !made.typical.contains_key(&port.name)) {
        Some(port) => Err(probe.no_column(port).into()),
        None => Ok(made),
    }
}

/// Dimensions of an input without that of the rows.
fn row_dimensions(port: &Port) -> &[Dimension] {
    port.shape.as_deref().and_then(|shape| shape.get(1..)).unwrap_or(&[])
}

/// For people, as `[batch, 3, 224, 224]`.
pub(crate) fn shape(port: &Port) -> String {
    let Some(shape) = &port.shape else { return "of unknown shape".to_owned() };
    format!("[{}]", shape.iter().map(Dimension::to_string).collect::<Vec<_>>().join(", "))
}

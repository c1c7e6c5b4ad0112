//! Token ids, their mask and their types, by the names that exporters give them.

use std::path::Path;

use shoal_dataset::{Input, Padding, TextInput, Tokenizer, Value};
use shoal_onnx::{Dimension, Model, Port};

use super::{Detected, Probe, row_dimensions};
use crate::{
    error::CliError,
    rows::{RowsArgs, RowsError},
};

/// Column of plain text, and of most files of texts.
pub(super) const COLUMN: &str = "text";

const IDS: [&str; 3] = ["input_ids", "input_word_ids", "tokens"];
const MASKS: [&str; 2] = ["attention_mask", "input_mask"];
const TYPES: [&str; 2] = ["token_type_ids", "segment_ids"];

/// Tokens that most texts are expected to have, padded: a paragraph.
const TYPICAL_TOKENS: u32 = 128;

/// The input of token ids, if the model has one.
pub(super) fn ids(model: &Model) -> Option<&Port> {
    named(model, &IDS).filter(|port| port.element.is_some_and(|element| !element.is_float()))
}

pub(super) fn detect(model: &Model, ids: &Port, args: &RowsArgs, probe: &Probe) -> Result<Detected, CliError> {
    let tokenizer = tokenizer(ids, args)?;
    let column = match &args.text.column {
        Some(column) => column.clone(),
        None => column(probe).ok_or_else(|| probe.no_column(ids))?,
    };
    let (max_tokens, padding) = match row_dimensions(ids).first() {
        Some(Dimension::Fixed(tokens)) => (*tokens, Padding::ToMaximum),
        _ if args.is_calibration => (args.text.max_tokens, Padding::ToMaximum),
        _ => (args.text.max_tokens, Padding::buckets()),
    };
    let typical = if padding == Padding::ToMaximum { max_tokens } else { max_tokens.min(TYPICAL_TOKENS) };
    let text = TextInput {
        column,
        second_column: args.text.second_column.clone(),
        tokenizer,
        ids: ids.name.clone(),
        mask: named(model, &MASKS).map(|port| port.name.clone()),
        token_types: named(model, &TYPES).map(|port| port.name.clone()),
        max_tokens,
        padding,
    };
    let made = [Some(&text.ids), text.mask.as_ref(), text.token_types.as_ref()];
    let typical = made.into_iter().flatten().map(|name| (name.clone(), vec![typical])).collect();
    let description = format!("texts of column {} as at most {max_tokens} tokens", text.column);
    Ok(Detected { inputs: vec![Input::Text(Box::new(text))], typical, batch: 0, description })
}

fn named<'a>(model: &'a Model, names: &[&str]) -> Option<&'a Port> {
    model.inputs().iter().find(|port| names.contains(&port.name.as_str()))
}

/// That of the flag, or one that lies beside the model or its weights.
fn tokenizer(ids: &Port, args: &RowsArgs) -> Result<Tokenizer, CliError> {
    if let Some(path) = &args.text.tokenizer {
        return Ok(Tokenizer::open(path)?);
    }
    let beside = |path: &Path| path.with_file_name("tokenizer.json");
    let mut places = [&args.model].into_iter().chain(&args.weights.weights).map(|path| beside(path));
    match places.find(|path| path.is_file()) {
        Some(path) => Ok(Tokenizer::open(&path)?),
        None => Err(RowsError::NoTokenizer { input: ids.name.clone(), path: beside(&args.model) }.into()),
    }
}

/// `text`, or the first column of text that is no number.
fn column(probe: &Probe) -> Option<String> {
    let is_text = |value: &Value| matches!(value, Value::Text(text) if text.trim().parse::<f64>().is_err());
    let mut texts = probe.row.fields.iter().filter(|(_, value)| is_text(value)).map(|(name, _)| name);
    let first = texts.clone().next();
    texts.find(|name| *name == COLUMN).or(first).cloned()
}

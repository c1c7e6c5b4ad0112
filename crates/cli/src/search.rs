//! `shoal search`: the rows of a text whose vectors are nearest to a question's. The question's vector is computed here.

use std::collections::BTreeMap;

use serde_json::json;
use shoal_dataset::{Source, Value, search};

use crate::{
    args::SearchArgs,
    error::CliError,
    output::Output,
    rows::{self, RowsArgs},
};

/// Characters of a row that people are shown.
const MAX_SHOWN_CHARS: usize = 400;

pub(crate) async fn run(args: Box<SearchArgs>, output: &Output) -> Result<(), CliError> {
    let output = *output;
    // A model computes for a while, so off the runtime's threads.
    let searched = tokio::task::spawn_blocking(move || search(&args, output));
    searched.await.expect("a search does not panic")
}

fn search(args: &SearchArgs, output: Output) -> Result<(), CliError> {
    let question = rows::vector_of(&model(args), &args.question)?;
    let mut vectors = Source::open(&args.vectors, None)?;
    let found = search::nearest(&mut vectors, None, &question, args.count as usize)?;
    let texts = texts(args, found.neighbours.iter().map(|near| near.row).collect())?;
    for near in &found.neighbours {
        let text = texts.get(&near.row).map_or("", String::as_str);
        let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
        output.result(
            &json!({"event": "found", "row": near.row, "cosine": near.cosine, "text": text}),
            format!("{:.3}  row {}  {shown}", near.cosine, near.row),
        );
    }
    if found.skipped_rows > 0 {
        let skipped = found.skipped_rows;
        output.result(
            &json!({"event": "skipped", "rows": skipped}),
            format!("{skipped} rows have no vector of {} numbers", question.len()),
        );
    }
    Ok(())
}

/// The flags that make a vector of a text, as those of a map.
fn model(args: &SearchArgs) -> RowsArgs {
    RowsArgs {
        model: args.model.clone(),
        weights: args.weights.clone(),
        text: args.text.clone(),
        outputs: args.outputs.clone(),
        batch: Some(1),
        ..RowsArgs::default()
    }
}

/// The texts of some rows.
fn texts(args: &SearchArgs, mut wanted: Vec<u64>) -> Result<BTreeMap<u64, String>, CliError> {
    let mut texts = BTreeMap::new();
    let Some(path) = &args.input else { return Ok(texts) };
    wanted.sort_unstable();
    let mut left = wanted.into_iter().peekable();
    let mut source = Source::open_with(path, args.format.map(Into::into), rows::text_rows(args.lines))?;
    let mut index = 0;
    while let Some(next) = left.peek()
        && let Some(row) = source.next_row()?
    {
        if index == *next {
            left.next();
            if let Ok(row) = row {
                let column = args.text.column.as_deref();
                let text = row.fields.into_iter().find_map(|(name, value)| match value {
                    Value::Text(text) if column.is_none_or(|column| column == name) => Some(text),
                    _ => None,
                });
                texts.insert(index, text.unwrap_or_default());
            }
        }
        index += 1;
    }
    Ok(texts)
}

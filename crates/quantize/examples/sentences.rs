//! A sentence encoder as integers: calibrated on some paragraphs of a book, judged on others.
//! `cargo run -p shoal-quantize --example sentences -- FOLDER [TOKENS] [min-max|mean-square|percentile] [MAX_LOSS]` with the folder of
//! all-MiniLM-L6-v2's `model.safetensors` and `tokenizer.json`.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    time::Instant,
};

use bytes::Bytes;
use shoal_compute::{Data, Executable, Tensor, Tensors};
use shoal_dataset::{
    Elements, Input, Padding, Recipe, ShardOptions, Shards, Source, Step, TextInput, TextRows, Tokenizer,
};
use shoal_onnx::{Model, Sizes};
use shoal_quantize::{Options, RangeRule, compare, quantised_inputs, quantize};

/// Rows of a run.
const BATCH: u32 = 8;
/// Runs that scales are chosen by, and runs that are compared.
const RUNS: [usize; 2] = [32, 64];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("give the folder of the model's weights")?);
    let tokens: u32 = args.next().map_or(Ok(64), |text| text.parse())?;
    let rule = match args.next().as_deref() {
        None | Some("mean-square") => RangeRule::MeanSquare,
        Some("min-max") => RangeRule::MinMax,
        Some("percentile") => RangeRule::Percentile,
        Some(other) => return Err(format!("{other} is no rule").into()),
    };
    let max_loss = args.next().map_or(Ok(Options::default().max_loss), |text| text.parse())?;
    let options = Options { rule, max_loss };
    let embed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/embed");
    let weights = Bytes::from(std::fs::read(folder.join("model.safetensors"))?);
    let bytes = Bytes::from(std::fs::read(embed.join("minilm.onnx"))?);
    let model = Model::read_with(bytes, &BTreeMap::from([("model.safetensors".to_owned(), weights)]))?;
    let lowered = model.graph(&Sizes::new().symbol("batch", BATCH).symbol("sequence", tokens))?;
    let graph = lowered.graph;
    let weights: Tensors = lowered
        .weights
        .iter()
        .map(|(name, weight)| {
            let data = Data::from_bytes(weight.tensor_type.dtype, &weight.bytes);
            (name.clone(), Tensor::new(weight.tensor_type.shape.clone(), data))
        })
        .collect();
    let runs = runs(&embed.join("rust-book.txt.gz"), &folder.join("tokenizer.json"), tokens)?;
    // Every other of the runs that are taken from all over the book: some choose, others judge.
    let step = runs.len() / (RUNS[0] + RUNS[1]);
    let taken: Vec<Tensors> = runs.into_iter().step_by(step).take(RUNS[0] + RUNS[1]).collect();
    let (calibration, held_out) =
        taken.into_iter().enumerate().fold((vec![], vec![]), |(mut own, mut other), (i, run)| {
            if i % 3 == 0 {
                own.push(run)
            } else {
                other.push(run)
            }
            (own, other)
        });
    let started = Instant::now();
    let quantised = quantize(&graph, &weights, &calibration, options)?;
    println!("{} tokens, {options:?}, quantised in {:.1} s", tokens, started.elapsed().as_secs_f64());
    let bytes = |tensors: &Tensors| tensors.iter().map(|(_, tensor)| tensor.tensor_type().bytes()).sum::<u64>();
    println!("weights {} bytes, were {}", bytes(&quantised.weights), bytes(&weights));
    println!("graph {} nodes, {} bytes", quantised.graph.nodes().len(), quantised.graph.bytes().len());
    for (name, own) in compare(&graph, &weights, &quantised, &held_out)?.outputs {
        println!(
            "{name}: {} paragraphs, cosine {:.5} in the mean, {:.5} at least; relative error {:.4}",
            own.rows, own.mean_cosine, own.least_cosine, own.relative_error
        );
    }
    let inputs: Vec<Tensors> = held_out.iter().map(|run| quantised_inputs(&quantised, run)).collect();
    let floats = seconds(graph, weights, &held_out)?;
    let integers = seconds(quantised.graph, quantised.weights, &inputs)?;
    let per_row = 1e3 / f64::from(BATCH);
    println!(
        "{:.2} ms a paragraph, {:.2} ms in f32: {:.2} times as fast",
        integers * per_row,
        floats * per_row,
        floats / integers
    );
    Ok(())
}

/// Seconds of the fastest run of a graph.
fn seconds(graph: shoal_graph::Graph, weights: Tensors, runs: &[Tensors]) -> Result<f64, Box<dyn Error>> {
    let mut executable = Executable::new(graph);
    executable.hold(weights)?;
    let mut fastest = f64::INFINITY;
    for run in runs.iter().take(16) {
        let started = Instant::now();
        let made = executable.run(run.clone())?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
        executable.recycle(made);
    }
    Ok(fastest)
}

/// The paragraphs of a book in runs, as the model reads them.
fn runs(book: &Path, tokenizer: &Path, tokens: u32) -> Result<Vec<Tensors>, Box<dyn Error>> {
    let input = Input::Text(Box::new(TextInput {
        column: "text".to_owned(),
        second_column: None,
        tokenizer: Tokenizer::open(tokenizer)?,
        ids: "input_ids".to_owned(),
        mask: Some("attention_mask".to_owned()),
        token_types: Some("token_type_ids".to_owned()),
        max_tokens: tokens,
        padding: Padding::ToMaximum,
    }));
    let source = Source::open_with(book, None, TextRows::Paragraphs)?;
    let options = ShardOptions { rows_per_shard: BATCH, window_rows: 1 << 16 };
    let mut shards = Shards::new(source, Recipe::new(vec![input])?, options)?;
    let mut runs = Vec::new();
    while let Some(step) = shards.next_step()? {
        let Step::Shard(shard) = step else { continue };
        if shard.rows.len() < BATCH as usize {
            continue;
        }
        let tensor = |(name, array): (String, shoal_dataset::Array)| {
            let (shape, elements) = array.into_parts();
            let data = match elements {
                Elements::F32(values) => Data::F32(values),
                Elements::I32(values) => Data::I32(values),
            };
            (name, Tensor::new(shape, data))
        };
        runs.push(shard.arrays.into_iter().map(tensor).collect());
    }
    Ok(runs)
}

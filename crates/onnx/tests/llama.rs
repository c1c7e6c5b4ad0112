//! A small decoder in Llama's way (`llama/make.py`): RMS norm, rotary positions, causal attention of grouped heads with a
//! cache, gated layers. Its logits are compared with onnxruntime's, for a prompt and for the token after it.

mod common;

use serde::Deserialize;
use shoal_compute::{Data, Tensor, Tensors};
use shoal_onnx::{Model, Sizes, Tensor as Known};

const MODEL: &[u8] = include_bytes!("llama/model.onnx");
const EXPECTED: &str = include_str!("llama/expected.json");
const CACHES: [&str; 6] = ["0.key", "0.value", "1.key", "1.value", "2.key", "2.value"];
const BATCH: u32 = 2;

/// Greatest distance from onnxruntime's logits, over their length: both compute in 32 bits.
const MAX_DISTANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Expected {
    prompt: Vec<Vec<i32>>,
    token: Vec<Vec<i32>>,
    prompt_logits: Vec<f32>,
    token_logits: Vec<f32>,
}

/// Runs the model on tokens, after those that a cache holds.
fn run(model: &Model, tokens: &[Vec<i32>], cache: Option<&Tensors>) -> Tensors {
    let sequence = tokens[0].len() as u32;
    let mut sizes = Sizes::new().symbol("batch", BATCH).symbol("sequence", sequence);
    let mut given = Tensors::new();
    given.insert("input_ids", Tensor::i32([BATCH, sequence], tokens.concat()));
    for name in CACHES {
        let past = format!("past.{name}");
        match cache.map(|cache| cache.get(&format!("present.{name}")).unwrap()) {
            Some(held) => {
                sizes = sizes.shape(past.clone(), held.shape());
                given.insert(past, held.clone());
            }
            // A graph has no tensor without elements: an empty cache is a constant.
            None => sizes = sizes.constant(past, Known::floats([BATCH, 2, 0, 8], Vec::new())),
        }
    }
    let lowered = model.graph(&sizes).unwrap();
    common::run(&lowered.graph, &lowered.weights, given)
}

fn logits(made: &Tensors) -> Vec<f32> {
    let Data::F32(values) = made.get("logits").unwrap().data() else { panic!("floats") };
    values.clone()
}

fn distance(made: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(made.len(), expected.len());
    let square = |x: f64| x * x;
    let apart: f64 = made.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let length: f64 = expected.iter().map(|x| square(f64::from(*x))).sum();
    (apart / length).sqrt()
}

#[test]
fn a_prompt_and_the_token_after_it_have_onnxruntimes_logits() {
    let expected: Expected = serde_json::from_str(EXPECTED).unwrap();
    let model = Model::read(MODEL).unwrap();
    let prompt = run(&model, &expected.prompt, None);
    let token = run(&model, &expected.token, Some(&prompt));
    for (made, expected) in [(&prompt, &expected.prompt_logits), (&token, &expected.token_logits)] {
        let distance = distance(&logits(made), expected);
        println!("{} logits, {distance:.2e} from onnxruntime's", expected.len());
        assert!(distance <= MAX_DISTANCE, "{distance}");
    }
}

/// What a cache is for: the last token's logits are the same whether its past was computed now or before.
#[test]
fn a_cache_stands_for_the_tokens_before() {
    let expected: Expected = serde_json::from_str(EXPECTED).unwrap();
    let model = Model::read(MODEL).unwrap();
    let whole: Vec<Vec<i32>> = expected
        .prompt
        .iter()
        .zip(&expected.token)
        .map(|(prompt, token)| [prompt.as_slice(), token].concat())
        .collect();
    let at_once = logits(&run(&model, &whole, None));
    let words = at_once.len() / (BATCH as usize * whole[0].len());
    let last: Vec<f32> =
        at_once.chunks(words * whole[0].len()).flat_map(|row| &row[row.len() - words..]).copied().collect();
    let distance = distance(&last, &expected.token_logits);
    assert!(distance <= MAX_DISTANCE, "{distance}");
}

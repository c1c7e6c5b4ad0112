//! A real model: all-MiniLM-L6-v2, a sentence encoder of six layers, as PyTorch's exporter writes it (`minilm/make.py`),
//! its weights where they were published, in a safetensors file. Its vectors are compared with onnxruntime's.

mod common;

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use serde::Deserialize;
use shoal_compute::{Data, Tensor, Tensors};
use shoal_onnx::{Model, OnnxError, Sizes, read_safetensors};

const MODEL: &[u8] = include_bytes!("../../../examples/embed/minilm.onnx");
const EXPECTED: &str = include_str!("minilm/expected.json");
const WEIGHTS: &str = "all-minilm-l6-v2/model.safetensors";

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<Vec<i32>>,
    attention_mask: Vec<Vec<i32>>,
    token_type_ids: Vec<Vec<i32>>,
    embedding: Vec<Vec<f32>>,
}

fn model() -> Model {
    let weights = Bytes::from(fs::read(common::cached(WEIGHTS)).unwrap());
    Model::read_with(MODEL, &BTreeMap::from([("model.safetensors".into(), weights)])).unwrap()
}

/// The vectors of rows of token ids.
fn encode(model: &Model, inputs: [&[Vec<i32>]; 3]) -> Vec<Vec<f32>> {
    let (batch, sequence) = (inputs[0].len() as u32, inputs[0][0].len() as u32);
    let lowered = model.graph(&Sizes::new().symbol("batch", batch).symbol("sequence", sequence)).unwrap();
    println!(
        "{batch} × {sequence}: {} nodes, {} weights, {} reference operations",
        lowered.graph.nodes().len(),
        lowered.weights.len(),
        lowered.graph.reference_ops()
    );
    let mut given = Tensors::new();
    for (name, rows) in ["input_ids", "attention_mask", "token_type_ids"].into_iter().zip(inputs) {
        given.insert(name, Tensor::i32([batch, sequence], rows.concat()));
    }
    // What a model's file calls an input may be left out by the exporter.
    let unused: Vec<&str> = ["input_ids", "attention_mask", "token_type_ids"]
        .into_iter()
        .filter(|name| lowered.graph.input_type(name).is_none())
        .collect();
    unused.iter().for_each(|name| drop(given.remove(name)));
    let made = common::run(&lowered.graph, &lowered.weights, given);
    let embedding = made.get("embedding").unwrap();
    assert_eq!(embedding.shape(), [batch, 384]);
    let Data::F32(values) = embedding.data() else { panic!("floats") };
    values.chunks(384).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn sentences_have_the_vectors_that_onnxruntime_gives_them() {
    let (model, expected) = (model(), serde_json::from_str::<Expected>(EXPECTED).unwrap());
    assert_eq!(model.symbols().into_iter().collect::<Vec<_>>(), ["batch", "sequence"]);
    let made = encode(&model, [&expected.input_ids, &expected.attention_mask, &expected.token_type_ids]);
    for (made, expected) in made.iter().zip(&expected.embedding) {
        let cosine = cosine(made, expected);
        println!("cosine {cosine:.9}");
        assert!(cosine >= 0.999_999, "{cosine}");
    }
    assert!(cosine(&made[0], &made[1]) < 0.9, "two sentences have two vectors");
}

/// The same model for other sizes: one sentence without its padding.
#[test]
fn one_model_has_many_graphs() {
    let (model, expected) = (model(), serde_json::from_str::<Expected>(EXPECTED).unwrap());
    let row = expected.attention_mask.iter().position(|mask| mask.contains(&0)).unwrap();
    let length = expected.attention_mask[row].iter().filter(|seen| **seen == 1).count();
    let cut = |rows: &[Vec<i32>]| vec![rows[row][..length].to_vec()];
    let inputs = [cut(&expected.input_ids), cut(&expected.attention_mask), cut(&expected.token_type_ids)];
    let made = encode(&model, [&inputs[0], &inputs[1], &inputs[2]]);
    let cosine = cosine(&made[0], &expected.embedding[row]);
    assert!(cosine >= 0.999_999, "{cosine}");
}

/// What lets all lengths of a job share one file of parameters: nothing that follows from a size has become a weight.
#[test]
fn graphs_of_all_lengths_have_the_same_weights() {
    let model = model();
    let weights = |sequence| {
        let lowered = model.graph(&Sizes::new().symbol("batch", 8).symbol("sequence", sequence)).unwrap();
        lowered.weights.into_iter().collect::<BTreeMap<_, _>>()
    };
    let shortest = weights(32);
    for sequence in [64, 128, 256, 512] {
        assert!(weights(sequence) == shortest, "{sequence} tokens have weights of their own");
    }
}

#[test]
fn weights_that_lie_elsewhere_must_be_given() {
    let refused = Model::read(MODEL).unwrap_err();
    assert!(
        matches!(&refused, OnnxError::ExternalData { location, .. } if location == "model.safetensors"),
        "{refused}"
    );
}

#[test]
fn the_published_file_has_the_models_weights() {
    let bytes = Bytes::from(fs::read(common::cached(WEIGHTS)).unwrap());
    let tensors = read_safetensors(&bytes).unwrap();
    let mut model = model();
    let same: Vec<(String, _)> = model
        .weights()
        .iter()
        .filter_map(|(name, own)| {
            let published = name.strip_prefix("m.").unwrap_or(name);
            tensors
                .get(published)
                .filter(|stored| stored.bytes() == own.bytes())
                .map(|stored| (name.clone(), stored.clone()))
        })
        .collect();
    assert!(same.len() > 90, "{} of {}", same.len(), tensors.len());
    for (name, stored) in same {
        model.set_weight(&name, stored).unwrap();
    }
}

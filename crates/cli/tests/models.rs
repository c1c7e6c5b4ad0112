//! What is said of models, and of rows and flags that do not fit them.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]

mod common;

use std::fs;

use common::{dataset_fixture, fails, fixture, json_lines, path, succeeds};
use serde_json::json;

/// A report without the line that depends on the machine.
fn inspected(model: &str, flags: &[&str]) -> String {
    let text = succeeds(&[&["model", "inspect", &fixture(model)], flags].concat());
    let lines = text.lines().skip(1).filter(|line| !line.starts_with("measured"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn a_model_is_described_with_the_cost_of_one_run() {
    let text = inspected("text.onnx", &["--size", "batch=8,sequence=32"]);
    assert_eq!(
        text,
        "producer    make.py, format 8, opset 17\n\
         input       input_ids i64 [batch, sequence]\n\
         input       attention_mask i64 [batch, sequence]\n\
         output      last_hidden_state f32 [batch, sequence, 8]\n\
         parameters  576 in 2 weights, 0.0 MiB\n\
         operators   Gather 1, MatMul 1, Tanh 1\n\
         sizes       batch=8, sequence=32\n\
         graph       10 nodes, 305 bytes\n\
         one run     68354 reference operations, 8545 a sample; at most 0.0 MiB of memory\n\
         estimated   1.7 µs on a phone tab if it does 5 GFLOP/s, 0.2 µs on a laptop tab if it does 40 GFLOP/s a sample\n\
         note        input_ids is I64 in the model and I32 in the graph\n\
         note        attention_mask is I64 in the model and I32 in the graph\n"
    );
}

#[test]
fn sizes_that_nobody_gives_are_assumed_and_said() {
    let text = inspected("text.onnx", &[]);
    assert!(text.contains("sizes       batch=1 (assumed), sequence=64 (assumed)\n"), "{text}");
    let report = &json_lines(&succeeds(&["model", "inspect", &fixture("image.onnx"), "--json"]))[0];
    assert_eq!(report["cost"]["sizes"], json!([{"symbol": "N", "size": 1, "given": false}]));
    let ops = report["cost"]["reference_ops_per_sample"].as_f64().unwrap();
    assert_eq!(report["cost"]["estimates"][0]["device"], "phone_tab");
    assert_eq!(report["cost"]["estimates"][0]["seconds_per_sample"], ops / 5e9);
    assert!(report["cost"]["measured_seconds_per_sample"].as_f64().unwrap() > 0.0);
}

#[test]
fn all_operators_that_are_missing_are_named_at_once() {
    let failed = fails(&["model", "inspect", &fixture("unsupported.onnx"), "--json"]);
    assert_eq!(failed.code, 3);
    let lines = json_lines(&failed.stdout);
    let missing: Vec<&str> = lines[0]["operators"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|op| op["supported"] == false)
        .map(|op| op["name"].as_str().unwrap())
        .collect();
    assert_eq!(missing, ["Det", "NonZero", "Custom"]);
    assert_eq!(lines[0]["inputs"][0]["shape"], json!(["batch", "3", "3"]), "the rest is said too");
    assert_eq!(lines[1]["error"]["code"], "model_unsupported");
    assert!(
        failed.stderr.contains("no lowering for Det (1), NonZero (1), com.example:Custom (1)"),
        "{}",
        failed.stderr
    );
}

#[test]
fn weights_by_themselves_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("w.safetensors");
    let header = br#"{"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;
    fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat()).unwrap();
    let text = succeeds(&["model", "inspect", &path(&file)]);
    assert!(text.ends_with("2 parameters in 1 tensors, 0.0 MiB\n  f32  [2, 1] w\n"), "{text}");
}

#[test]
fn what_does_not_fit_is_named_with_value_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        path(&file)
    };
    let numbers = file("n.csv", "a,b,c,d,label\n1,2,3,4,5\n");
    let texts = file("t.jsonl", "{\"text\": \"cat\", \"n\": 3}\n");
    let labels = file("labels.txt", "cat\ndog\n");
    let (empty, other) = (file("e.csv", "a,b\n"), file("x.csv.zip", ""));
    let tokenizer = dataset_fixture("tokenizer.json");
    let out = path(&dir.path().join("out.jsonl"));
    let (text_model, number_model, image_model) =
        (fixture("text.onnx"), fixture("numbers.onnx"), fixture("image.onnx"));
    let cases: [(&[&str], &str, &str); 12] = [
        (&[&number_model, &numbers], "argument", "--columns has 5 values, 4 are needed"),
        (&[&number_model, &texts, "--columns", "text"], "argument", "--columns has 1 values, 4 are needed"),
        (&[&text_model, &texts], "tokenizer_missing", "name its tokenizer.json with --tokenizer"),
        (&[&text_model, &numbers, "--tokenizer", &tokenizer], "column_missing", "there are a (a text), b (a text)"),
        (&[&text_model, &texts, "--tokenizer", &tokenizer, "--max-tokens", "2"], "data_invalid", "no room for a token"),
        (
            &[&text_model, &texts, "--tokenizer", &tokenizer, "--output-tensor", "y"],
            "output_tensor",
            "has no output y; it has last_hidden_state",
        ),
        (
            &[&text_model, &texts, "--tokenizer", &tokenizer, "--pool", "none", "--normalise"],
            "argument",
            "--normalise needs one vector of floats a row",
        ),
        (
            &[&number_model, &numbers, "--columns", "a,b,c,d", "--labels", &labels],
            "argument",
            "--labels has 2 values, 3 are needed",
        ),
        (&[&number_model, &empty], "input_empty", "e.csv has no row that can be read"),
        (&[&number_model, &other], "data_invalid", "unknown format; known are jsonl"),
        (&[&image_model, &numbers], "column_missing", "input pixels [N, 3, 8, 8] of the model"),
        (&[&number_model, "/nowhere.csv"], "file", "/nowhere.csv"),
    ];
    for (args, code, message) in cases {
        let failed = fails(&[&["model", "run"], args, &["-o", &out, "--json"]].concat());
        assert_eq!(failed.code, if code == "file" { 1 } else { 3 }, "{args:?}: {}", failed.stderr);
        assert!(failed.stdout.contains(&format!(r#""code":"{code}""#)), "{args:?}: {}", failed.stdout);
        assert!(failed.stderr.contains(message), "{args:?}: {}", failed.stderr);
    }
    let failed = fails(&["model", "run", &number_model, &numbers, "--columns", "a,b,c,d", "-o", "out.txt"]);
    assert!(
        failed.stderr.contains("out.txt: unknown format; known are jsonl, csv, npy and parquet"),
        "{}",
        failed.stderr
    );
}

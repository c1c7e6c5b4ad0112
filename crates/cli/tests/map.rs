//! Rows through a model on a swarm: the same bytes as here, whatever is killed.
#![allow(clippy::unwrap_used, reason = "a failed assumption of a helper fails its test")]

mod common;

use std::{fs, path::Path};

use common::{TestRelay, cached, dataset_fixture, fails, fixture, json_lines, path, read, shoal, succeeds, wait};
use serde_json::Value;

/// A command's output here and on a swarm, which must be the same bytes.
fn here_and_there(relay: &TestRelay, dir: &Path, output: &str, args: &[&str]) -> Vec<u8> {
    let (here, there) = (path(&dir.join(format!("here-{output}"))), path(&dir.join(format!("there-{output}"))));
    let run = succeeds(&[&["model", "run"], args, &["-o", &here, "--json"]].concat());
    let map = succeeds(&[&["map"], args, &["-o", &there, "--relay-url", &relay.url, "--json"]].concat());
    let done = |text: &str| {
        let done = json_lines(text).pop().unwrap();
        assert_eq!(done["event"], "done");
        (done["rows"].clone(), done["failed_rows"].clone())
    };
    assert_eq!(done(&run), done(&map), "{run}{map}");
    assert!(!dir.join(format!("there-{output}.job")).exists() && !dir.join(format!("there-{output}.part")).exists());
    let made = read(&there);
    assert!(read(&here) == made, "{output} differs");
    made
}

fn texts(dir: &Path, texts: impl Iterator<Item = String>) -> String {
    let file = dir.join("texts.jsonl");
    let lines = texts.map(|text| serde_json::json!({"id": 7, "text": text}).to_string() + "\n");
    fs::write(&file, lines.collect::<String>()).unwrap();
    path(&file)
}

#[test]
fn a_map_gives_the_bytes_of_a_run_and_a_bad_row_fails_alone() {
    let (relay, dir) = (TestRelay::start(), tempfile::tempdir().unwrap());
    let _worker = relay.worker("worker", &[]);

    let csv = dir.path().join("numbers.csv");
    fs::write(&csv, "a,b,c,d\n1,2,3,4\n1,2,x,4\n1,2,3\n-1,2,3,4\n1,nan,3,4\n4,3,2,1\n").unwrap();
    let made = here_and_there(&relay, dir.path(), "scores.jsonl", &[&fixture("numbers.onnx"), &path(&csv)]);
    let rows = json_lines(&String::from_utf8(made).unwrap());
    let errors: Vec<Option<&str>> = rows.iter().map(|row| row["error"].as_str()).collect();
    assert_eq!(errors[0], None);
    assert_eq!(errors[1], Some("row 1 (line 3): column c: x is not a number"));
    assert_eq!(errors[2], Some("row 2 (line 4): 3 fields, the header has 4"));
    assert_eq!(errors[3], Some("output scores is not finite"), "the logarithm of -1");
    assert_eq!(errors[4], Some("row 4 (line 6): input x is not finite"));
    assert_eq!(errors[5], None);
    assert!(rows[0]["scores"].as_array().is_some_and(|scores| scores.len() == 3), "{}", rows[0]);
    assert_eq!(rows[3]["scores"], Value::Null);

    // All formats, and what becomes of outputs.
    let labels = dir.path().join("labels.txt");
    fs::write(&labels, "cat\ndog\nowl\n").unwrap();
    let ranked = [&fixture("numbers.onnx"), &*path(&csv), "--softmax", "--top", "2", "--labels", &path(&labels)];
    let made = here_and_there(&relay, dir.path(), "ranked.csv", &ranked);
    assert!(String::from_utf8(made).unwrap().contains("owl"));

    let folder = dir.path().join("images");
    fs::create_dir(&folder).unwrap();
    for name in ["b.png", "c.webp", "below/a.jpg"] {
        fs::copy(dataset_fixture(&format!("images/{name}")), folder.join(name.replace('/', "-"))).unwrap();
    }
    fs::write(folder.join("z.png"), "no image").unwrap();
    let made = here_and_there(&relay, dir.path(), "images.jsonl", &[&fixture("image.onnx"), &path(&folder)]);
    let rows = json_lines(&String::from_utf8(made).unwrap());
    assert_eq!(rows.len(), 4);
    assert!(rows[3]["error"].as_str().unwrap().contains("z.png"), "{}", rows[3]);
    assert!(rows[..3].iter().all(|row| row["scores"].as_array().is_some_and(|scores| scores.len() == 4)));

    // Nothing to compute is an output too.
    fs::write(&csv, "a,b,c,d\n1,2,x,4\n").unwrap();
    let args = [&*fixture("numbers.onnx"), &*path(&csv), "--columns", "a,b,c,d"];
    here_and_there(&relay, dir.path(), "nothing.jsonl", &args);
}

#[test]
fn a_command_that_is_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    // Short texts first; the long ones are for the second worker.
    let text = |row: usize| "the cat sat on a mat ".repeat(if (40..60).contains(&row) { 7 } else { 1 + row % 2 });
    let input = texts(dir.path(), (0..70).map(text));
    let (model, tokenizer) = (fixture("text.onnx"), dataset_fixture("tokenizer.json"));
    let recipe = [&*model, &*input, "--tokenizer", &*tokenizer, "--rows-per-unit", "8", "--normalise"];
    let small = succeeds(&["model", "inspect", &model, "--size", "batch=8,sequence=32", "--json"]);
    let small_ops = json_lines(&small)[0]["cost"]["reference_ops"].as_u64().unwrap();
    for output in ["vectors.jsonl", "vectors.npy", "vectors.parquet"] {
        let relay = TestRelay::start();
        let small_only = relay.worker("small", &["--max-unit-ops", &(small_ops * 3 / 2).to_string()]);
        let (here, there) = (path(&dir.path().join(format!("here-{output}"))), path(&dir.path().join(output)));
        let state = dir.path().join(format!("{output}.job"));
        let swarm = ["-o", &*there, "--relay-url", &*relay.url];
        let map = common::Process::start(&[&["map"], &recipe[..], &swarm].concat());
        let rows_written = || {
            let text = fs::read(&state).unwrap_or_default();
            serde_json::from_slice::<Value>(&text).ok().and_then(|state| state["rows"].as_u64()).unwrap_or(0)
        };
        wait("the short texts are written", || rows_written() >= 40);
        map.kill();
        assert!(!Path::new(&there).exists() && rows_written() == 40);

        let again = fails(&[&["map"], &recipe[..], &swarm, &["--json"]].concat());
        assert_eq!(again.code, 3);
        assert!(again.stdout.contains(r#""code":"job_unfinished""#), "{}", again.stdout);
        let other = fails(&[&["map"], &recipe[..], &swarm, &["--resume", "--max-tokens", "40", "--json"]].concat());
        assert!(other.stdout.contains(r#""code":"job_changed""#), "{}", other.stdout);

        let _worker = relay.worker("any", &[]);
        let resumed = succeeds(&[&["map"], &recipe[..], &swarm, &["--resume", "--json"]].concat());
        let events = json_lines(&resumed);
        assert_eq!((&events[0]["event"], &events[0]["rows_written"]), (&"submitted".into(), &40.into()), "{resumed}");
        succeeds(&[&["model", "run"], &recipe[..], &["-o", &here]].concat());
        assert!(read(&here) == read(&there), "{output} differs");
        assert!(!state.exists(), "a finished job leaves nothing to go on with");
        drop(small_only);
    }
}

#[test]
fn what_the_relay_refuses_and_what_it_cannot_finish_is_said() {
    let (relay, dir) = (TestRelay::start(), tempfile::tempdir().unwrap());
    let input = texts(dir.path(), (0..3).map(|row| format!("cat {row}")));
    let (model, tokenizer) = (fixture("text.onnx"), dataset_fixture("tokenizer.json"));
    let there = path(&dir.path().join("vectors.npy"));
    let args = ["map", &model, &input, "--tokenizer", &tokenizer, "-o", &there, "--relay-url", &relay.url, "--json"];
    let mut map =
        shoal(&args).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let state = dir.path().join("vectors.npy.job");
    wait("the job is submitted", || state.exists());
    let job = serde_json::from_slice::<Value>(&fs::read(&state).unwrap()).unwrap()["job"].as_str().unwrap().to_owned();
    succeeds(&["job", "cancel", &job, "--relay-url", &relay.url]);
    assert_eq!(map.wait().unwrap().code(), Some(5));
    assert!(!state.exists(), "a job that has ended cannot be gone on with");
}

/// The real model: vectors of sentences, and the sentence that answers a question.
#[test]
fn sentences_are_embedded_and_found() {
    let (relay, dir) = (TestRelay::start(), tempfile::tempdir().unwrap());
    let _worker = relay.worker("worker", &[]);
    let sentences = [
        "A cat sits on the warm windowsill.",
        "To share ownership between threads, wrap the value in an Arc.",
        "Knead the dough for ten minutes and let it rest.",
    ];
    let input = texts(dir.path(), sentences.iter().map(|text| (*text).to_owned()));
    let model = "../../examples/embed/minilm.onnx";
    let weights = cached("all-minilm-l6-v2/model.safetensors");
    let args = [model, &*input, "--weights", &*weights, "--rows-per-unit", "2", "--batch", "2"];
    here_and_there(&relay, dir.path(), "vectors.npy", &args);
    let vectors = path(&dir.path().join("there-vectors.npy"));
    let question = "How do I use data from two threads?";
    let search = ["search", &*vectors, question, "--model", model, "--weights", &*weights, "--input", &*input];
    let found = json_lines(&succeeds(&[&search[..], &["-n", "2", "--json"]].concat()));
    assert_eq!((found.len(), &found[0]["row"]), (2, &1.into()), "{found:?}");
    assert_eq!(found[0]["text"], sentences[1]);
    assert!(found[0]["cosine"].as_f64() > found[1]["cosine"].as_f64());
}

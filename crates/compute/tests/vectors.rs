//! The exact vectors against the committed hashes. The same comparison runs in Node and in browsers.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeMap;

use shoal_compute::vectors::run_all;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test;

#[derive(Debug)]
struct Committed {
    class: String,
    hashes: BTreeMap<String, String>,
}

fn committed() -> Committed {
    let text = include_str!("../../../tests/vectors/exact/exact-1.json");
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let hashes = document["blake3"].as_object().unwrap();
    Committed {
        class: document["class"].as_str().unwrap().to_owned(),
        hashes: hashes.iter().map(|(name, hash)| (name.clone(), hash.as_str().unwrap().to_owned())).collect(),
    }
}

#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test)]
#[cfg_attr(not(target_arch = "wasm32"), test)]
fn every_vector_has_its_committed_hash() {
    let committed = committed();
    assert_eq!(committed.class, "exact/1");
    let results = run_all();
    assert_eq!(results.len(), committed.hashes.len(), "as many vectors as hashes");
    for result in results {
        assert_eq!(Some(&result.blake3), committed.hashes.get(&result.name), "vector {}", result.name);
    }
}

#[cfg_attr(target_arch = "wasm32", wasm_bindgen_test)]
#[cfg_attr(not(target_arch = "wasm32"), test)]
fn vectors_differ_from_each_other() {
    let hashes: BTreeMap<String, String> = run_all().into_iter().map(|result| (result.blake3, result.name)).collect();
    assert_eq!(hashes.len(), run_all().len());
}

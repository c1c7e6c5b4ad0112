//! The exact/1 vectors, to be compared with what other machines compute.

use wasm_bindgen::prelude::*;

/// Runs every vector of class exact/1 and returns a JSON object of name to BLAKE3 hash of the output.
#[wasm_bindgen]
pub fn run_exact_vectors() -> String {
    let results = shoal_compute::vectors::run_all();
    let hashes: serde_json::Map<String, serde_json::Value> =
        results.into_iter().map(|result| (result.name, result.blake3.into())).collect();
    serde_json::Value::from(hashes).to_string()
}
